/** What a launch used: sums over its innermost runs, beside what runs say about themselves. */

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */
/** @typedef {import("./tree.js").TreeRun} TreeRun */

/** Sums that differ by less, in relation to the larger, count as equal: clients round what they report. */
const TOLERANCE = 0.001;

/**
 * @typedef {object} Sums
 * @property {Float64Array} sum for each run the sum over the innermost runs at or below it; NaN if none reports
 * @property {Float64Array} own what the run itself reports; NaN if nothing
 * @property {Uint8Array} innermost 1 for runs that report and have no descendant that does
 */

/**
 * Sum up a metric over the innermost runs that report it.
 *
 * An agent's own total of its calls is thereby not counted twice.
 *
 * @param {LaunchTree} tree
 * @param {(run: TreeRun) => number} metric NaN for a run that does not report it
 * @returns {Sums}
 */
export function sumInnermost(tree, metric) {
  const own = Float64Array.from(tree.runs, metric);
  const sum = new Float64Array(own.length).fill(Number.NaN);
  const innermost = new Uint8Array(own.length);
  for (let index = own.length - 1; index >= 0; index--) {
    if (Number.isNaN(sum[index]) && !Number.isNaN(own[index])) {
      sum[index] = own[index];
      innermost[index] = 1;
    }
    const parent = tree.parent[index];
    if (parent >= 0 && !Number.isNaN(sum[index])) sum[parent] = (sum[parent] || 0) + sum[index];
  }
  return { sum, own, innermost };
}

/**
 * Return the figure that a run reports itself if it contradicts the sum over the innermost runs.
 *
 * @param {number} own
 * @param {number} sum
 * @returns {number} NaN if it does not
 */
export function ownFigure(own, sum) {
  return Math.abs(own - sum) > Math.max(Math.abs(own), Math.abs(sum)) * TOLERANCE ? own : Number.NaN;
}

/**
 * Return what a run says it cost, in dollars.
 *
 * @param {TreeRun} run
 */
export function costOf(run) {
  return numberIn(run.metrics_json, "cost_usd");
}

/**
 * Return how many tokens a run says it used.
 *
 * @param {TreeRun} run
 */
export function tokensOf(run) {
  return tokensIn(run.metrics_json);
}

/**
 * Return how many tokens these metrics say: the total, or input and output together.
 *
 * @param {Record<string, unknown> | null | undefined} metrics
 * @returns {number} NaN if they do not say
 */
export function tokensIn(metrics) {
  const total = numberIn(metrics, "total_tokens");
  if (!Number.isNaN(total)) return total;
  const input = numberIn(metrics, "input_tokens");
  const output = numberIn(metrics, "output_tokens");
  return Number.isNaN(input) ? output : input + (output || 0);
}

/**
 * @param {Record<string, unknown> | null | undefined} metrics
 * @param {string} name
 */
function numberIn(metrics, name) {
  const value = metrics?.[name];
  return typeof value === "number" ? value : Number.NaN;
}

/**
 * @typedef {object} AgentCost
 * @property {string} agent
 * @property {number} runs how many innermost runs reported
 * @property {number} cost dollars; 0 if none reports a cost
 * @property {number} tokens 0 if none reports tokens
 */

/**
 * Split the sums by the agents of the innermost runs, the dearest first.
 *
 * @param {LaunchTree} tree
 * @param {Sums} cost
 * @param {Sums} tokens
 * @returns {AgentCost[]}
 */
export function costByAgent(tree, cost, tokens) {
  /** @type {Map<string, AgentCost>} */
  const agents = new Map();
  for (let index = 0; index < tree.runs.length; index++) {
    if (cost.innermost[index] === 0 && tokens.innermost[index] === 0) continue;
    const agent = tree.runs[index].agent_name;
    const entry = agents.get(agent) ?? { agent, runs: 0, cost: 0, tokens: 0 };
    entry.runs += 1;
    if (cost.innermost[index] > 0) entry.cost += cost.own[index];
    if (tokens.innermost[index] > 0) entry.tokens += tokens.own[index];
    agents.set(agent, entry);
  }
  return [...agents.values()].sort((left, right) => right.cost - left.cost || right.tokens - left.tokens);
}
