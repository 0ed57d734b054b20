/** A launch with everything that is computed from its runs, and what of it is in sight. */

import { PROBLEMS, STATUSES, counted } from "../lib/status.js";
import { findConcurrency } from "./concurrency.js";
import { costByAgent, costOf, sumInnermost, tokensOf } from "./costs.js";
import { findCriticalPath, segmentsByRun } from "./critical_path.js";
import { countKinds } from "./figures.js";
import { findProblems } from "./problems.js";
import { refusalsOf } from "./refusals.js";
import { fold, matchText, openRuns, reveal, rowOf, visibleRows, withAncestors } from "./rows.js";
import { placeInTime } from "./times.js";
import { buildTree } from "./tree.js";

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */
/** @typedef {import("./tree.js").TreeResponse} TreeResponse */
/** @typedef {import("./rows.js").Folding} Folding */
/** @typedef {import("./refusals.js").Refusal} Refusal */

/** A launch at one moment. What not every reader asks for is computed when it is first asked for. */
export class Launch {
  /** @type {Map<string, any>} */
  #computed = new Map();

  /** @param {LaunchTree} tree */
  constructor(tree) {
    this.tree = tree;
    this.problems = findProblems(tree);
    this.cost = sumInnermost(tree, costOf);
    this.tokens = sumInnermost(tree, tokensOf);
  }

  /**
   * @param {TreeResponse} response
   * @param {number} now milliseconds since the epoch
   */
  static from(response, now) {
    return new Launch(buildTree(response, now));
  }

  /**
   * Return the launch at another moment, at which its open runs have lasted longer; the same object if none has.
   *
   * @param {number} now milliseconds since the epoch
   */
  at(now) {
    const placed = placeInTime(this.tree.runs, this.tree.parent, now);
    return placed.last === this.tree.last ? this : new Launch({ ...this.tree, ...placed });
  }

  get isRunning() {
    return this.tree.runs[0].status === "running";
  }

  get path() {
    return this.#once("path", () => findCriticalPath(this.tree));
  }

  get pathSegments() {
    return this.#once("pathSegments", () => segmentsByRun(this.path));
  }

  get agents() {
    return this.#once("agents", () => costByAgent(this.tree, this.cost, this.tokens));
  }

  get kinds() {
    return this.#once("kinds", () => countKinds(this.tree));
  }

  /** The problems by status, the worst first. */
  get problemCounts() {
    return this.#once("problemCounts", () => countProblems(this.tree));
  }

  /** The runs that made a commit, the first of each commit. */
  get commits() {
    return this.#once("commits", () => findCommits(this.tree));
  }

  /** @param {number} bins */
  concurrency(bins) {
    return this.#once(`concurrency ${bins}`, () => findConcurrency(this.tree, bins, this.problems.origins, STATUSES));
  }

  /**
   * Return the refusals that belong to the launch.
   *
   * @param {readonly Refusal[]} refusals
   * @returns {Refusal[]}
   */
  refused(refusals) {
    const known = this.#computed.get("refused");
    if (known?.refusals === refusals) return known.found;
    const found = refusalsOf(this.tree, refusals);
    this.#computed.set("refused", { refusals, found });
    return found;
  }

  /**
   * @template T
   * @param {string} name
   * @param {() => T} compute
   * @returns {T}
   */
  #once(name, compute) {
    if (!this.#computed.has(name)) this.#computed.set(name, compute());
    return this.#computed.get(name);
  }

  /**
   * Say whether another response has the same runs in the same state.
   *
   * @param {TreeResponse} response
   * @param {TreeResponse} other
   */
  static isSame(response, other) {
    if (response.total !== other.total || response.runs.length !== other.runs.length) return false;
    return response.runs.every((run, index) => {
      const { event_id, status, updated_at } = other.runs[index];
      return run.event_id === event_id && run.status === status && run.updated_at === updated_at;
    });
  }
}

/** @param {LaunchTree} tree */
function countProblems({ runs }) {
  /** @type {Partial<Record<import("../lib/status.js").Status, number>>} */
  const counts = {};
  for (const { status } of runs) counts[status] = (counts[status] ?? 0) + 1;
  return counted(counts).filter(({ status }) => PROBLEMS.includes(status));
}

/** @param {LaunchTree} tree */
function findCommits({ runs }) {
  /** @type {Map<string, number>} */
  const first = new Map();
  for (let index = 0; index < runs.length; index++) {
    const hash = runs[index].commit_hash;
    if (hash && !first.has(hash)) first.set(hash, index);
  }
  return [...first.values()];
}

/**
 * What a reader chose to see.
 *
 * @typedef {object} Choice
 * @property {boolean} onlyProblems
 * @property {string} text only runs with this text; empty for all
 * @property {Folding} folding
 */

/** The rows of a launch that are in sight. */
export class View {
  /** @type {Uint8Array | null} */
  #kept;
  /** @type {Uint8Array | null} */
  #stops = null;

  /**
   * @param {Launch} launch
   * @param {Choice} choice
   */
  constructor(launch, choice) {
    this.launch = launch;
    this.choice = choice;
    this.#kept = keptRuns(launch, choice);
    this.open = openRuns(launch.tree, choice.folding, launch.problems.unresolved, this.#kept);
    this.rows = visibleRows(launch.tree, this.open, this.#kept);
  }

  /**
   * Return the row of a run, or of the nearest one above it that is in sight.
   *
   * @param {number} index
   */
  rowOf(index) {
    return rowOf(this.launch.tree, this.rows, index);
  }

  /**
   * Say whether a run has children that the filter leaves.
   *
   * @param {number} index
   */
  canOpen(index) {
    const { next } = this.launch.tree;
    if (this.#kept === null) return next[index] > index + 1;
    for (let below = index + 1; below < next[index]; below = next[below]) if (this.#kept[below] > 0) return true;
    return false;
  }

  /**
   * Say whether a filter leaves a run.
   *
   * @param {number} index
   */
  keeps(index) {
    return this.#kept === null || this.#kept[index] > 0;
  }

  /** The origins of problems that the filter leaves, as marks. */
  get stops() {
    const { origins } = this.launch.problems;
    this.#stops ??= origins.map((origin, index) => (origin > 0 && this.keeps(index) ? 1 : 0));
    return this.#stops;
  }

  /**
   * Return the folding with one run opened or closed.
   *
   * @param {number} index
   * @param {boolean} open
   */
  folded(index, open) {
    return fold(this.launch.tree, this.choice.folding, this.launch.problems.unresolved, this.#kept, index, open);
  }

  /**
   * Return the folding with everything above a run opened.
   *
   * @param {number} index
   */
  revealed(index) {
    return reveal(this.launch.tree, this.choice.folding, this.launch.problems.unresolved, this.#kept, index);
  }
}

/**
 * @param {Launch} launch
 * @param {Choice} choice
 */
function keptRuns({ tree }, { onlyProblems, text }) {
  if (!onlyProblems && text === "") return null;
  const matches = text === "" ? null : matchText(tree, text);
  const wanted = tree.problems.map((problem, index) =>
    (!onlyProblems || problem > 0) && (matches === null || matches[index] > 0) ? 1 : 0,
  );
  return withAncestors(tree, wanted);
}
