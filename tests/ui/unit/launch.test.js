import assert from "node:assert/strict";
import { test } from "node:test";

import { figuresOf } from "../../../entrypoints/http/ui/assets/js/model/figures.js";
import { Launch, View } from "../../../entrypoints/http/ui/assets/js/model/launch.js";
import { refusalsOf } from "../../../entrypoints/http/ui/assets/js/model/refusals.js";
import { DEFAULT_FOLDING } from "../../../entrypoints/http/ui/assets/js/model/rows.js";
import { readQuery, changedQuery } from "../../../entrypoints/http/ui/assets/js/lib/url_state.js";
import {
  EVERYTHING,
  STATE,
  foldingOf,
  foldingState,
} from "../../../entrypoints/http/ui/assets/js/pages/launch/state.js";
import { ORIGIN, randomRuns, run, treeOf } from "./trees.js";

/** @typedef {import("../../../entrypoints/http/ui/assets/js/model/tree.js").TreeRun} TreeRun */

/** @param {TreeRun[]} runs */
const response = (runs) => ({ runs, total: runs.length, truncated: false });

/** @param {TreeRun[]} runs */
const launchOf = (runs) => Launch.from(response(runs), ORIGIN + 5_000);

const FAILED = [
  run({ run_id: "l", status: "partial" }),
  run({ run_id: "l.a", parent: 0, status: "failure", error_summary: "no network", commit_hash: "abcdef1" }),
  run({ run_id: "l.b", parent: 0 }),
  run({ run_id: "l.b.c", parent: 2, status: "cancelled", commit_hash: "abcdef1" }),
  run({ run_id: "l.b.d", parent: 2, commit_hash: "abcdef2" }),
];

/**
 * @param {Partial<import("../../../entrypoints/http/ui/assets/js/model/launch.js").Choice>} choice
 */
function viewOf(choice) {
  return new View(launchOf(FAILED), { onlyProblems: false, text: "", folding: DEFAULT_FOLDING, ...choice });
}

test("problems are counted by status, and each commit is listed once", () => {
  const launch = launchOf(FAILED);
  assert.deepEqual(launch.problemCounts, [
    { status: "failure", runs: 1 },
    { status: "partial", runs: 1 },
    { status: "cancelled", runs: 1 },
  ]);
  assert.deepEqual(launch.commits, [1, 4]);
});

test("the figures are those of the tree, or of the rollup if the tree is only a part", () => {
  const launch = launchOf(FAILED);
  assert.deepEqual(figuresOf(launch, null), {
    runs: 5,
    problems: launch.problemCounts,
    cost: Number.NaN,
    tokens: Number.NaN,
  });
  const metrics = { cost_usd: 3, input_tokens: 40, output_tokens: 2 };
  const rollup = { runs: 30_000, status: { success: 29_998, timeout: 2 }, metrics, causes: [], commits: [] };
  const problems = [{ status: "timeout", runs: 2 }];
  assert.deepEqual(figuresOf(launch, rollup), { runs: 30_000, problems, cost: 3, tokens: 42 });
});

test("only problems and a text filter together, and the stops of next and previous follow the filter", () => {
  assert.deepEqual([...viewOf({ onlyProblems: true }).rows], [0, 1, 2, 3]);
  const both = viewOf({ onlyProblems: true, text: "NETWORK" });
  assert.deepEqual([...both.rows], [0, 1]);
  assert.deepEqual([...both.stops], [0, 1, 0, 0, 0]);
  assert.deepEqual([...viewOf({}).stops], [0, 1, 0, 1, 0]);
});

test("a run can be opened only if the filter leaves something in it", () => {
  assert.ok(viewOf({}).canOpen(2));
  assert.ok(!viewOf({}).canOpen(1));
  assert.ok(!viewOf({ text: "network" }).canOpen(2));
});

test("an open launch grows with time, and a finished one stays the same object", () => {
  const open = launchOf([run({ run_id: "l", status: "running", to: null })]);
  assert.equal(open.at(ORIGIN + 9_000).tree.end[0], 9_000);
  const finished = launchOf(FAILED);
  assert.equal(finished.at(ORIGIN + 9_000), finished);
});

test("a response with the same runs in the same state is recognised", () => {
  const runs = randomRuns(4, 30).map((each) => ({ ...each, updated_at: "2026-01-31T09:00:00Z" }));
  const changed = runs.with(7, { ...runs[7], updated_at: "2026-01-31T09:00:01Z" });
  assert.ok(Launch.isSame(response(runs), response([...runs])));
  assert.ok(!Launch.isSame(response(runs), response(changed)));
  assert.ok(!Launch.isSame(response(runs), response(runs.slice(1))));
});

test("refused runs belong to a launch by their name or by their parent, unless they are stored by now", () => {
  const tree = treeOf(FAILED);
  const refusal = (/** @type {string | null} */ run_id, /** @type {string} */ body, event_id = "other") => ({
    event_id,
    run_id,
    errors: [],
    body,
  });
  const ours = [
    refusal("l.x", ""),
    refusal("l/x", "cut off {"),
    refusal("elsewhere", '{"parent_run_id": "l.b"}'),
    refusal(null, '{"parent_run_id": "l.a"}'),
  ];
  const others = [
    refusal("l", "{}"),
    refusal("lxyz", "{}"),
    refusal(null, "null"),
    refusal("elsewhere", '{"parent_run_id": 5}'),
    refusal("l.x", "{}", "event-l.a"),
  ];
  assert.deepEqual(refusalsOf(tree, [...others, ...ours]), ours);
});

test("the whole state survives the address, and only what differs from the default is in it", () => {
  assert.equal(changedQuery(STATE, "", readQuery(STATE, "")), "");
  /** @type {[number, number]} */
  const z = [5, 900];
  const folding = {
    depth: 3,
    changes: new Map([
      ["abc", true],
      ["d", false],
    ]),
  };
  const chosen = { ...readQuery(STATE, ""), id: "a/b", run: "e", z, path: true, q: "x y", ...foldingState(folding) };
  const read = readQuery(STATE, changedQuery(STATE, "", chosen));
  assert.deepEqual(read, chosen);
  assert.deepEqual(foldingOf(read), folding);
});

test("opening everything opens trees of any depth", () => {
  const chain = Array.from({ length: 3_000 }, (_, index) =>
    run({ run_id: `r${index}`, parent: index === 0 ? null : index - 1 }),
  );
  const folding = foldingOf({ ...readQuery(STATE, ""), depth: EVERYTHING });
  assert.equal(new View(launchOf(chain), { onlyProblems: false, text: "", folding }).rows.length, 3_000);
  assert.equal(foldingState(folding).depth, EVERYTHING);
});
