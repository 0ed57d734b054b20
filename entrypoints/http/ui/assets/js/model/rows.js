/** Which runs of a launch are in sight: what is folded, what a filter leaves, and in which rows that results. */

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

/** Folds that are kept in the address; the oldest give way, so that an address stays short enough to send. */
export const MAX_FOLDS = 200;

/**
 * What the reader folded.
 *
 * @typedef {object} Folding
 * @property {number | null} depth all runs above this depth are open and all others closed; null for the default
 * @property {ReadonlyMap<string, boolean>} changes whether single runs are open, by their fold key, the oldest first
 */

/** @type {Folding} */
export const DEFAULT_FOLDING = { depth: null, changes: new Map() };

/**
 * Name a run in few characters, to remember a fold in the address: the FNV-1a hash of its `event_id`.
 *
 * @param {string} eventId
 */
export function foldKey(eventId) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < eventId.length; at++) hash = Math.imul(hash ^ eventId.charCodeAt(at), 0x01000193);
  return (hash >>> 0).toString(36);
}

/**
 * Say for each run whether it is open.
 *
 * By default the first run is open and every run with a cause of the problems inside. While a filter is on, everything
 * that it leaves is open.
 *
 * @param {LaunchTree} tree
 * @param {Folding} folding
 * @param {Uint8Array} causes 1 for the causes of problems
 * @param {Uint8Array | null} kept what a filter leaves
 * @returns {Uint8Array} 1 for open runs
 */
export function openRuns(tree, folding, causes, kept) {
  const open = unchangedFolding(tree, folding.depth, causes, kept);
  if (folding.changes.size === 0) return open;
  for (let index = 0; index < open.length; index++) {
    const change = folding.changes.get(foldKey(tree.runs[index].event_id));
    if (change !== undefined) open[index] = change ? 1 : 0;
  }
  return open;
}

/**
 * @param {LaunchTree} tree
 * @param {number | null} depth
 * @param {Uint8Array} causes
 * @param {Uint8Array | null} kept
 */
function unchangedFolding(tree, depth, causes, kept) {
  if (kept !== null) return new Uint8Array(tree.runs.length).fill(1);
  if (depth !== null) return Uint8Array.from(tree.depth, (at) => (at < depth ? 1 : 0));
  const open = withAncestors(tree, causes);
  for (let index = 0; index < open.length; index++) open[index] = open[index] > 0 && causes[index] === 0 ? 1 : 0;
  if (open.length > 0) open[0] = 1;
  return open;
}

/**
 * Open or close one run.
 *
 * A change that returns a run to what it would be anyway is forgotten rather than kept.
 *
 * @param {LaunchTree} tree
 * @param {Folding} folding
 * @param {Uint8Array} causes
 * @param {Uint8Array | null} kept
 * @param {number} index
 * @param {boolean} open
 * @returns {Folding}
 */
export function fold(tree, folding, causes, kept, index, open) {
  const changes = new Map(folding.changes);
  const key = foldKey(tree.runs[index].event_id);
  changes.delete(key);
  const unchanged = unchangedFolding(tree, folding.depth, causes, kept);
  if (unchanged[index] > 0 !== open) changes.set(key, open);
  return { depth: folding.depth, changes: limited(changes) };
}

/**
 * Open everything above a run, so that it is in sight.
 *
 * @param {LaunchTree} tree
 * @param {Folding} folding
 * @param {Uint8Array} causes
 * @param {Uint8Array | null} kept
 * @param {number} index
 * @returns {Folding} the same one if the run is in sight already
 */
export function reveal(tree, folding, causes, kept, index) {
  const open = openRuns(tree, folding, causes, kept);
  let result = folding;
  for (let above = tree.parent[index]; above >= 0; above = tree.parent[above]) {
    if (open[above] === 0) result = fold(tree, result, causes, kept, above, true);
  }
  return result;
}

/** @param {Map<string, boolean>} changes */
function limited(changes) {
  return changes.size <= MAX_FOLDS ? changes : new Map([...changes].slice(-MAX_FOLDS));
}

/**
 * Write folds for the address: keys joined by dots, those of closed runs with a leading hyphen.
 *
 * @param {ReadonlyMap<string, boolean>} changes
 */
export function writeFolds(changes) {
  return [...changes].map(([key, open]) => (open ? key : `-${key}`)).join(".");
}

/**
 * Read folds from an address, and ignore what is none.
 *
 * @param {string} text
 * @returns {Map<string, boolean>}
 */
export function readFolds(text) {
  const changes = new Map();
  for (const part of text.split(".").slice(0, MAX_FOLDS)) {
    if (/^-?[0-9a-z]{1,7}$/.test(part)) changes.set(part.replace("-", ""), !part.startsWith("-"));
  }
  return changes;
}

/**
 * Mark the runs that a filter leaves together with everything above them.
 *
 * @param {LaunchTree} tree
 * @param {ArrayLike<number>} wanted not 0 for runs that the filter wants
 * @returns {Uint8Array} 2 for the wanted runs, 1 for those that only lead to one, 0 for the others
 */
export function withAncestors(tree, wanted) {
  const kept = Uint8Array.from(wanted, (value) => (value ? 2 : 0));
  for (let index = kept.length - 1; index > 0; index--) {
    if (kept[index] > 0) kept[tree.parent[index]] ||= 1;
  }
  return kept;
}

/**
 * Mark the runs whose names or error contain a text, in either letter case.
 *
 * @param {LaunchTree} tree
 * @param {string} text
 * @returns {Uint8Array} 1 for those that do
 */
export function matchText(tree, text) {
  const wanted = text.toLowerCase();
  return Uint8Array.from(tree.runs, (run) => (searchedText(run).includes(wanted) ? 1 : 0));
}

/** @param {import("./tree.js").TreeRun} run */
function searchedText(run) {
  const { run_id, agent_name, job_type, item_name, error_summary, commit_hash } = run;
  return [run_id, agent_name, job_type, item_name, error_summary, commit_hash].join("\n").toLowerCase();
}

/**
 * List the runs in sight, from top to bottom.
 *
 * @param {LaunchTree} tree
 * @param {Uint8Array} open 1 for open runs
 * @param {Uint8Array | null} kept what a filter leaves, closed under ancestors; null without a filter
 * @returns {Int32Array} indexes
 */
export function visibleRows(tree, open, kept) {
  const rows = new Int32Array(tree.runs.length);
  let count = 0;
  for (let index = 0; index < tree.runs.length;) {
    const shown = kept === null || kept[index] > 0;
    if (shown) rows[count++] = index;
    index = shown && open[index] > 0 ? index + 1 : tree.next[index];
  }
  return rows.subarray(0, count);
}

/**
 * Find the row of a run, or of the nearest run above it that is in sight.
 *
 * @param {LaunchTree} tree
 * @param {Int32Array} rows ascending
 * @param {number} index
 * @returns {number} -1 if there are no rows
 */
export function rowOf(tree, rows, index) {
  for (let at = index; at >= 0; at = tree.parent[at]) {
    const row = binarySearch(rows, at);
    if (row >= 0) return row;
  }
  return -1;
}

/**
 * @param {Int32Array} sorted
 * @param {number} value
 */
function binarySearch(sorted, value) {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] === value) return middle;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
