/** Where the problems of a launch come from, and which of them a later attempt made good. */

import { shortName } from "./names.js";
import { sumBelow } from "./tree.js";

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

/**
 * Problems with the same error, in the order of their first run.
 *
 * @typedef {object} Cause
 * @property {string} error what the runs say about it, or an empty string
 * @property {import("../lib/status.js").Status} status
 * @property {number[]} runs indexes, ascending
 */

/**
 * @typedef {object} Problems
 * @property {Uint8Array} origins 1 for runs where a problem begins: no descendant has one that was not made good
 * @property {Uint8Array} recovered 1 for origins that a later attempt made good
 * @property {Uint8Array} unresolved 1 for the other origins: these are why the launch failed
 * @property {Cause[]} causes the unresolved origins, most frequent first
 * @property {Cause[]} recoveries the recovered ones, likewise
 */

/**
 * Find where the problems of a launch come from.
 *
 * @param {LaunchTree} tree
 * @returns {Problems}
 */
export function findProblems(tree) {
  const recovered = findRecovered(tree);
  const lasting = tree.problems.map((problem, index) => (problem > 0 && recovered[index] === 0 ? 1 : 0));
  const lastingBelow = sumBelow(tree.parent, lasting);
  const unresolved = lasting.map((problem, index) => (problem > 0 && lastingBelow[index] === 0 ? 1 : 0));
  const origins = unresolved.map((origin, index) => origin || recovered[index]);
  return {
    origins,
    recovered,
    unresolved,
    causes: groupByError(tree, unresolved),
    recoveries: groupByError(tree, recovered),
  };
}

/**
 * Mark the innermost problems that a later attempt made good.
 *
 * The later attempt is a sibling that does the same work, starts after the failed one ended, and succeeds. Numbered
 * siblings may as well be several pieces of work: as long as their parent has a problem, only runs of the same name or
 * item count as attempts, so that no cause is hidden.
 *
 * @param {LaunchTree} tree
 */
function findRecovered(tree) {
  const recovered = new Uint8Array(tree.runs.length);
  /** @type {Map<string, number>} the latest start of a successful run for each piece of work */
  const latestSuccess = new Map();
  const candidates = [];
  for (let index = 1; index < tree.runs.length; index++) {
    const candidate = tree.problems[index] > 0 && tree.problemsBelow[index] === 0;
    if (candidate) candidates.push(index);
  }
  // Naming the work of every run would take too long.
  const agents = agentsBelow(tree, candidates);
  for (let index = 1; index < tree.runs.length; index++) {
    const { status, agent_name } = tree.runs[index];
    if (status !== "success" || !agents.get(tree.parent[index])?.has(agent_name)) continue;
    const work = workOf(tree, index);
    latestSuccess.set(work, Math.max(tree.start[index], latestSuccess.get(work) ?? Number.NEGATIVE_INFINITY));
  }
  for (const index of candidates) {
    const later = latestSuccess.get(workOf(tree, index));
    if (later !== undefined && later >= tree.end[index]) recovered[index] = 1;
  }
  return recovered;
}

/**
 * @param {LaunchTree} tree
 * @param {number[]} indexes
 * @returns {Map<number, Set<string>>} the agents of these runs by the parent
 */
function agentsBelow(tree, indexes) {
  const agents = new Map();
  for (const index of indexes) {
    const known = agents.get(tree.parent[index]);
    if (known) known.add(tree.runs[index].agent_name);
    else agents.set(tree.parent[index], new Set([tree.runs[index].agent_name]));
  }
  return agents;
}

/**
 * Name the work that a run attempts, the same for all attempts below one parent.
 *
 * @param {LaunchTree} tree
 * @param {number} index
 */
function workOf(tree, index) {
  const { run_id, agent_name, job_type, item_name } = tree.runs[index];
  const parent = tree.parent[index];
  const numbersAreAttempts = tree.problems[parent] === 0 || Boolean(item_name);
  const name = numbersAreAttempts ? withoutNumber(shortName(tree, index)) : run_id;
  // No text holds a NUL, so the parts stay apart.
  return `${parent}\0${agent_name}\0${job_type}\0${item_name ?? ""}\0${name}`;
}

/** @param {string} name */
function withoutNumber(name) {
  return name.replace(/[-._ :/#]\d{1,2}$/, "");
}

/**
 * @param {LaunchTree} tree
 * @param {Uint8Array} marked
 * @returns {Cause[]}
 */
function groupByError(tree, marked) {
  /** @type {Map<string, Cause>} */
  const groups = new Map();
  for (let index = 0; index < marked.length; index++) {
    if (marked[index] === 0) continue;
    const { status, error_summary } = tree.runs[index];
    const error = error_summary ?? "";
    const key = `${status} ${error}`;
    const group = groups.get(key);
    if (group) group.runs.push(index);
    else groups.set(key, { error, status, runs: [index] });
  }
  return [...groups.values()].sort((left, right) => right.runs.length - left.runs.length);
}

/**
 * Find the next or previous marked run, starting over at the ends.
 *
 * @param {ArrayLike<number>} marked not 0 for the runs to stop at
 * @param {number} from index to start from, itself left out; -1 for none
 * @param {1 | -1} step
 * @returns {number} -1 if none is marked
 */
export function nextMarked(marked, from, step) {
  const size = marked.length;
  const begin = from < 0 && step < 0 ? size : from;
  for (let tried = 1; tried <= size; tried++) {
    const index = (((begin + step * tried) % size) + size) % size;
    if (marked[index]) return index;
  }
  return -1;
}
