/** How busy a launch was: how many innermost runs at once, and when problems occurred. */

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

/** Most bins that `findConcurrency` fills; a wide screen has no more pixels to show. */
export const MAX_BINS = 4000;

/**
 * @typedef {object} Concurrency
 * @property {Uint32Array} most the most innermost runs at once, for each bin
 * @property {Uint8Array} problems for each bin the number of the gravest status that was a problem, counting from 1;
 *   0 for none
 * @property {number} peak the most at once in the launch
 */

/**
 * Find how many innermost runs of a launch ran at once, in bins of equal length over all its time.
 *
 * A run counts up to its end, so that one that starts when another ends does not run beside it.
 *
 * @param {LaunchTree} tree
 * @param {number} bins at least 1, at most `MAX_BINS`
 * @param {Uint8Array} marked 1 for the runs whose problems are to be marked
 * @param {readonly string[]} gravity statuses that are problems, the gravest first
 * @returns {Concurrency}
 */
export function findConcurrency(tree, bins, marked, gravity) {
  const count = Math.max(1, Math.min(MAX_BINS, Math.floor(bins)));
  const binOf = binning(tree, count);
  const most = mostAtOnce(tree, count, binOf);
  return {
    most,
    problems: markProblems(tree, count, binOf, marked, gravity),
    peak: most.reduce((peak, value) => Math.max(peak, value), 0),
  };
}

/**
 * @param {LaunchTree} tree
 * @param {number} count
 * @returns {(time: number) => number}
 */
function binning(tree, count) {
  const scale = count / (tree.last - tree.first || 1);
  return (time) => Math.max(0, Math.min(count - 1, Math.floor((time - tree.first) * scale)));
}

/**
 * @param {LaunchTree} tree
 * @param {number} count
 * @param {(time: number) => number} binOf
 */
function mostAtOnce(tree, count, binOf) {
  const innermost = [];
  for (let index = 0; index < tree.runs.length; index++) {
    if (tree.next[index] === index + 1 && tree.end[index] > tree.start[index]) innermost.push(index);
  }
  const starts = Float64Array.from(innermost, (index) => tree.start[index]).sort();
  const ends = Float64Array.from(innermost, (index) => tree.end[index]).sort();
  const most = new Uint32Array(count);
  let running = 0;
  let ended = 0;
  let reached = 0;
  /** @param {number} time */
  const advance = (time) => {
    for (const bin = binOf(time); reached < bin;) most[++reached] = running;
  };
  for (const start of starts) {
    while (ended < ends.length && ends[ended] <= start) {
      advance(ends[ended++]);
      running -= 1;
    }
    advance(start);
    running += 1;
    most[reached] = Math.max(most[reached], running);
  }
  while (ended < ends.length) {
    advance(ends[ended++]);
    running -= 1;
  }
  return most;
}

/**
 * @param {LaunchTree} tree
 * @param {number} count
 * @param {(time: number) => number} binOf
 * @param {Uint8Array} marked
 * @param {readonly string[]} gravity
 */
function markProblems(tree, count, binOf, marked, gravity) {
  const changes = gravity.map(() => new Int32Array(count + 1));
  for (let index = 0; index < tree.runs.length; index++) {
    const grade = marked[index] > 0 ? gravity.indexOf(tree.runs[index].status) : -1;
    if (grade < 0) continue;
    changes[grade][binOf(tree.start[index])] += 1;
    changes[grade][binOf(tree.end[index]) + 1] -= 1;
  }
  const problems = new Uint8Array(count);
  const running = gravity.map(() => 0);
  for (let bin = 0; bin < count; bin++) {
    for (let grade = 0; grade < gravity.length; grade++) running[grade] += changes[grade][bin];
    problems[bin] = running.findIndex((runs) => runs > 0) + 1;
  }
  return problems;
}
