import assert from "node:assert/strict";
import { test } from "node:test";

import { align } from "../../../entrypoints/http/ui/assets/js/model/alignment.js";
import {
  change,
  compare,
  factsOf,
  mostChanged,
  pairName,
} from "../../../entrypoints/http/ui/assets/js/model/comparison.js";
import { Launch } from "../../../entrypoints/http/ui/assets/js/model/launch.js";
import { randomRuns, randomIntegers, run, treeOf } from "./trees.js";

/** @typedef {import("../../../entrypoints/http/ui/assets/js/model/tree.js").TreeRun} TreeRun */

/**
 * Make the runs of a launch from `[name, parent, fields]`; the launch itself comes first.
 *
 * @param {string} name
 * @param {[string, number, Partial<TreeRun> & {from?: number, to?: number}][]} children
 * @param {Partial<TreeRun>} [fields]
 */
function launch(name, children, fields) {
  const below = children.map(([child, parent, more]) =>
    run({ run_id: child, parent, ...more, event_id: `${name} ${child} ${more.from ?? 0}` }),
  );
  return [run({ run_id: name, to: 100_000, ...fields }), ...below];
}

/**
 * @param {TreeRun[]} left
 * @param {TreeRun[]} right
 */
function pairsOf(left, right) {
  const [one, other] = [treeOf(left), treeOf(right)];
  const pairs = align(one, other);
  return Array.from(pairs.left, (inLeft, at) => [
    inLeft < 0 ? null : one.runs[inLeft].run_id,
    pairs.right[at] < 0 ? null : other.runs[pairs.right[at]].run_id,
  ]);
}

test("runs are paired by their name without that of their launch", () => {
  const left = launch("docs-1", [
    ["docs-1.plan", 0, {}],
    ["docs-1.old", 0, {}],
    ["docs-1.old.part", 2, {}],
    ["docs-1.publish", 0, {}],
  ]);
  const right = launch("docs-2", [
    ["docs-2.publish", 0, {}],
    ["docs-2.new", 0, {}],
    ["docs-2.plan", 0, {}],
  ]);
  assert.deepEqual(pairsOf(left, right), [
    ["docs-1", "docs-2"],
    ["docs-1.plan", "docs-2.plan"],
    ["docs-1.old", null],
    ["docs-1.old.part", null],
    ["docs-1.publish", "docs-2.publish"],
    [null, "docs-2.new"],
  ]);
});

test("runs whose names say nothing are paired by their work and their order", () => {
  const left = launch("a1", [
    ["f00", 0, { item_name: "x", from: 1 }],
    ["f01", 0, { item_name: "x", from: 2 }],
    ["f02", 0, { item_name: "y", from: 3 }],
  ]);
  const right = launch("b2", [
    ["e00", 0, { item_name: "y", from: 1 }],
    ["e01", 0, { item_name: "x", from: 2 }],
    ["e02", 0, { item_name: "x", job_type: "other", from: 3 }],
  ]);
  assert.deepEqual(pairsOf(left, right), [
    ["a1", "b2"],
    ["f00", "e01"],
    ["f01", null],
    [null, "e02"],
    ["f02", "e00"],
  ]);
});

/**
 * Fail unless each run of a launch is in one pair, below the pair of its parent.
 *
 * @param {import("../../../entrypoints/http/ui/assets/js/model/alignment.js").Alignment} pairs
 * @param {Int32Array} side
 * @param {import("../../../entrypoints/http/ui/assets/js/model/tree.js").LaunchTree} tree
 */
function assertHolds(pairs, side, tree) {
  assert.deepEqual(
    [...side.filter((index) => index >= 0)].sort((one, other) => one - other),
    [...tree.runs.keys()],
  );
  for (const [at, index] of side.entries()) {
    if (at > 0 && index >= 0) assert.equal(side[pairs.parent[at]], tree.parent[index]);
  }
}

test("whatever the launches are, each run is in one pair below the pair of its parent, in preorder", () => {
  for (let seed = 1; seed < 60; seed++) {
    const integers = randomIntegers(seed);
    const left = treeOf(randomRuns(seed, 1 + integers(80)));
    const right = treeOf(randomRuns(seed + (seed % 2), 1 + integers(80)));
    const pairs = align(left, right);
    assertHolds(pairs, pairs.left, left);
    assertHolds(pairs, pairs.right, right);
    for (let at = 1; at < pairs.runs.length; at++) {
      const parent = pairs.parent[at];
      assert.ok(parent < at && at < pairs.next[parent] && pairs.next[at] <= pairs.next[parent]);
      assert.equal(pairs.depth[at], pairs.depth[parent] + 1);
    }
  }
});

