/**
 * Launches by the time of their start, as columns of equal length.
 *
 * @typedef {import("../lib/status.js").Status} Status
 *
 * @typedef {object} Column
 * @property {number} start In milliseconds since the epoch.
 * @property {number} end
 * @property {Partial<Record<Status, number>>} counts
 * @property {number} launches
 * @property {number | null} cost In US dollars; `null` if no launch reports any.
 *
 * @typedef {object} Statistics The response of the API.
 * @property {number} bucket_seconds
 * @property {{start: string, runs: Partial<Record<Status, number>>, metrics: Record<string, number>}[]} buckets
 * @property {number} examined
 * @property {boolean} complete
 * @property {string | null} from
 *
 * @typedef {object} Totals
 * @property {number} launches
 * @property {Partial<Record<Status, number>>} counts
 * @property {number | null} cost
 * @property {number | null} tokens
 */

const MAX_COLUMNS = 500;
/** A cost this many times that of the next column would make all the others invisible. */
const OUTLIER = 4;
const MAX_OUTLIERS = 3;

/**
 * Return the columns of a stretch of time, those without launches too.
 *
 * @param {Statistics} statistics
 * @param {number} from
 * @param {number} to
 * @returns {Column[]}
 */
export function columnsOf(statistics, from, to) {
  const step = statistics.bucket_seconds * 1000;
  const buckets = new Map(statistics.buckets.map((bucket) => [Date.parse(bucket.start), bucket]));
  const columns = [];
  for (let start = Math.floor(from / step) * step; start < to && columns.length < MAX_COLUMNS; start += step) {
    const { runs = {}, metrics = {} } = buckets.get(start) ?? {};
    const launches = Object.values(runs).reduce((sum, count) => sum + count, 0);
    columns.push({ start, end: start + step, counts: runs, launches, cost: metrics.cost_usd ?? null });
  }
  return columns;
}

/**
 * Return the columns with costs added up from these launches, which must be all of them.
 *
 * @param {readonly Column[]} columns
 * @param {readonly {start: number, cost: number | null}[]} launches
 * @returns {Column[]}
 */
export function withCosts(columns, launches) {
  const priced = columns.map((column) => ({ ...column, cost: /** @type {number | null} */ (null) }));
  const [first] = priced;
  for (const { start, cost } of launches) {
    const column = first && priced[Math.floor((start - first.start) / (first.end - first.start))];
    if (column) column.cost = plus(column.cost, cost);
  }
  return priced;
}

/**
 * Return what all columns add up to.
 *
 * @param {Statistics} statistics
 * @returns {Totals}
 */
export function totalsOf({ buckets }) {
  /** @type {Totals} */
  const totals = { launches: 0, counts: {}, cost: null, tokens: null };
  for (const { runs, metrics } of buckets) {
    for (const [status, count] of /** @type {[Status, number][]} */ (Object.entries(runs))) {
      totals.counts[status] = (totals.counts[status] ?? 0) + count;
      totals.launches += count;
    }
    totals.cost = plus(totals.cost, metrics.cost_usd);
    totals.tokens = plus(totals.tokens, metrics.total_tokens);
  }
  return totals;
}

/**
 * Add a figure that may not be reported.
 *
 * @param {number | null} sum
 * @param {number | null | undefined} figure
 * @returns {number | null}
 */
export function plus(sum, figure) {
  return figure === null || figure === undefined ? sum : (sum ?? 0) + figure;
}

/**
 * Return the largest cost that is drawn to scale, leaving out a few that are far above all others.
 *
 * @param {readonly Column[]} columns
 * @returns {number} 0 if there are no costs.
 */
export function costScale(columns) {
  const costs = columns.map(({ cost }) => cost ?? 0).sort((a, b) => b - a);
  for (let index = 0; index < MAX_OUTLIERS; index += 1) {
    const next = costs[index + 1] ?? 0;
    if (next > 0 && (costs[index] ?? 0) > OUTLIER * next) return next;
  }
  return costs[0] ?? 0;
}

/**
 * Return a number of launches at least this large that reads well at the top of a scale: 1, 2, 3, 4, 5, 10, 20, 50, …
 *
 * @param {number} most
 * @returns {number}
 */
export function countScale(most) {
  if (most <= 5) return Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(most));
  return /** @type {number} */ ([1, 2, 5, 10].map((digit) => digit * power).find((top) => top >= most));
}
