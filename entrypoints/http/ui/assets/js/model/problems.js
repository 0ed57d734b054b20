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
  const candidates = [];
  for (let index = 1; index < tree.runs.length; index++) {
    if (tree.problems[index] > 0 && tree.problemsBelow[index] === 0) candidates.push(index);
  }
  const successes = laterSuccesses(tree, earliestEnds(tree, candidates));
  for (const index of candidates) {
    const later = successes.get(tree.parent[index])?.get(workOf(tree, index));
    if (later !== undefined && later >= tree.end[index]) recovered[index] = 1;
  }
  return recovered;
}

/**
 * @param {LaunchTree} tree
 * @param {number[]} indexes
 * @returns {Map<number, Map<string, number>>} when the first of these runs ended, by parent and agent
 */
function earliestEnds(tree, indexes) {
  const ends = new Map();
  for (const index of indexes) {
    const agents = entryOf(ends, tree.parent[index]);
    const agent = tree.runs[index].agent_name;
    agents.set(agent, Math.min(tree.end[index], agents.get(agent) ?? Number.POSITIVE_INFINITY));
  }
  return ends;
}

/**
 * @param {LaunchTree} tree
 * @param {Map<number, Map<string, number>>} ends when the first candidate ended, by parent and agent
 * @returns {Map<number, Map<string, number>>} the latest start of a run that succeeded after that, by parent and work
 */
function laterSuccesses(tree, ends) {
  const successes = new Map();
  for (let index = 1; index < tree.runs.length; index++) {
    const { status, agent_name } = tree.runs[index];
    const ended = status === "success" ? ends.get(tree.parent[index])?.get(agent_name) : undefined;
    // Naming the work of every run would take too long.
    if (ended === undefined || tree.start[index] < ended) continue;
    const works = entryOf(successes, tree.parent[index]);
    const work = workOf(tree, index);
    works.set(work, Math.max(tree.start[index], works.get(work) ?? Number.NEGATIVE_INFINITY));
  }
  return successes;
}

/**
 * @param {Map<number, Map<string, number>>} maps
 * @param {number} key
 * @returns {Map<string, number>} the one at this key, which is added if there is none
 */
function entryOf(maps, key) {
  const known = maps.get(key);
  if (known) return known;
  const added = new Map();
  maps.set(key, added);
  return added;
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
  return `${agent_name}\0${job_type}\0${item_name ?? ""}\0${name}`;
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
