/** The critical path: which runs determined when their launch ended. */

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

/**
 * The path as segments of time that follow each other without a gap from the start of the first run to its end. Each
 * belongs to the innermost run that everything waited for.
 *
 * @typedef {object} CriticalPath
 * @property {Int32Array} run index of the run that a segment belongs to
 * @property {Float64Array} from start of a segment, in milliseconds since the origin of the tree
 * @property {Float64Array} to its end
 * @property {Uint8Array} onPath 1 for the runs on the path
 * @property {Float64Array} windowFrom for the runs on the path: from when everything waited for them or what is in them
 * @property {Float64Array} windowTo until when
 */

/**
 * Find the critical path of a launch.
 *
 * The way back from the end: a run waited for the child that ended last, before that for the child that had ended when
 * this one started, and so on. A child that still ran at that moment was not waited for. What no child covers is the
 * run's own time. Children are cut to their parent's time, so runs that outlast it do no harm.
 *
 * @param {LaunchTree} tree
 * @returns {CriticalPath}
 */
export function findCriticalPath(tree) {
  const size = tree.runs.length;
  const path = new PathBuilder(size);
  /** @type {number[]} */
  const pending = [];
  if (size > 0) path.enter(0, tree.start[0], tree.end[0], pending);
  while (pending.length > 0) {
    const index = /** @type {number} */ (pending.pop());
    walkBack(tree, index, childrenByEnd(tree, index), path, pending);
  }
  return path.finish();
}

/**
 * Split the window of a run among its children and itself.
 *
 * @param {LaunchTree} tree
 * @param {number} index
 * @param {number[]} children latest end first
 * @param {PathBuilder} path
 * @param {number[]} pending receives the children on the path
 */
function walkBack(tree, index, children, path, pending) {
  const from = path.windowFrom[index];
  const limit = path.windowTo[index];
  let cursor = limit;
  for (const child of children) {
    const start = Math.max(tree.start[child], from);
    const end = Math.min(tree.end[child], limit);
    if (end > cursor || end < from || start > end) continue;
    path.own(index, end, cursor);
    path.enter(child, start, end, pending);
    cursor = start;
  }
  path.own(index, from, cursor);
}

/**
 * @param {LaunchTree} tree
 * @param {number} index
 */
function childrenByEnd(tree, index) {
  const children = [];
  for (let child = index + 1; child < tree.next[index]; child = tree.next[child]) children.push(child);
  return children.sort((left, right) => tree.end[right] - tree.end[left] || tree.start[right] - tree.start[left]);
}

class PathBuilder {
  /** @type {{ run: number, from: number, to: number }[]} */
  #segments = [];

  /** @param {number} size number of runs */
  constructor(size) {
    this.onPath = new Uint8Array(size);
    this.windowFrom = new Float64Array(size);
    this.windowTo = new Float64Array(size);
  }

  /**
   * @param {number} index
   * @param {number} from
   * @param {number} to
   * @param {number[]} pending
   */
  enter(index, from, to, pending) {
    this.onPath[index] = 1;
    this.windowFrom[index] = from;
    this.windowTo[index] = to;
    pending.push(index);
  }

  /**
   * @param {number} run
   * @param {number} from
   * @param {number} to
   */
  own(run, from, to) {
    if (to > from) this.#segments.push({ run, from, to });
  }

  /** @returns {CriticalPath} */
  finish() {
    const { onPath, windowFrom, windowTo } = this;
    const segments = this.#segments.sort((left, right) => left.from - right.from);
    return {
      run: Int32Array.from(segments, (segment) => segment.run),
      from: Float64Array.from(segments, (segment) => segment.from),
      to: Float64Array.from(segments, (segment) => segment.to),
      onPath,
      windowFrom,
      windowTo,
    };
  }
}

/**
 * Group the segments by run, for drawing them in the run's row.
 *
 * @param {CriticalPath} path
 * @returns {Map<number, [number, number][]>} from and to of each segment, ascending
 */
export function segmentsByRun(path) {
  /** @type {Map<number, [number, number][]>} */
  const segments = new Map();
  for (let at = 0; at < path.run.length; at++) {
    const own = segments.get(path.run[at]);
    if (own) own.push([path.from[at], path.to[at]]);
    else segments.set(path.run[at], [[path.from[at], path.to[at]]]);
  }
  return segments;
}
