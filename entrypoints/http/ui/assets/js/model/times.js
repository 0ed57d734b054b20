/** When each run of a launch started and ended, those included that have not said so. */

/** @typedef {import("./tree.js").TreeRun} TreeRun */

/** How long a launch may be silent before its open runs count as abandoned, at least; and in multiples of its age. */
const SILENCE_MS = 3_600_000;
const SILENCE_RATIO = 10;

/**
 * Place every run on the time scale of its launch.
 *
 * A run without an end lasts until its parent ended. Above it, a launch in progress lasts until now, or until its last
 * sign of life if that is long ago: a killed launch from last month must not squeeze its runs into one pixel.
 *
 * @param {TreeRun[]} runs every parent before its children
 * @param {Int32Array} parent index of the parent, -1 for the first run
 * @param {number} now milliseconds since the epoch
 * @returns {{ origin: number, start: Float64Array, end: Float64Array, first: number, last: number }} all but the origin
 *   in milliseconds since the origin, which is the start of the first run
 */
export function placeInTime(runs, parent, now) {
  const starts = Float64Array.from(runs, (run) => Date.parse(run.start_time));
  const origin = starts.length > 0 ? starts[0] : now;
  const start = starts.map((time) => time - origin);
  const end = Float64Array.from(runs, (run, index) => knownEnd(run, start[index], origin));
  const first = start.reduce((least, time) => Math.min(least, time), 0);
  spreadEnds(runs, parent, start, end);
  if (end.some(Number.isNaN)) {
    const openEnd = endOfOpenRuns(runs, start, end, now - origin, origin);
    for (let index = 0; index < end.length; index++) {
      if (Number.isNaN(end[index])) end[index] = endWithin(index, parent, start, end, openEnd);
    }
  }
  return { origin, start, end, first, last: end.reduce((most, time) => Math.max(most, time), 0) };
}

/**
 * @param {TreeRun} run
 * @param {number} start
 * @param {number} origin
 * @returns {number} NaN if the run does not say
 */
function knownEnd(run, start, origin) {
  if (run.end_time) return Math.max(start, Date.parse(run.end_time) - origin);
  if (typeof run.duration_ms === "number") return start + run.duration_ms;
  return Number.NaN;
}

/**
 * Return how long a run took: what it says, or else what its place on the time scale tells.
 *
 * @param {{ runs: TreeRun[], start: Float64Array, end: Float64Array }} tree
 * @param {number} index
 * @returns {number | null} milliseconds; null if neither a finished run nor what is in it says
 */
export function durationOf({ runs, start, end }, index) {
  const { duration_ms, end_time, status } = runs[index];
  const placed = end[index] - start[index];
  const isKnown = placed > 0 || Boolean(end_time) || status === "running";
  return duration_ms ?? (isKnown ? placed : null);
}

/**
 * Let a finished run that says no end last as long as its descendants.
 *
 * @param {TreeRun[]} runs
 * @param {Int32Array} parent
 * @param {Float64Array} start
 * @param {Float64Array} end changed in place
 */
function spreadEnds(runs, parent, start, end) {
  const latest = Float64Array.from(start);
  for (let index = runs.length - 1; index >= 0; index--) {
    if (Number.isNaN(end[index]) && runs[index].status !== "running") end[index] = latest[index];
    if (!Number.isNaN(end[index])) latest[index] = Math.max(latest[index], end[index]);
    if (parent[index] >= 0) latest[parent[index]] = Math.max(latest[parent[index]], latest[index]);
  }
}

/**
 * @param {TreeRun[]} runs
 * @param {Float64Array} start
 * @param {Float64Array} end
 * @param {number} now milliseconds since the origin
 * @param {number} origin
 */
function endOfOpenRuns(runs, start, end, now, origin) {
  let lastSign = 0;
  for (let index = 0; index < start.length; index++) {
    lastSign = Math.max(lastSign, start[index], end[index] || 0);
  }
  const stored = lastStored(runs) - origin;
  const heard = stored <= now ? Math.max(lastSign, stored) : lastSign;
  if (now - heard > Math.max(SILENCE_MS, SILENCE_RATIO * lastSign)) return lastSign;
  return Math.max(now, lastSign);
}

/** @param {TreeRun[]} runs */
function lastStored(runs) {
  let latest = "";
  for (const run of runs) if (run.updated_at && run.updated_at > latest) latest = run.updated_at;
  return latest === "" ? Number.NEGATIVE_INFINITY : Date.parse(latest);
}

/**
 * @param {number} index
 * @param {Int32Array} parent
 * @param {Float64Array} start
 * @param {Float64Array} end ends of all runs before this one
 * @param {number} openEnd
 */
function endWithin(index, parent, start, end, openEnd) {
  const limit = parent[index] >= 0 ? end[parent[index]] : openEnd;
  return limit >= start[index] ? limit : Math.max(start[index], openEnd);
}
