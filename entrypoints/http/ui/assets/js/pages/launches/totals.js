/** What the launches of the chosen time add up to, in one line. */

import { el, icon, replace } from "../../lib/dom.js";
import { cost, count, counted, tokens } from "../../lib/format.js";
import { counted as countedStatuses, statusName } from "../../lib/status.js";
import { sumOf } from "../../model/launch_summary.js";

/** @typedef {import("../../lib/page.js").Run} Run */
/** @typedef {import("../../model/histogram.js").Totals} Totals */

/**
 * @typedef {object} Known
 * @property {Totals | null} totals By the server; `null` while they are not there.
 * @property {readonly Run[]} runs The launches loaded.
 * @property {boolean} isAll Whether these are all launches.
 */

/**
 * Show the totals.
 *
 * @param {HTMLElement} element
 * @param {Known} known
 */
export function showTotals(element, { totals, runs, isAll }) {
  if (!totals) {
    replace(element, el("span", { class: "muted" }, "…"));
    return;
  }
  // What the runs inside report is more exact than what the launches say, but takes having all of them.
  const figures = isAll ? { cost: sumOf(runs, "cost_usd"), tokens: sumOf(runs, "total_tokens") } : totals;
  const hint = isAll ? null : "As the launches report it themselves";
  replace(
    element,
    el("strong", null, count(totals.launches)),
    ...countedStatuses(totals.counts)
      .filter(({ status }) => status !== "success")
      .map(({ status, runs: n }) => tally(status, n)),
    figures.cost !== null && el("span", { title: hint }, cost(figures.cost)),
    figures.tokens !== null && el("span", { title: hint }, `${tokens(figures.tokens)} tokens`),
    commits(runs, isAll),
  );
}

/**
 * @param {import("../../lib/status.js").Status} status
 * @param {number} n
 */
function tally(status, n) {
  return el("span", { class: "tally", "data-status": status }, icon(status), `${count(n)} ${statusName(status)}`);
}

/**
 * @param {readonly Run[]} runs
 * @param {boolean} isAll
 */
function commits(runs, isAll) {
  const found = runs.reduce((sum, run) => sum + (run.rollup?.commits.length ?? 0), 0);
  if (!found) return null;
  const hint = isAll ? null : `In the newest ${counted(runs.length, "launch", "launches")}, which are loaded`;
  return el("span", { title: hint }, `${count(found)}${isAll ? "" : "+"} ${found === 1 ? "commit" : "commits"}`);
}
