import assert from "node:assert/strict";
import { test } from "node:test";

import { findProblems } from "../../../entrypoints/http/ui/assets/js/model/problems.js";
import {
  DEFAULT_FOLDING,
  MAX_FOLDS,
  fold,
  foldKey,
  matchText,
  openRuns,
  readFolds,
  reveal,
  rowOf,
  visibleRows,
  withAncestors,
  writeFolds,
} from "../../../entrypoints/http/ui/assets/js/model/rows.js";
import { randomIntegers, randomTrees, run, treeOf } from "./trees.js";

const LAUNCH = treeOf([
  run({ run_id: "l", status: "partial" }),
  run({ run_id: "l.plan", parent: 0 }),
  run({ run_id: "l.work", parent: 0, status: "failure" }),
  run({ run_id: "l.plan.scan", parent: 1 }),
  run({ run_id: "l.work.gate", parent: 2, status: "failure", error_summary: "Glossary failed" }),
]);
const CAUSES = findProblems(LAUNCH).unresolved;

/**
 * @param {import("../../../entrypoints/http/ui/assets/js/model/rows.js").Folding} folding
 * @param {Uint8Array | null} [kept]
 */
function names(folding, kept = null) {
  const rows = visibleRows(LAUNCH, openRuns(LAUNCH, folding, CAUSES, kept), kept);
  return [...rows].map((index) => LAUNCH.runs[index].run_id);
}

test("by default the first run is open and what leads to a cause", () => {
  assert.deepEqual(names(DEFAULT_FOLDING), ["l", "l.plan", "l.work", "l.work.gate"]);
});

test("a depth opens everything above it", () => {
  assert.deepEqual(names({ depth: 0, changes: new Map() }), ["l"]);
  assert.deepEqual(names({ depth: 1, changes: new Map() }), ["l", "l.plan", "l.work"]);
  assert.equal(names({ depth: 2, changes: new Map() }).length, 5);
});

test("a filter keeps what it wants and everything above, open", () => {
  const problems = withAncestors(LAUNCH, LAUNCH.problems);
  assert.deepEqual(names(DEFAULT_FOLDING, problems), ["l", "l.work", "l.work.gate"]);
  const found = withAncestors(LAUNCH, matchText(LAUNCH, "SCAN"));
  assert.deepEqual(names(DEFAULT_FOLDING, found), ["l", "l.plan", "l.plan.scan"]);
  assert.deepEqual([...found], [1, 1, 2, 0, 0]);
  assert.deepEqual(names(DEFAULT_FOLDING, withAncestors(LAUNCH, matchText(LAUNCH, "nothing"))), []);
});

test("a filter leaves exactly the wanted runs and their ancestors", () => {
  for (const tree of randomTrees()) {
    const kept = withAncestors(tree, tree.problems);
    for (let index = 0; index < tree.runs.length; index++) {
      assert.equal(kept[index] > 0, tree.problems[index] > 0 || tree.problemsBelow[index] > 0);
    }
  }
});

test("a run is in sight exactly if everything above it is open", () => {
  const random = randomIntegers(3);
  for (const tree of randomTrees()) {
    const open = Uint8Array.from(tree.runs, () => random(2));
    const rows = new Set(visibleRows(tree, open, null));
    for (let index = 1; index < tree.runs.length; index++) {
      const parent = tree.parent[index];
      assert.equal(rows.has(index), rows.has(parent) && open[parent] > 0);
    }
  }
});

test("opening and closing again leaves nothing to remember", () => {
  const opened = fold(LAUNCH, DEFAULT_FOLDING, CAUSES, null, 1, true);
  assert.equal(opened.changes.size, 1);
  assert.ok(names(opened).includes("l.plan.scan"));
  assert.equal(fold(LAUNCH, opened, CAUSES, null, 1, false).changes.size, 0);
});

test("the oldest folds are forgotten, so that an address stays short", () => {
  const tree = treeOf(
    Array.from({ length: 2 * MAX_FOLDS }, (_, at) => run({ run_id: `r${at}`, parent: at === 0 ? null : at - 1 })),
  );
  const causes = new Uint8Array(tree.runs.length);
  let folding = DEFAULT_FOLDING;
  for (let index = 1; index <= MAX_FOLDS + 10; index++) folding = fold(tree, folding, causes, null, index, true);
  assert.equal(folding.changes.size, MAX_FOLDS);
  assert.ok(folding.changes.has(foldKey(tree.runs[MAX_FOLDS + 10].event_id)));
});

test("revealing a run brings it in sight and opens no more than that needs", () => {
  for (const tree of randomTrees()) {
    const causes = findProblems(tree).unresolved;
    const index = tree.runs.length - 1;
    const folding = reveal(tree, { depth: 0, changes: new Map() }, causes, null, index);
    const rows = visibleRows(tree, openRuns(tree, folding, causes, null), null);
    assert.ok(rows.includes(index));
    assert.equal(folding.changes.size, tree.depth[index]);
  }
});

test("folds survive the address, and what is no fold is ignored", () => {
  const changes = new Map([
    [foldKey("a"), true],
    [foldKey("b"), false],
  ]);
  assert.deepEqual(readFolds(writeFolds(changes)), changes);
  assert.equal(readFolds("").size, 0);
  assert.equal(readFolds("<script>.--x.ABC").size, 0);
});

test("the row of a hidden run is that of the nearest run above it in sight", () => {
  const rows = visibleRows(LAUNCH, openRuns(LAUNCH, { depth: 1, changes: new Map() }, CAUSES, null), null);
  assert.equal(rowOf(LAUNCH, rows, 4), 2);
  assert.equal(rowOf(LAUNCH, rows, 1), 1);
  assert.equal(rowOf(LAUNCH, new Int32Array(0), 1), -1);
});
