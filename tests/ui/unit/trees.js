/** Trees for the tests: written by hand from short descriptions, or generated. */

import { buildTree } from "../../../entrypoints/http/ui/assets/js/model/tree.js";

/** @typedef {import("../../../entrypoints/http/ui/assets/js/model/tree.js").TreeRun} TreeRun */

export const ORIGIN = Date.parse("2026-01-31T09:00:00Z");

/**
 * Describe one run.
 *
 * @param {Partial<TreeRun> & { from?: number, to?: number | null }} fields `from` and `to` in milliseconds since the
 *   origin; no end if `to` is null
 * @returns {TreeRun}
 */
export function run({ from = 0, to = 1000, ...fields }) {
  const name = fields.run_id ?? "launch";
  return {
    event_id: `event-${name}`,
    run_id: name,
    agent_name: "agent",
    job_type: "job",
    status: "success",
    start_time: new Date(ORIGIN + from).toISOString(),
    end_time: to === null ? null : new Date(ORIGIN + to).toISOString(),
    parent: null,
    ...fields,
  };
}

/**
 * Build a tree from its runs.
 *
 * @param {TreeRun[]} runs
 * @param {number} [now] milliseconds since the origin
 */
export function treeOf(runs, now = 0) {
  return buildTree({ runs, total: runs.length, truncated: false }, ORIGIN + now);
}

/**
 * Return pseudo-random integers, the same ones for the same seed.
 *
 * @param {number} seed
 * @returns {(below: number) => number}
 */
export function randomIntegers(seed) {
  let state = seed * 2 + 1;
  return (below) => {
    state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff || 1;
    return state % below;
  };
}

/**
 * Generate the runs of a launch: any shape, times that may leave the parent's, missing ends, repeated names.
 *
 * @param {number} seed
 * @param {number} size at least 1
 * @returns {TreeRun[]} parents before children
 */
export function randomRuns(seed, size) {
  const random = randomIntegers(seed);
  const chain = random(3) === 0;
  const statuses = /** @type {const} */ ([
    "success",
    "success",
    "success",
    "failure",
    "timeout",
    "partial",
    "cancelled",
    "running",
  ]);
  return Array.from({ length: size }, (_, index) => {
    const parent = index === 0 ? null : chain ? index - 1 - random(Math.min(index, 2)) : random(index);
    const from = random(10_000) - (index === 0 ? 0 : 100);
    const status = statuses[random(statuses.length)];
    return run({
      run_id: `run-${random(size)}`,
      event_id: `event-${index}`,
      agent_name: `agent-${random(3)}`,
      status,
      error_summary: status === "failure" ? `error ${random(3)}` : null,
      from,
      to: status === "running" || random(10) === 0 ? null : from + random(3) * random(2_000),
      metrics_json: random(3) === 0 ? { cost_usd: random(100) } : null,
      parent,
    });
  });
}

/** Many launches, small and odd ones first. */
export function randomTrees() {
  return Array.from({ length: 150 }, (_, seed) => treeOf(randomRuns(seed + 1, 1 + (seed % 60)), 20_000));
}
