import assert from "node:assert/strict";
import { test } from "node:test";

import { ancestors, findRun, hasChildren } from "../../../entrypoints/http/ui/assets/js/model/tree.js";
import { nameInLaunch, shortName } from "../../../entrypoints/http/ui/assets/js/model/names.js";
import { durationOf } from "../../../entrypoints/http/ui/assets/js/model/times.js";
import { ORIGIN, randomRuns, randomTrees, run, treeOf } from "./trees.js";

test("rows stand in preorder: each run is followed by its descendants, siblings in the order of the response", () => {
  const tree = treeOf([
    run({ run_id: "a" }),
    run({ run_id: "b", parent: 0 }),
    run({ run_id: "c", parent: 0 }),
    run({ run_id: "b1", parent: 1 }),
    run({ run_id: "c1", parent: 2 }),
    run({ run_id: "b2", parent: 1 }),
  ]);
  assert.deepEqual(
    tree.runs.map((each) => each.run_id),
    ["a", "b", "b1", "b2", "c", "c1"],
  );
  assert.deepEqual([...tree.depth], [0, 1, 2, 2, 1, 2]);
  assert.deepEqual([...tree.parent], [-1, 0, 1, 1, 0, 4]);
  assert.deepEqual([...tree.next], [6, 4, 3, 4, 6, 6]);
});

test("every run appears once, below its parent, whatever the shape", () => {
  for (const tree of randomTrees()) {
    assert.equal(new Set(tree.runs.map((each) => each.event_id)).size, tree.runs.length);
    for (let index = 1; index < tree.runs.length; index++) {
      const parent = tree.parent[index];
      assert.ok(parent < index && index < tree.next[parent] && tree.next[index] <= tree.next[parent]);
      assert.equal(tree.depth[index], tree.depth[parent] + 1);
    }
  }
});

test("a parent that does not stand before its child is replaced by the first run", () => {
  const tree = treeOf([
    run({ run_id: "a" }),
    run({ run_id: "b", parent: 2 }),
    run({ run_id: "c", parent: 1 }),
    run({ run_id: "d" }),
  ]);
  assert.deepEqual([...tree.parent], [-1, 0, 1, 0]);
});

test("problems are counted below each run without its own", () => {
  const tree = treeOf([
    run({ run_id: "a", status: "partial" }),
    run({ run_id: "b", parent: 0, status: "failure" }),
    run({ run_id: "c", parent: 1, status: "timeout" }),
  ]);
  assert.deepEqual([...tree.problemsBelow], [2, 1, 0]);
});

test("20,000 runs are built without recursion, as a chain and as a fan", () => {
  for (const parentOf of [(/** @type {number} */ index) => index - 1, () => 0]) {
    const runs = Array.from({ length: 20_000 }, (_, index) =>
      run({ run_id: `r${index}`, parent: index === 0 ? null : parentOf(index) }),
    );
    const tree = treeOf(runs);
    assert.equal(tree.next[0], 20_000);
    assert.equal(ancestors(tree, 19_999).length, tree.depth[19_999]);
  }
});

test("a run is found by its event before it is found by its name", () => {
  const tree = treeOf([
    run({ run_id: "a" }),
    run({ run_id: "x", event_id: "e1", parent: 0 }),
    run({ run_id: "e1", event_id: "e2", parent: 0 }),
  ]);
  assert.equal(findRun(tree, "e1"), 1);
  assert.equal(findRun(tree, "x"), 1);
  assert.equal(findRun(tree, "none"), -1);
});

test("only runs with descendants have children", () => {
  const tree = treeOf([run({ run_id: "a" }), run({ run_id: "b", parent: 0 })]);
  assert.ok(hasChildren(tree, 0));
  assert.ok(!hasChildren(tree, 1));
});

test("a name leaves out what an ancestor says, and an id without meaning gives way to the item", () => {
  const tree = treeOf([
    run({ run_id: "docs-1" }),
    run({ run_id: "docs-1.dispatch", parent: 0 }),
    run({ run_id: "docs-1.install.de", parent: 1 }),
    run({ run_id: "docs-1.install.de.call-1", parent: 2 }),
    run({ run_id: "other", parent: 2 }),
    run({ run_id: "0123456789abcdef0123456789abcdef-0123456789abcdef", item_name: "chat", parent: 2 }),
    run({ run_id: "docs-1000", parent: 0 }),
  ]);
  const names = tree.runs.map((_, index) => shortName(tree, index));
  assert.deepEqual(names, ["docs-1", "dispatch", "install.de", "call-1", "other", "chat", "docs-1000"]);
  assert.equal(nameInLaunch(tree, 3), "install.de.call-1");
});

test("no end precedes its start, and the limits hold all runs", () => {
  for (const tree of randomTrees()) {
    for (let index = 0; index < tree.runs.length; index++) {
      assert.ok(tree.start[index] <= tree.end[index]);
      assert.ok(tree.first <= tree.start[index] && tree.end[index] <= tree.last);
    }
  }
});

test("a run in progress lasts until now, or until its parent ended", () => {
  const open = treeOf(
    [
      run({ run_id: "a", status: "running", to: null }),
      run({ run_id: "b", parent: 0, status: "running", from: 100, to: null }),
    ],
    5_000,
  );
  assert.deepEqual([...open.end], [5_000, 5_000]);
  const closed = treeOf(
    [run({ run_id: "a", to: 900 }), run({ run_id: "b", parent: 0, status: "running", from: 100, to: null })],
    5_000,
  );
  assert.deepEqual([...closed.end], [900, 900]);
});

test("a launch that fell silent long ago ends at its last sign of life", () => {
  const runs = [
    run({ run_id: "a", status: "running", to: null }),
    run({ run_id: "b", parent: 0, from: 100, to: 60_000 }),
  ];
  assert.equal(treeOf(runs, 30 * 86_400_000).end[0], 60_000);
});

test("an end that is not said follows from the duration, else from the descendants", () => {
  const tree = treeOf([
    run({ run_id: "a", to: null }),
    run({ run_id: "b", parent: 0, from: 100, to: null, duration_ms: 250 }),
    run({ run_id: "c", parent: 0, from: 200, to: null }),
  ]);
  assert.deepEqual([...tree.end], [350, 350, 200]);
});

test("an end before the start counts as the start", () => {
  assert.equal(treeOf([run({ from: 500, to: 100 })]).end[0], 0);
  assert.equal(treeOf([run({ from: 500, to: 100 })]).origin, ORIGIN + 500);
});

test("the same response gives the same tree", () => {
  assert.deepEqual(treeOf(randomRuns(7, 50)), treeOf(randomRuns(7, 50)));
});

test("a finished run of which nothing says how long it took has no duration", () => {
  const start_time = new Date(ORIGIN).toISOString();
  const tree = treeOf([
    run({ run_id: "l", start_time, end_time: null, duration_ms: null }),
    run({ run_id: "l.said", parent: 0, start_time, end_time: null, duration_ms: 0 }),
    run({ run_id: "l.ended", parent: 0, start_time, end_time: start_time, duration_ms: null }),
    run({ run_id: "l.silent", parent: 0, start_time, end_time: null, duration_ms: null }),
    run({ run_id: "l.open", parent: 0, start_time, end_time: null, duration_ms: null, status: "running" }),
  ]);
  assert.deepEqual(
    tree.runs.map((_, index) => durationOf(tree, index)),
    [null, 0, 0, null, tree.end[4] - tree.start[4]],
  );
});
