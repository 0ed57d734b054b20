/** Two launches side by side: which run of the one does what which run of the other does. */

import { foldKey } from "./rows.js";

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

/**
 * The pairs of two launches in preorder. `-1` stands for no run. It folds and filters as the tree of a launch does.
 *
 * @typedef {object} Alignment
 * @property {Int32Array} left index of the run in the first launch
 * @property {Int32Array} right index of the run in the second launch; never both -1
 * @property {Int32Array} parent index of the parent pair, -1 for the first pair
 * @property {Int32Array} depth
 * @property {Int32Array} next index after the last descendant
 * @property {{event_id: string}[]} runs keys of the pairs, which stay when runs are added elsewhere
 */

/** Separators between what names a launch and what names a run in it. */
const SEPARATORS = ".:/-_ ";

/**
 * Pair the runs of two launches.
 *
 * The two first runs are a pair. Below a pair, runs are paired that have the same name once the name of their launch is
 * taken away. Runs whose names say nothing about the launch, such as ids of spans, are paired by item, job type and
 * agent. Where several would do, their order decides. A run without a partner stands beside nothing, and so does
 * everything below it.
 *
 * @param {LaunchTree} left
 * @param {LaunchTree} right
 * @returns {Alignment}
 */
export function align(left, right) {
  const sides = /** @type {[Side, Side]} */ ([sideOf(left), sideOf(right)]);
  /** @type {[number, number, number][]} Pairs to be placed, the next one last, each with its parent. */
  const waiting = [[0, 0, -1]];
  /** @type {{left: number[], right: number[], parent: number[]}} */
  const found = { left: [], right: [], parent: [] };
  for (let pair = waiting.pop(); pair; pair = waiting.pop()) {
    const [inLeft, inRight, parent] = pair;
    const place = found.left.push(inLeft) - 1;
    found.right.push(inRight);
    found.parent.push(parent);
    const below = pairChildren(sides, inLeft, inRight);
    for (const [first, second] of below.reverse()) waiting.push([first, second, place]);
  }
  return describe(sides, found);
}

/**
 * @typedef {object} Side
 * @property {string[]} keys by which runs are paired
 * @property {number[][]} children by the index of the parent
 */

/**
 * @param {LaunchTree} tree
 * @returns {Side}
 */
function sideOf(tree) {
  /** @type {number[][]} */
  const children = tree.runs.map(() => []);
  for (let index = 1; index < tree.runs.length; index++) children[tree.parent[index]].push(index);
  return { keys: tree.runs.map((_, index) => alignmentKey(tree, index)), children };
}

/**
 * @param {[Side, Side]} sides
 * @param {number} inLeft
 * @param {number} inRight
 * @returns {[number, number][]} in the order of the first launch; what only the second has stands where it stood there
 */
function pairChildren([left, right], inLeft, inRight) {
  const first = inLeft < 0 ? [] : left.children[inLeft];
  const second = inRight < 0 ? [] : right.children[inRight];
  const partner = partners(left.keys, first, right.keys, second);
  const backwards = new Map([...partner].map(([mine, other]) => [other, mine]));
  /** @type {Map<number, [number, number][]>} What only the second launch has, by the run before it in the first. */
  const following = new Map([-1, ...first].map((index) => [index, []]));
  let after = following.get(-1);
  for (const other of second) {
    const mine = backwards.get(other);
    if (mine === undefined) after?.push([-1, other]);
    else after = following.get(mine);
  }
  /** @type {[number, number][]} */
  const pairs = [];
  let waiting = following.get(-1) ?? [];
  for (const mine of first) {
    const other = partner.get(mine);
    // What replaces something stands below it, before the next pair.
    if (other !== undefined) pairs.push(...waiting);
    if (other !== undefined) waiting = following.get(mine) ?? [];
    pairs.push([mine, other ?? -1]);
  }
  return [...pairs, ...waiting];
}

/**
 * @param {string[]} left keys of the first launch
 * @param {number[]} first
 * @param {string[]} right
 * @param {number[]} second
 * @returns {Map<number, number>} from runs of the first launch to runs of the second
 */
function partners(left, first, right, second) {
  /** @type {Map<string, number[]>} */
  const offered = new Map();
  for (const index of second) {
    const key = right[index];
    const same = offered.get(key);
    if (same) same.push(index);
    else offered.set(key, [index]);
  }
  /** @type {Map<string, number>} How many of each key have a partner already. */
  const used = new Map();
  /** @type {Map<number, number>} */
  const found = new Map();
  for (const index of first) {
    const key = left[index];
    const nth = used.get(key) ?? 0;
    const other = offered.get(key)?.[nth];
    if (other === undefined) continue;
    found.set(index, other);
    used.set(key, nth + 1);
  }
  return found;
}

/**
 * Return by what a run is paired among its siblings.
 *
 * @param {LaunchTree} tree
 * @param {number} index
 * @returns {string}
 */
export function alignmentKey(tree, index) {
  const { run_id, item_name, job_type, agent_name } = tree.runs[index];
  const launch = tree.runs[0].run_id;
  const continues = run_id.startsWith(launch) && SEPARATORS.includes(run_id.charAt(launch.length) || "?");
  if (continues) return `name ${run_id.slice(launch.length + 1)}`;
  return `work ${JSON.stringify([item_name ?? null, job_type, agent_name])}`;
}

/**
 * @param {[Side, Side]} sides
 * @param {{left: number[], right: number[], parent: number[]}} found in preorder
 * @returns {Alignment}
 */
function describe([left, right], found) {
  const size = found.left.length;
  const depth = new Int32Array(size);
  const next = Int32Array.from({ length: size }, (_, index) => index + 1);
  /** @type {string[]} */
  const keys = [];
  /** @type {Map<string, number>} */
  const repeated = new Map();
  for (let index = 0; index < size; index++) {
    const parent = found.parent[index];
    if (parent >= 0) depth[index] = depth[parent] + 1;
    const name = found.left[index] >= 0 ? left.keys[found.left[index]] : right.keys[found.right[index]];
    const path = parent >= 0 ? `${keys[parent]} ${name}` : "";
    const nth = repeated.get(path) ?? 0;
    repeated.set(path, nth + 1);
    // Hashed at each level, so that keys do not grow with depth.
    keys.push(foldKey(`${path} ${nth}`));
  }
  for (let index = size - 1; index > 0; index--) {
    const parent = found.parent[index];
    next[parent] = Math.max(next[parent], next[index]);
  }
  return {
    left: Int32Array.from(found.left),
    right: Int32Array.from(found.right),
    parent: Int32Array.from(found.parent),
    depth,
    next,
    runs: keys.map((key) => ({ event_id: key })),
  };
}
