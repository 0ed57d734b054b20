import assert from "node:assert/strict";
import { test } from "node:test";

import { byDay } from "../../../entrypoints/http/ui/assets/js/model/launch_days.js";
import {
  durationOf,
  metricOf,
  problemsInside,
  reasonOf,
  sumOf,
  usualDurations,
} from "../../../entrypoints/http/ui/assets/js/model/launch_summary.js";

/** @typedef {import("../../../entrypoints/http/ui/assets/js/lib/page.js").Run} Run */
/** @typedef {import("../../../entrypoints/http/ui/assets/js/lib/page.js").Rollup} Rollup */

/** @param {Partial<Run>} fields */
const launch = (fields) =>
  /** @type {Run} */ ({
    event_id: "e",
    run_id: "docs-1",
    agent_name: "docs",
    status: "success",
    start_time: "2026-01-31T09:00:00Z",
    end_time: null,
    duration_ms: null,
    error_summary: null,
    item_name: null,
    metrics_json: null,
    rollup: null,
    ...fields,
  });

/**
 * @param {string} error_summary
 * @param {import("../../../entrypoints/http/ui/assets/js/lib/status.js").Status} status
 * @param {string} run_id
 * @param {number} runs
 */
const causeOf = (error_summary, status, run_id, runs) => ({ error_summary, status, run_id, runs });

/** @param {Partial<Rollup>} fields */
const rollup = (fields) => ({ runs: 1, status: {}, metrics: {}, causes: [], commits: [], ...fields });

test("a launch that succeeded or runs says what it is for", () => {
  assert.equal(reasonOf(launch({ input_summary: "weekly" })).text, "weekly");
  assert.equal(reasonOf(launch({ status: "running", input_summary: "weekly" })).text, "running: weekly");
  assert.equal(reasonOf(launch({ status: "success" })).status, null);
});

test("one that failed says the cause, where it is, and how many others failed alike", () => {
  const causes = [causeOf("overloaded", "failure", "docs-1.de.call-1", 3)];
  const failed = { status: /** @type {const} */ ("failure"), error_summary: "a node failed" };
  const reason = reasonOf(launch({ ...failed, rollup: rollup({ causes }) }));
  assert.deepEqual(reason, { text: "overloaded", status: "failure", where: "de.call-1", others: 2 });
});

test("a cause that ended as the launch did explains it better than one that occurs more often", () => {
  const often = causeOf("overloaded", "failure", "docs-1.a", 9);
  const alike = causeOf("no response", "timeout", "docs-1.b", 1);
  assert.equal(reasonOf(launch({ status: "timeout", rollup: rollup({ causes: [often, alike] }) })).text, "no response");
});

test("a partial launch says the worst that is inside, and of that what occurs most often", () => {
  const alike = causeOf("4 of 55", "partial", "docs-1.a", 9);
  const rare = causeOf("no such model", "failure", "docs-1.b", 1);
  const often = causeOf("overloaded", "failure", "docs-1.c", 3);
  const partial = launch({ status: "partial", rollup: rollup({ causes: [alike, rare, often] }) });
  assert.equal(reasonOf(partial).text, "overloaded");
});

test("runs that were cancelled with the launch are no cause of its failure", () => {
  const cancelled = causeOf("cancelled", "cancelled", "docs-1.a", 9);
  const failed = causeOf("broken", "failure", "docs-1.b", 1);
  const causes = [cancelled, failed];
  assert.equal(reasonOf(launch({ status: "timeout", rollup: rollup({ causes }) })).text, "broken");
  assert.equal(reasonOf(launch({ status: "cancelled", rollup: rollup({ causes }) })).text, "cancelled");
});

test("without a rollup, or as its own cause, it says what it reports itself", () => {
  const failed = { status: /** @type {const} */ ("failure"), error_summary: "push rejected" };
  assert.deepEqual(reasonOf(launch(failed)), { text: "push rejected", status: "failure", where: "", others: 0 });
  const cause = causeOf("push rejected", "failure", "docs-1", 1);
  assert.equal(reasonOf(launch({ ...failed, rollup: rollup({ causes: [cause] }) })).where, "");
});

test("problems inside do not count the launch itself", () => {
  const inside = rollup({ status: { success: 5, partial: 1, failure: 2, cancelled: 1 } });
  assert.deepEqual(problemsInside(launch({ status: "partial", rollup: inside })), [
    { status: "failure", runs: 2 },
    { status: "cancelled", runs: 1 },
  ]);
  assert.deepEqual(problemsInside(launch({})), []);
});

test("a launch in progress takes as long as it has until now", () => {
  const start = Date.parse("2026-01-31T09:00:00Z");
  assert.equal(durationOf(launch({ status: "running" }), start + 5000), 5000);
  assert.equal(durationOf(launch({ end_time: "2026-01-31T09:00:01Z" }), start + 5000), 1000);
  assert.equal(durationOf(launch({ duration_ms: 7 }), start + 5000), 7);
  assert.equal(durationOf(launch({}), start + 5000), null);
});

test("the usual duration is the median of those that succeeded, and needs three launches", () => {
  const taken = [100, 300, 200].map((duration_ms) => launch({ duration_ms }));
  const failed = launch({ status: "failure", duration_ms: 1 });
  const other = launch({ agent_name: "audit", duration_ms: 5 });
  const usual = usualDurations([...taken, failed, other]);
  assert.deepEqual([...usual], [["docs", { median: 200, full: 300, launches: 3 }]]);
  const few = usualDurations([failed, failed, failed, taken[0]]);
  assert.equal(few.get("docs")?.median, 1);
});

test("a metric is that of the innermost runs, else what the launch reports", () => {
  const both = launch({ metrics_json: { cost_usd: 1.97 }, rollup: rollup({ metrics: { cost_usd: 1.93 } }) });
  assert.equal(metricOf(both, "cost_usd"), 1.93);
  assert.equal(metricOf(launch({ metrics_json: { cost_usd: 1.97 } }), "cost_usd"), 1.97);
  assert.equal(sumOf([both, launch({})], "cost_usd"), 1.93);
  assert.equal(sumOf([launch({})], "cost_usd"), null);
});

test("each day precedes its launches and says what they add up to; the last one may go on", () => {
  const runs = [
    launch({ start_time: "2026-01-31T00:00:00Z", status: "failure" }),
    launch({ start_time: "2026-01-30T23:59:59.999999Z", metrics_json: { cost_usd: 2 } }),
    launch({ start_time: "2026-01-30T00:00:00Z", metrics_json: { cost_usd: 1 } }),
  ];
  const items = byDay(runs, "UTC", false);
  const kinds = items.map(({ kind }) => kind);
  assert.deepEqual(kinds, ["day", "launch", "day", "launch", "launch"]);
  const days = items.filter((item) => item.kind === "day");
  assert.deepEqual(
    days.map(({ launches, problems, cost, isWhole }) => [launches, problems, cost, isWhole]),
    [
      [1, 1, null, true],
      [2, 0, 3, false],
    ],
  );
});
