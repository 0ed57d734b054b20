/**
 * The runs of a launch as a tree in display order: numbers in typed arrays beside the runs themselves.
 *
 * A run is known by its index. Runs stand in preorder, so that the descendants of `i` are `i + 1` to `next[i] - 1`, and
 * what is to be computed from leaves to root or back is one pass over the indexes, never a recursion.
 */

import { isProblem } from "../lib/status.js";
import { placeInTime } from "./times.js";

/**
 * A run as `/tree` returns it.
 *
 * @typedef {object} TreeRun
 * @property {string} event_id
 * @property {string} run_id
 * @property {string} agent_name
 * @property {string} job_type
 * @property {import("../lib/status.js").Status} status
 * @property {string} start_time
 * @property {string | null} [end_time]
 * @property {number | null} [duration_ms]
 * @property {string | null} [parent_run_id]
 * @property {string | null} [item_name]
 * @property {string | null} [error_summary]
 * @property {string | null} [commit_hash]
 * @property {string | null} [commit_source]
 * @property {string | null} [git_branch]
 * @property {string | null} [git_repo]
 * @property {string | null} [updated_at]
 * @property {Record<string, unknown> | null} [metrics_json]
 * @property {number | null} parent index within the response
 */

/**
 * @typedef {object} TreeResponse
 * @property {TreeRun[]} runs at least one
 * @property {number | null} total null if it was not counted to the end
 * @property {boolean} truncated
 */

/**
 * @typedef {object} LaunchTree
 * @property {TreeRun[]} runs in preorder, siblings in the order of the response
 * @property {Int32Array} parent index of the parent, -1 for the first run
 * @property {Int32Array} depth 0 for the first run
 * @property {Int32Array} next index after the last descendant
 * @property {Uint8Array} problems 1 for runs that have a problem
 * @property {Int32Array} problemsBelow how many descendants have a problem
 * @property {number} origin start of the launch, in milliseconds since the epoch
 * @property {Float64Array} start milliseconds since the origin; negative if clocks disagree
 * @property {Float64Array} end likewise, never before the start
 * @property {number} first start of the earliest run
 * @property {number} last end of the latest run
 * @property {number | null} total how many runs the launch has in the store; null if they were not all counted
 * @property {boolean} truncated whether the response left some of them out
 */

/**
 * Build the tree from the response of `/tree`.
 *
 * A run whose parent does not stand before it, which the server rules out, becomes a child of the first run.
 *
 * @param {TreeResponse} response
 * @param {number} now end of the runs in progress, in milliseconds since the epoch
 * @returns {LaunchTree}
 */
export function buildTree(response, now) {
  const { order, parent, depth, next } = preorder(response.runs);
  const runs = Array.from(order, (index) => response.runs[index]);
  const problems = Uint8Array.from(runs, (run) => (isProblem(run.status) ? 1 : 0));
  return {
    runs,
    parent,
    depth,
    next,
    problems,
    problemsBelow: sumBelow(parent, problems),
    ...placeInTime(runs, parent, now),
    total: response.total,
    truncated: response.truncated,
  };
}

/**
 * @param {TreeRun[]} runs
 * @returns {{ order: Int32Array, parent: Int32Array, depth: Int32Array, next: Int32Array }}
 */
function preorder(runs) {
  const given = Int32Array.from(runs, (run, index) => parentOf(run, index));
  const size = subtreeSizes(given);
  const position = new Int32Array(runs.length);
  const filled = new Int32Array(runs.length).fill(1);
  for (let index = 1; index < runs.length; index++) {
    const above = given[index];
    position[index] = position[above] + filled[above];
    filled[above] += size[index];
  }
  const order = new Int32Array(runs.length);
  const parent = new Int32Array(runs.length).fill(-1);
  const depth = new Int32Array(runs.length);
  const next = new Int32Array(runs.length);
  for (let index = 0; index < runs.length; index++) {
    const place = position[index];
    order[place] = index;
    next[place] = place + size[index];
    if (index > 0) {
      parent[place] = position[given[index]];
      depth[place] = depth[parent[place]] + 1;
    }
  }
  return { order, parent, depth, next };
}

/**
 * @param {TreeRun} run
 * @param {number} index
 */
function parentOf(run, index) {
  if (index === 0) return -1;
  const parent = run.parent;
  return parent !== null && Number.isInteger(parent) && parent >= 0 && parent < index ? parent : 0;
}

/** @param {Int32Array} parent every parent before its children */
function subtreeSizes(parent) {
  const size = new Int32Array(parent.length).fill(1);
  for (let index = parent.length - 1; index > 0; index--) size[parent[index]] += size[index];
  return size;
}

/**
 * Add up the values of each run's descendants, without its own.
 *
 * @param {Int32Array} parent every parent before its children
 * @param {Uint8Array} values
 */
export function sumBelow(parent, values) {
  const below = new Int32Array(parent.length);
  for (let index = parent.length - 1; index > 0; index--) below[parent[index]] += below[index] + values[index];
  return below;
}

/**
 * Find a run by its event, or the first one of that name.
 *
 * @param {LaunchTree} tree
 * @param {string} id an `event_id` or a `run_id`
 * @returns {number} -1 if there is none
 */
export function findRun(tree, id) {
  const index = tree.runs.findIndex((run) => run.event_id === id);
  return index >= 0 ? index : tree.runs.findIndex((run) => run.run_id === id);
}

/**
 * List the runs above a run, from the first run down to its parent.
 *
 * @param {LaunchTree} tree
 * @param {number} index
 */
export function ancestors(tree, index) {
  const found = [];
  for (let above = tree.parent[index]; above >= 0; above = tree.parent[above]) found.push(above);
  return found.reverse();
}

/**
 * Say whether a run has children.
 *
 * @param {LaunchTree} tree
 * @param {number} index
 */
export function hasChildren(tree, index) {
  return tree.next[index] > index + 1;
}
