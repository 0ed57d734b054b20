/** The kinds of work in a launch. */

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

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
