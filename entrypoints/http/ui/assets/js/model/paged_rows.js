/**
 * Rows of a list that is read in pages: the first page again and again, the others once.
 *
 * @typedef {import("../lib/page.js").Run} Run
 * @typedef {import("../lib/page.js").RunPage} RunPage
 *
 * @typedef {object} Rows
 * @property {Run[]} runs The newest first, each once.
 * @property {string | null} cursor Of what follows; `null` at the end of the list.
 */

/**
 * Return the rows with the first page as it is now. Rows of further pages stay, unless the first page no longer reaches
 * what was known, so that rows between them may be missing.
 *
 * @param {Rows} known
 * @param {RunPage} page
 * @returns {Rows}
 */
export function withFirstPage(known, page) {
  const old = new Map(known.runs.map((run) => [run.event_id, run]));
  const first = page.runs.map((run) => withRollup(run, old.get(run.event_id)));
  if (!page.next_cursor) return { runs: first, cursor: null };
  // A search that examined all it may has found what is known on further pages.
  if (!first.length) return known.runs.length ? known : { runs: first, cursor: page.next_cursor };
  const names = new Set(page.runs.map((run) => run.event_id));
  const last = known.runs.findLastIndex((run) => names.has(run.event_id));
  const isDense = last >= 0 && last + 1 < known.runs.length;
  if (!isDense) return { runs: first, cursor: page.next_cursor };
  return { runs: [...first, ...known.runs.slice(last + 1)], cursor: known.cursor };
}

/**
 * Return the rows with the page that follows them.
 *
 * @param {Rows} known
 * @param {RunPage} page
 * @returns {Rows}
 */
export function withNextPage(known, page) {
  const names = new Set(known.runs.map((run) => run.event_id));
  const added = page.runs.filter((run) => !names.has(run.event_id));
  return { runs: [...known.runs, ...added], cursor: page.next_cursor };
}

/**
 * A page may be read without rollups first, since they take longer. What was known of a run is better than nothing.
 *
 * @param {Run} run
 * @param {Run | undefined} known
 * @returns {Run}
 */
function withRollup(run, known) {
  return run.rollup === undefined && known?.rollup ? { ...run, rollup: known.rollup } : run;
}
