/** The figures of a launch as a whole, and of each kind of work in it. */

import { PROBLEMS, counted } from "../lib/status.js";
import { tokensIn } from "./costs.js";

/** @typedef {import("./launch.js").Launch} Launch */
/** @typedef {import("../lib/page.js").Rollup} Rollup */
/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

/**
 * @typedef {object} Figures
 * @property {number | null} runs null if they were not all counted
 * @property {{ status: import("../lib/status.js").Status, runs: number }[]} problems the worst first
 * @property {number} cost dollars; NaN if no run reports any, as for the tokens
 * @property {number} tokens
 */

/**
 * Return the figures of a launch: those of its tree, or of the server's rollup if the tree is only a part of it.
 *
 * @param {Launch} launch
 * @param {Rollup | null} rollup
 * @returns {Figures}
 */
export function figuresOf({ tree, problemCounts, cost, tokens }, rollup) {
  if (rollup === null) return { runs: tree.total, problems: problemCounts, cost: cost.sum[0], tokens: tokens.sum[0] };
  return {
    runs: rollup.runs,
    problems: counted(rollup.status).filter(({ status }) => PROBLEMS.includes(status)),
    cost: rollup.metrics.cost_usd ?? Number.NaN,
    tokens: tokensIn(rollup.metrics),
  };
}

/**
 * @typedef {object} Kind
 * @property {string} jobType
 * @property {number} runs
 * @property {number} problems how many of them have a problem
 * @property {number} median their median duration, in milliseconds
 */

/**
 * Count the runs of a launch by job type, the most frequent first.
 *
 * @param {LaunchTree} tree
 * @returns {Kind[]}
 */
export function countKinds(tree) {
  /** @type {Map<string, number[]>} */
  const members = new Map();
  for (let index = 0; index < tree.runs.length; index++) {
    const jobType = tree.runs[index].job_type;
    const known = members.get(jobType);
    if (known) known.push(index);
    else members.set(jobType, [index]);
  }
  return [...members]
    .map(([jobType, indexes]) => ({
      jobType,
      runs: indexes.length,
      problems: indexes.reduce((sum, index) => sum + tree.problems[index], 0),
      median: medianDuration(tree, indexes),
    }))
    .sort((left, right) => right.runs - left.runs);
}

/**
 * @param {LaunchTree} tree
 * @param {number[]} indexes
 */
function medianDuration(tree, indexes) {
  const sorted = Float64Array.from(indexes, (index) => tree.end[index] - tree.start[index]).sort();
  return sorted[sorted.length >> 1];
}
