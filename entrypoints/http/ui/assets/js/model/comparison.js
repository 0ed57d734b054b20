/** What changed from one launch to another: facts with their differences, and the pairs that differ. */

import { isProblem } from "../lib/status.js";
import { align } from "./alignment.js";
import { shortName } from "./names.js";
import { sumBelow } from "./tree.js";

/** @typedef {import("./launch.js").Launch} Launch */
/** @typedef {"same" | "status" | "left" | "right" | "amount"} Kind `left`, `right`: only there. `amount`: see below. */

/** A duration or a cost has changed if it differs by this part of the larger one… */
const OWN_PART = 0.25;
/** …and by this part of what the larger launch has. */
const LAUNCH_PART = 0.01;
/** How many of the pairs that changed most are named. */
const MOST_CHANGED = 8;
/** Differences below this part are those of floating-point sums. */
const ROUNDING = 1e-9;

/**
 * @typedef {object} Amounts One per pair; NaN for none.
 * @property {Float64Array} left
 * @property {Float64Array} right
 */

/**
 * @typedef {object} Comparison
 * @property {Launch} left
 * @property {Launch} right
 * @property {import("./alignment.js").Alignment} pairs
 * @property {Kind[]} kinds
 * @property {Amounts} durations in milliseconds
 * @property {Amounts} costs in dollars
 * @property {Uint8Array} differs 1 for pairs that are not the same
 * @property {Int32Array} below how many pairs below each differ
 * @property {Uint8Array} origins 1 for pairs that differ and have no such pair below
 * @property {Record<Kind, number>} counts
 */

/**
 * Compare two launches.
 *
 * @param {Launch} left
 * @param {Launch} right
 * @returns {Comparison}
 */
export function compare(left, right) {
  const pairs = align(left.tree, right.tree);
  const durations = {
    left: amounts(pairs.left, durationsOf(left)),
    right: amounts(pairs.right, durationsOf(right)),
  };
  const costs = { left: amounts(pairs.left, left.cost.sum), right: amounts(pairs.right, right.cost.sum) };
  const kinds = Array.from(pairs.left, (_, at) => kindOf(left, right, pairs, at, [durations, costs]));
  const counts = { same: 0, status: 0, left: 0, right: 0, amount: 0 };
  for (const kind of kinds) counts[kind] += 1;
  const differs = Uint8Array.from(kinds, (kind) => (kind === "same" ? 0 : 1));
  const below = sumBelow(pairs.parent, differs);
  const origins = differs.map((one, at) => (one > 0 && below[at] === 0 ? 1 : 0));
  return { left, right, pairs, kinds, durations, costs, differs, below, origins, counts };
}

/**
 * Name a pair as a reader calls it.
 *
 * @param {Comparison} comparison
 * @param {number} at
 * @returns {string}
 */
export function pairName({ left, right, pairs }, at) {
  return pairs.left[at] >= 0 ? shortName(left.tree, pairs.left[at]) : shortName(right.tree, pairs.right[at]);
}

/** @param {Launch} launch */
function durationsOf({ tree }) {
  return tree.end.map((end, index) => end - tree.start[index]);
}

/**
 * @param {Int32Array} indexes
 * @param {Float64Array} values
 * @returns {Float64Array}
 */
function amounts(indexes, values) {
  return Float64Array.from(indexes, (index) => (index < 0 ? Number.NaN : values[index]));
}

/**
 * @param {Launch} left
 * @param {Launch} right
 * @param {import("./alignment.js").Alignment} pairs
 * @param {number} at
 * @param {Amounts[]} measured
 * @returns {Kind}
 */
function kindOf(left, right, pairs, at, measured) {
  const [inLeft, inRight] = [pairs.left[at], pairs.right[at]];
  if (inRight < 0) return "left";
  if (inLeft < 0) return "right";
  if (left.tree.runs[inLeft].status !== right.tree.runs[inRight].status) return "status";
  return measured.some((amount) => hasChanged(amount, at)) ? "amount" : "same";
}

/**
 * Return whether an amount differs by more than two launches of the same work differ anyway.
 *
 * @param {Amounts} amount
 * @param {number} at
 * @returns {boolean}
 */
export function hasChanged(amount, at) {
  const [left, right] = [amount.left[at] || 0, amount.right[at] || 0];
  const whole = Math.max(amount.left[0] || 0, amount.right[0] || 0);
  const least = Math.max(OWN_PART * Math.max(left, right), LAUNCH_PART * whole);
  return difference(amount, at) >= least && change(left, right) !== 0;
}

/**
 * Return the pairs with the largest difference in an amount, the largest first. Only innermost pairs count, since what
 * holds them differs by the same.
 *
 * @param {Comparison} comparison
 * @param {Amounts} amount
 * @returns {number[]}
 */
export function mostChanged({ pairs }, amount) {
  const changed = [];
  for (let at = 0; at < pairs.runs.length; at++) {
    const isInnermost = pairs.next[at] === at + 1;
    if (isInnermost && hasChanged(amount, at)) changed.push(at);
  }
  return changed.sort((one, other) => difference(amount, other) - difference(amount, one)).slice(0, MOST_CHANGED);
}

/**
 * @param {Amounts} amount
 * @param {number} at
 */
function difference(amount, at) {
  return Math.abs(change(amount.left[at] || 0, amount.right[at] || 0));
}

/**
 * Return by how much an amount changed. What is left over when the same costs are added up in another order is nothing.
 *
 * @param {number} left
 * @param {number} right
 * @returns {number} NaN if there is none on one side
 */
export function change(left, right) {
  return Math.abs(right - left) <= ROUNDING * Math.max(Math.abs(left), Math.abs(right)) ? 0 : right - left;
}

/**
 * @typedef {object} Facts
 * @property {import("../lib/status.js").Status} status
 * @property {number} duration in milliseconds
 * @property {number} runs
 * @property {number} problems
 * @property {number} tokens NaN if none are reported
 * @property {number} cost in dollars; NaN if none is reported
 * @property {number} commits
 */

/**
 * Return what is compared of the launches as a whole.
 *
 * @param {Launch} launch
 * @returns {Facts}
 */
export function factsOf(launch) {
  const { tree, cost, tokens, commits } = launch;
  return {
    status: tree.runs[0].status,
    duration: tree.end[0] - tree.start[0],
    runs: tree.total ?? tree.runs.length,
    problems: tree.runs.filter(({ status }) => isProblem(status)).length,
    tokens: tokens.sum[0],
    cost: cost.sum[0],
    commits: commits.length,
  };
}