test("a launch is the same as itself, however deep or wide", () => {
  const deep = Array.from({ length: 20_000 }, (_, index) =>
    run({ run_id: index ? `launch.${index}` : "launch", parent: index ? index - 1 : null }),
  );
  const wide = deep.map((one, index) => ({ ...one, parent: index ? 0 : null }));
  for (const runs of [deep, wide]) {
    const same = Launch.from({ runs, total: runs.length, truncated: false }, 0);
    const { counts } = compare(same, same);
    assert.deepEqual(counts, { same: 20_000, status: 0, left: 0, right: 0, amount: 0 });
  }
});

test("pairs keep their keys when a run is added, also those of repeated names", () => {
  const left = launch("a", [
    ["a.x", 0, { from: 1 }],
    ["a.x", 0, { from: 2 }],
  ]);
  const right = launch("b", [
    ["b.x", 0, { from: 1 }],
    ["b.x", 0, { from: 2 }],
    ["b.y", 0, { from: 3 }],
  ]);
  const keys = align(treeOf(left), treeOf(right)).runs.map(({ event_id }) => event_id);
  const before = align(treeOf(left), treeOf(right.slice(0, 3))).runs.map(({ event_id }) => event_id);
  assert.deepEqual(keys.slice(0, 3), before);
  assert.equal(new Set(keys).size, 4);
});

/** @param {number} cost_usd */
function costing(cost_usd) {
  return { metrics_json: { cost_usd } };
}

const LEFT = launch("a", [
  ["a.same", 0, { to: 50_000, ...costing(1) }],
  ["a.broken", 0, { to: 2000 }],
  ["a.slower", 0, { to: 2000 }],
  ["a.dearer", 0, { to: 2000, ...costing(0.1) }],
  ["a.gone", 0, { to: 2000, ...costing(0.5) }],
]);
const RIGHT = launch(
  "b",
  [
    ["b.same", 0, { to: 50_500, ...costing(1.01) }],
    ["b.broken", 0, { to: 2000, status: "failure" }],
    ["b.slower", 0, { to: 30_000 }],
    ["b.dearer", 0, { to: 2000, ...costing(2) }],
    ["b.added", 0, { to: 2 }],
  ],
  { status: "partial" },
);

/** @param {TreeRun[]} runs */
function launchOf(runs) {
  return Launch.from({ runs, total: runs.length, truncated: false }, 0);
}

test("pairs differ by status, by a missing partner, or by an amount that is not usual", () => {
  const comparison = compare(launchOf(LEFT), launchOf(RIGHT));
  const { kinds, counts } = comparison;
  const found = Object.fromEntries(kinds.map((kind, at) => [pairName(comparison, at), kind]));
  assert.deepEqual(found, {
    a: "status",
    same: "same",
    broken: "status",
    slower: "amount",
    dearer: "amount",
    gone: "left",
    added: "right",
  });
  assert.deepEqual(counts, { same: 1, status: 2, left: 1, right: 1, amount: 2 });
});

test("what changed most is named, innermost and the largest first", () => {
  const comparison = compare(launchOf(LEFT), launchOf(RIGHT));
  const names = (/** @type {number[]} */ found) => found.map((at) => pairName(comparison, at));
  assert.deepEqual(names(mostChanged(comparison, comparison.costs)), ["dearer", "gone"]);
  assert.deepEqual(names(mostChanged(comparison, comparison.durations)).slice(0, 1), ["slower"]);
});

test("facts are those of the whole launch", () => {
  const facts = factsOf(launchOf(RIGHT));
  assert.deepEqual(
    { ...facts, cost: facts.cost.toFixed(2) },
    { status: "partial", duration: 100_000, runs: 6, problems: 2, tokens: NaN, cost: "3.01", commits: 0 },
  );
});

test("rounding is no change", () => {
  assert.equal(change(0.1 + 0.2, 0.3), 0);
  assert.equal(change(1, 1.5), 0.5);
  assert.equal(change(0, 0), 0);
  assert.ok(Number.isNaN(change(Number.NaN, 1)));
});
