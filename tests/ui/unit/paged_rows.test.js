import assert from "node:assert/strict";
import { test } from "node:test";

import { withFirstPage, withNextPage } from "../../../entrypoints/http/ui/assets/js/model/paged_rows.js";

/** @typedef {import("../../../entrypoints/http/ui/assets/js/lib/page.js").Run} Run */

/**
 * Runs named by numbers, the newest first.
 *
 * @param {number} newest
 * @param {number} oldest
 * @param {Partial<Run>} [fields]
 * @returns {Run[]}
 */
function runs(newest, oldest, fields) {
  const names = Array.from({ length: newest - oldest + 1 }, (_, index) => String(newest - index));
  return names.map((event_id) => /** @type {Run} */ ({ event_id, ...fields }));
}

/**
 * @param {Run[]} found
 * @param {string | null} next_cursor
 */
const page = (found, next_cursor) => ({ runs: found, total: null, next_cursor });

const NONE = { runs: [], cursor: null };

/** @param {import("../../../entrypoints/http/ui/assets/js/model/paged_rows.js").Rows} rows */
const names = (rows) => rows.runs.map(({ event_id }) => Number(event_id));

test("pages follow one another, and no run is there twice", () => {
  const first = withFirstPage(NONE, page(runs(9, 7), "7"));
  const second = withNextPage(first, page(runs(7, 4), "4"));
  assert.deepEqual([names(second), second.cursor], [[9, 8, 7, 6, 5, 4], "4"]);
  assert.equal(withNextPage(second, page(runs(3, 3), null)).cursor, null);
});

test("new runs come in at the top while those of further pages stay", () => {
  const known = { runs: runs(9, 4), cursor: "4" };
  const now = withFirstPage(known, page(runs(11, 9), "9"));
  assert.deepEqual([names(now), now.cursor], [[11, 10, 9, 8, 7, 6, 5, 4], "4"]);
});

test("a run that is gone from the first page is gone", () => {
  const known = { runs: runs(9, 4), cursor: "4" };
  const now = withFirstPage(known, page([...runs(9, 9), ...runs(7, 6)], "6"));
  assert.deepEqual(names(now), [9, 7, 6, 5, 4]);
});

test("if so many came in that runs may be missing between, the list begins anew", () => {
  const known = { runs: runs(9, 4), cursor: "4" };
  const now = withFirstPage(known, page(runs(30, 28), "28"));
  assert.deepEqual([names(now), now.cursor], [[30, 29, 28], "28"]);
});

test("a first page without a next one is the whole list", () => {
  assert.deepEqual(withFirstPage({ runs: runs(9, 4), cursor: "4" }, page(runs(9, 8), null)), {
    runs: runs(9, 8),
    cursor: null,
  });
});

test("a search that finds nothing at once keeps what it found further back", () => {
  const known = { runs: runs(3, 3), cursor: "2" };
  assert.deepEqual(withFirstPage(known, page([], "9")), known);
  assert.deepEqual(withFirstPage(NONE, page([], "9")), { runs: [], cursor: "9" });
});

test("a rollup that is known stays until the next one comes", () => {
  const rollup = { runs: 1, status: {}, metrics: {}, causes: [], commits: [] };
  const known = { runs: runs(2, 1, { rollup }), cursor: null };
  const now = withFirstPage(known, page(runs(3, 1), null));
  assert.deepEqual(
    now.runs.map((run) => run.rollup),
    [undefined, rollup, rollup],
  );
  assert.equal(withFirstPage(known, page(runs(2, 1, { rollup: null }), null)).runs[0].rollup, null);
});
