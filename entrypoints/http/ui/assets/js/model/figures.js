/** The figures of a launch as a whole. */

import { PROBLEMS, counted } from "../lib/status.js";
import { tokensIn } from "./costs.js";

/** @typedef {import("./launch.js").Launch} Launch */
/** @typedef {import("../lib/page.js").Rollup} Rollup */

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
