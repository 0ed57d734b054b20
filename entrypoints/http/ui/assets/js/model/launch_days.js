/**
 * Launches grouped by day.
 *
 * @typedef {import("../lib/page.js").Run} Run
 *
 * @typedef {object} DayItem
 * @property {"day"} kind
 * @property {number} start Of the day, in milliseconds since the epoch.
 * @property {number} launches
 * @property {number} problems
 * @property {number | null} cost
 * @property {boolean} isWhole Whether all launches of the day are there.
 *
 * @typedef {{kind: "launch", run: Run}} LaunchItem
 * @typedef {DayItem | LaunchItem} Item
 */

import { milliseconds } from "../lib/format.js";
import { isProblem } from "../lib/status.js";
import { plus } from "./histogram.js";
import { metricOf } from "./launch_summary.js";
import { startOfDay } from "./time_ranges.js";

/**
 * Return the launches in order, each day preceded by what its launches add up to.
 *
 * @param {readonly Run[]} runs The newest first.
 * @param {string} zone
 * @param {boolean} isAll Whether these are all launches; if not, more of the last day may follow.
 * @returns {Item[]}
 */
export function byDay(runs, zone, isAll) {
  /** @type {Item[]} */
  const items = [];
  /** @type {DayItem | null} */
  let day = null;
  for (const run of runs) {
    const start = milliseconds(run.start_time);
    // Only a launch of an earlier day needs a look at the calendar.
    if (!day || start < day.start) {
      day = { kind: "day", start: startOfDay(start, zone), launches: 0, problems: 0, cost: null, isWhole: true };
      items.push(day);
    }
    day.launches += 1;
    day.problems += isProblem(run.status) ? 1 : 0;
    day.cost = plus(day.cost, metricOf(run, "cost_usd"));
    items.push({ kind: "launch", run });
  }
  if (day) day.isWhole = isAll;
  return items;
}
