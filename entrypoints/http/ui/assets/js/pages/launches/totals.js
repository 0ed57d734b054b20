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
  const spent = [
    figures.cost !== null && cost(figures.cost),
    figures.tokens !== null && `${tokens(figures.tokens)} tokens`,
  ].filter(Boolean);
  replace(
    element,
    el("strong", null, count(totals.launches)),
    ...countedStatuses(totals.counts)
      .filter(({ status }) => status !== "success")
      .map(({ status, runs: n }) => tally(status, n)),
    ...(isAll ? spent.map((figure) => el("span", null, figure)) : [reported(spent.join(", "))]),
    isAll && commits(runs),
  );
}

/**
 * @param {import("../../lib/status.js").Status} status
 * @param {number} n
 */
function tally(status, n) {
  return el("span", { class: "tally", "data-status": status }, icon(status), `${count(n)} ${statusName(status)}`);
}

/** @param {string} figures What the launches report themselves; empty for nothing. */
function reported(figures) {
  return figures && el("span", { class: "muted", title: "As the launches report it themselves" }, `says ${figures}`);
}

/** @param {readonly Run[]} runs */
function commits(runs) {
  const found = runs.reduce((sum, run) => sum + (run.rollup?.commits.length ?? 0), 0);
  return found ? el("span", null, counted(found, "commit")) : null;
}
