import assert from "node:assert/strict";
import { test } from "node:test";

import { findProblems, nextMarked } from "../../../entrypoints/http/ui/assets/js/model/problems.js";
import { randomTrees, run, treeOf } from "./trees.js";

/** @param {Uint8Array} marks */
const marked = (marks) => [...marks.keys()].filter((index) => marks[index] > 0);

test("a problem begins where no descendant has one", () => {
  const tree = treeOf([
    run({ run_id: "l", status: "partial" }),
    run({ run_id: "l.a", parent: 0, status: "failure" }),
    run({ run_id: "l.a.gate", parent: 1, status: "failure", error_summary: "gate failed" }),
    run({ run_id: "l.b", parent: 0, status: "cancelled", error_summary: "budget" }),
  ]);
  assert.deepEqual(marked(findProblems(tree).origins), [2, 3]);
});

test("a failed attempt that a later one made good is no cause", () => {
  const tree = treeOf([
    run({ run_id: "l" }),
    run({ run_id: "l.call-1", parent: 0, from: 0, to: 100, status: "failure", error_summary: "overloaded" }),
    run({ run_id: "l.call-2", parent: 0, from: 100, to: 300 }),
  ]);
  const problems = findProblems(tree);
  assert.deepEqual(marked(problems.recovered), [1]);
  assert.deepEqual(problems.causes, []);
  assert.deepEqual(problems.recoveries, [{ error: "overloaded", status: "failure", runs: [1] }]);
});

test("an earlier success, a success beside it, or other work makes nothing good", () => {
  const failed = run({ run_id: "l.call-2", parent: 0, from: 200, to: 300, status: "failure" });
  for (const other of [
    run({ run_id: "l.call-1", parent: 0, from: 0, to: 100 }),
    run({ run_id: "l.call-3", parent: 0, from: 250, to: 400 }),
    run({ run_id: "l.gate-1", parent: 0, from: 300, to: 400 }),
    run({ run_id: "l.call-3", parent: 0, from: 300, to: 400, agent_name: "another" }),
  ]) {
    const tree = treeOf([run({ run_id: "l" }), failed, other]);
    assert.deepEqual(marked(findProblems(tree).recovered), []);
  }
});

test("numbered siblings are no attempts while their parent has a problem and they name no item", () => {
  const runs = [
    run({ run_id: "l", status: "partial" }),
    run({ run_id: "l.page-1", parent: 0, from: 0, to: 100, status: "failure" }),
    run({ run_id: "l.page-2", parent: 0, from: 100, to: 300 }),
  ];
  assert.deepEqual(marked(findProblems(treeOf(runs)).unresolved), [1]);
  const sameItem = runs.map((each) => ({ ...each, item_name: "guide.md" }));
  assert.deepEqual(marked(findProblems(treeOf(sameItem)).recovered), [1]);
});

test("the same name again is another attempt", () => {
  const tree = treeOf([
    run({ run_id: "l", status: "partial" }),
    run({ run_id: "l.a", event_id: "1", parent: 0, from: 0, to: 100, status: "timeout" }),
    run({ run_id: "l.a", event_id: "2", parent: 0, from: 100, to: 300 }),
  ]);
  assert.deepEqual(marked(findProblems(tree).recovered), [1]);
});

test("if all that failed inside was made good, the problem begins further up", () => {
  const tree = treeOf([
    run({ run_id: "l", status: "failure", error_summary: "refused the result" }),
    run({ run_id: "l.a", event_id: "1", parent: 0, from: 0, to: 100, status: "timeout" }),
    run({ run_id: "l.a", event_id: "2", parent: 0, from: 100, to: 300 }),
  ]);
  assert.deepEqual(marked(findProblems(tree).unresolved), [0]);
});

test("every launch with a problem has an origin, and origins are problems without an unresolved one below", () => {
  for (const tree of randomTrees()) {
    const { origins, recovered, unresolved, causes, recoveries } = findProblems(tree);
    assert.equal(marked(tree.problems).length > 0, marked(origins).length > 0);
    const listed = [...causes, ...recoveries].flatMap((cause) => cause.runs).sort((left, right) => left - right);
    assert.deepEqual(listed, marked(origins));
    for (let index = 0; index < tree.runs.length; index++) {
      assert.equal(origins[index], recovered[index] + unresolved[index]);
      if (origins[index] > 0) assert.equal(tree.problems[index], 1);
      const inside = unresolved.subarray(index + 1, tree.next[index]);
      if (unresolved[index] > 0) assert.ok(!inside.includes(1));
    }
  }
});

test("causes are grouped by error and status, the most frequent first", () => {
  const failing = (/** @type {string} */ name, /** @type {string} */ error) =>
    run({ run_id: name, parent: 0, status: "failure", error_summary: error });
  const tree = treeOf([
    run({ run_id: "l", status: "failure" }),
    failing("a", "x"),
    failing("b", "y"),
    failing("c", "y"),
  ]);
  assert.deepEqual(
    findProblems(tree).causes.map((cause) => [cause.error, cause.runs]),
    [
      ["y", [2, 3]],
      ["x", [1]],
    ],
  );
});

test("the next and the previous problem start over at the ends", () => {
  const marks = [0, 1, 0, 1, 0];
  assert.equal(nextMarked(marks, -1, 1), 1);
  assert.equal(nextMarked(marks, 1, 1), 3);
  assert.equal(nextMarked(marks, 3, 1), 1);
  assert.equal(nextMarked(marks, -1, -1), 3);
  assert.equal(nextMarked(marks, 1, -1), 3);
  assert.equal(nextMarked([0, 0], 0, 1), -1);
  assert.equal(nextMarked([0, 1], 1, 1), 1);
});
