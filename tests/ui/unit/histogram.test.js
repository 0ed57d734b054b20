import assert from "node:assert/strict";
import { test } from "node:test";

import {
  columnsOf,
  costScale,
  countScale,
  totalsOf,
  withCosts,
} from "../../../entrypoints/http/ui/assets/js/model/histogram.js";

const HOUR = 3_600_000;
const FROM = Date.parse("2026-01-31T00:00:00Z");

/** @param {import("../../../entrypoints/http/ui/assets/js/model/histogram.js").Statistics["buckets"]} buckets */
const statistics = (...buckets) => ({ bucket_seconds: 3600, buckets, examined: 0, complete: true, from: null });

const NINE = { start: "2026-01-31T09:00:00Z", runs: { failure: 1, success: 2 }, metrics: { cost_usd: 1.5 } };
const TEN = { start: "2026-01-31T10:00:00Z", runs: { success: 1 }, metrics: {} };

test("there is a column for every length of time, also for those without launches", () => {
  const columns = columnsOf(statistics(TEN, NINE), FROM + 10, FROM + 12 * HOUR);
  assert.deepEqual(
    columns.map(({ launches }) => launches),
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0],
  );
  assert.deepEqual([columns[9].counts, columns[9].cost, columns[10].cost], [NINE.runs, 1.5, null]);
  assert.ok(columns.every(({ start, end }) => end - start === HOUR && start % HOUR === 0));
});

test("a stretch of years does not make any number of columns", () => {
  assert.equal(columnsOf(statistics(), 0, FROM).length, 500);
});

test("totals are the sums of all columns, and no figure where none is reported", () => {
  assert.deepEqual(totalsOf(statistics(TEN, NINE)), {
    launches: 4,
    counts: { failure: 1, success: 3 },
    cost: 1.5,
    tokens: null,
  });
});

test("costs of launches that are loaded replace what the launches themselves report", () => {
  const columns = columnsOf(statistics(TEN, NINE), FROM, FROM + 12 * HOUR);
  const launches = [
    { start: FROM + 10 * HOUR, cost: 2 },
    { start: FROM + 10.9 * HOUR, cost: 3 },
    { start: FROM - HOUR, cost: 7 },
    { start: FROM + 11 * HOUR, cost: null },
  ];
  const costs = withCosts(columns, launches).map(({ cost }) => cost);
  assert.deepEqual(costs.slice(9), [null, 5, null]);
});

test("a few costs far above the others do not flatten them", () => {
  /** @param {number[]} costs */
  const scale = (...costs) => costScale(costs.map((cost) => ({ start: 0, end: 1, counts: {}, launches: 1, cost })));
  assert.equal(scale(1, 90, 2, 3), 3);
  assert.equal(scale(1, 2, 3), 3);
  assert.equal(scale(5), 5);
  assert.equal(scale(), 0);
});

test("the top of the scale is a round number that holds every column", () => {
  assert.deepEqual([0, 1, 3, 5, 6, 10, 11, 60, 999, 1001].map(countScale), [1, 1, 3, 5, 10, 10, 20, 100, 1000, 2000]);
});
