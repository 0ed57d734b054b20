import assert from "node:assert/strict";
import { test } from "node:test";

import { findCriticalPath, segmentsByRun } from "../../../entrypoints/http/ui/assets/js/model/critical_path.js";
import { randomTrees, run, treeOf } from "./trees.js";

/** @param {ReturnType<typeof treeOf>} tree */
function described(tree) {
  const path = findCriticalPath(tree);
  return [...path.run].map((index, at) => [tree.runs[index].run_id, path.from[at], path.to[at]]);
}

test("the path goes through the child that ended last and the one that ended before it started", () => {
  const tree = treeOf([
    run({ run_id: "l", from: 0, to: 1000 }),
    run({ run_id: "a", parent: 0, from: 100, to: 400 }),
    run({ run_id: "b", parent: 0, from: 150, to: 300 }),
    run({ run_id: "c", parent: 0, from: 450, to: 900 }),
    run({ run_id: "d", parent: 0, from: 200, to: 700 }),
  ]);
  assert.deepEqual(described(tree), [
    ["l", 0, 100],
    ["a", 100, 400],
    ["l", 400, 450],
    ["c", 450, 900],
    ["l", 900, 1000],
  ]);
});

test("a child that outlasts its parent is cut to the parent's time", () => {
  const tree = treeOf([run({ run_id: "l", from: 0, to: 500 }), run({ run_id: "a", parent: 0, from: 100, to: 900 })]);
  assert.deepEqual(described(tree), [
    ["l", 0, 100],
    ["a", 100, 500],
  ]);
});

test("the segments follow each other from the start of the first run to its end", () => {
  for (const tree of randomTrees()) {
    const path = findCriticalPath(tree);
    let reached = tree.start[0];
    for (let at = 0; at < path.run.length; at++) {
      assert.equal(path.from[at], reached);
      assert.ok(path.to[at] > path.from[at]);
      assert.ok(path.from[at] >= tree.start[path.run[at]] && path.to[at] <= tree.end[path.run[at]]);
      reached = path.to[at];
    }
    assert.equal(reached, tree.end[0]);
  }
});

test("whoever is on the path, so is its parent, and its time lies within the parent's", () => {
  for (const tree of randomTrees()) {
    const path = findCriticalPath(tree);
    assert.ok([...path.run].every((index) => path.onPath[index] > 0));
    for (let index = 1; index < tree.runs.length; index++) {
      if (path.onPath[index] === 0) continue;
      const parent = tree.parent[index];
      assert.ok(path.onPath[parent] > 0);
      assert.ok(path.windowFrom[parent] <= path.windowFrom[index] && path.windowTo[index] <= path.windowTo[parent]);
    }
  }
});

test("a chain of 20,000 runs needs no recursion", () => {
  const tree = treeOf(
    Array.from({ length: 20_000 }, (_, at) => run({ run_id: `r${at}`, parent: at === 0 ? null : at - 1 })),
  );
  assert.deepEqual(described(tree), [["r19999", 0, 1000]]);
});

test("segments are grouped by run in the order of time", () => {
  const tree = treeOf([run({ run_id: "l", from: 0, to: 500 }), run({ run_id: "a", parent: 0, from: 100, to: 400 })]);
  assert.deepEqual(
    segmentsByRun(findCriticalPath(tree)),
    new Map([
      [
        0,
        [
          [0, 100],
          [400, 500],
        ],
      ],
      [1, [[100, 400]]],
    ]),
  );
});
