import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_BINS, findConcurrency } from "../../../entrypoints/http/ui/assets/js/model/concurrency.js";
import { randomTrees, run, treeOf } from "./trees.js";

const GRAVITY = ["failure", "timeout", "partial", "cancelled"];

test("innermost runs are counted in the bins that they touch", () => {
  const tree = treeOf([
    run({ run_id: "l", from: 0, to: 1000 }),
    run({ run_id: "a", parent: 0, from: 0, to: 250 }),
    run({ run_id: "b", parent: 0, from: 100, to: 450 }),
    run({ run_id: "c", parent: 0, from: 850, to: 900 }),
  ]);
  const { most, peak } = findConcurrency(tree, 10, tree.problems, GRAVITY);
  assert.deepEqual([...most], [1, 2, 2, 1, 1, 0, 0, 0, 1, 1]);
  assert.equal(peak, 2);
});

test("a run that starts when another ends does not run beside it", () => {
  const tree = treeOf([
    run({ run_id: "l", from: 0, to: 1000 }),
    run({ run_id: "a", parent: 0, from: 0, to: 500 }),
    run({ run_id: "b", parent: 0, from: 500, to: 1000 }),
  ]);
  assert.equal(findConcurrency(tree, 7, tree.problems, GRAVITY).peak, 1);
});

test("the gravest problem of a bin is marked", () => {
  const tree = treeOf([
    run({ run_id: "l", from: 0, to: 1000 }),
    run({ run_id: "a", parent: 0, from: 0, to: 450, status: "timeout" }),
    run({ run_id: "b", parent: 0, from: 200, to: 250, status: "failure" }),
    run({ run_id: "c", parent: 0, from: 800, to: 800, status: "cancelled" }),
  ]);
  assert.deepEqual([...findConcurrency(tree, 10, tree.problems, GRAVITY).problems], [2, 2, 1, 2, 2, 0, 0, 0, 4, 0]);
});

test("each bin has the most runs at once at any moment in it", () => {
  for (const tree of randomTrees()) {
    const bins = 13;
    const { most } = findConcurrency(tree, bins, tree.problems, GRAVITY);
    const innermost = [...tree.runs.keys()].filter((at) => tree.next[at] === at + 1 && tree.end[at] > tree.start[at]);
    const length = (tree.last - tree.first || 1) / bins;
    const expected = new Uint32Array(bins);
    for (const moment of innermost.map((at) => tree.start[at])) {
      const bin = Math.min(bins - 1, Math.floor((moment - tree.first) / length));
      const running = innermost.filter((at) => tree.start[at] <= moment && moment < tree.end[at]).length;
      expected[bin] = Math.max(expected[bin], running);
    }
    assert.ok(expected.every((count, bin) => count <= most[bin]));
    assert.equal(Math.max(...expected), Math.max(...most));
  }
});

test("the number of bins is bounded on both sides", () => {
  const tree = treeOf([run({})]);
  assert.equal(findConcurrency(tree, 0, tree.problems, GRAVITY).most.length, 1);
  assert.equal(findConcurrency(tree, 1e9, tree.problems, GRAVITY).most.length, MAX_BINS);
});

test("a launch without any length has bins as well", () => {
  const tree = treeOf([run({ from: 0, to: 0 })]);
  assert.deepEqual([...findConcurrency(tree, 3, tree.problems, GRAVITY).most], [0, 0, 0]);
});
