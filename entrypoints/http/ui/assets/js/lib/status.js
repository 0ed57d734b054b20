/** The six statuses of a run: their order, names and icons, and which of them are problems. */

/** @typedef {"failure" | "timeout" | "partial" | "cancelled" | "running" | "success"} Status */

/** @type {readonly Status[]} The worst first. */
export const STATUSES = ["failure", "timeout", "partial", "cancelled", "running", "success"];

/** @type {readonly Status[]} */
export const PROBLEMS = ["failure", "timeout", "partial", "cancelled"];

/** @type {Readonly<Record<Status, string>>} */
const NAMES = {
  failure: "failed",
  timeout: "timed out",
  partial: "partial",
  cancelled: "cancelled",
  running: "running",
  success: "succeeded",
};

/**
 * Return the name of a status as a person reads it.
 *
 * @param {Status} status
 * @returns {string}
 */
export function statusName(status) {
  return NAMES[status];
}

/**
 * Return whether a run of this status did not do all it should.
 *
 * @param {Status} status
 * @returns {boolean}
 */
export function isProblem(status) {
  return PROBLEMS.includes(status);
}

/**
 * Return how bad a status is: 0 is the worst.
 *
 * @param {Status} status
 * @returns {number}
 */
export function severity(status) {
  return STATUSES.indexOf(status);
}

/**
 * Return the statuses that were counted at least once, the worst first.
 *
 * @param {Partial<Record<Status, number>>} counts
 * @returns {{status: Status, runs: number}[]}
 */
export function counted(counts) {
  return STATUSES.flatMap((status) => (counts[status] ? [{ status, runs: counts[status] }] : []));
}
