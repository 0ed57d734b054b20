/** What the page loads beside the tree, which holds summaries only: whole runs, and what was refused. */

/** @typedef {import("../../lib/page.js").Run} Run */
/** @typedef {import("../../model/refusals.js").Refusal} Refusal */
/** @typedef {import("../../model/tree.js").TreeRun} TreeRun */

/** How many runs are remembered. */
const MAX_RUNS = 60;
/** How many of the newest are searched for those of a launch. */
const MAX_REFUSALS = 200;
/** Least time between two requests, however often the launch changes. */
const PAUSE_MS = 10_000;

/** Whole runs, each loaded once in each version. */
export class RunLoader {
  /** @type {Map<string, Promise<Run | null>>} by event and version, the oldest first */
  #loads = new Map();
  /** @type {Map<string, Run>} */
  #loaded = new Map();
  #api;

  /** @param {import("../../lib/api.js").Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * Return a run if it is here already, in the version of its summary.
   *
   * @param {TreeRun} summary
   */
  known(summary) {
    return this.#loaded.get(versionOf(summary)) ?? null;
  }

  /**
   * Load a run.
   *
   * @param {TreeRun} summary
   * @returns {Promise<Run | null>} null if the store no longer has it
   * @throws {import("../../lib/api_errors.js").ApiError} the request did not succeed
   */
  async load(summary) {
    const version = versionOf(summary);
    const load = this.#loads.get(version) ?? this.#fetch(summary);
    this.#loads.set(version, load);
    try {
      const run = await load;
      if (run) this.#loaded.set(version, run);
      this.#forgetOldest();
      return run;
    } catch (error) {
      this.#loads.delete(version);
      throw error;
    }
  }

  /** @param {TreeRun} summary */
  async #fetch({ event_id }) {
    const { body } = await this.#api.get("runs", { event_id, limit: 1 });
    return body.runs[0] ?? null;
  }

  #forgetOldest() {
    for (const version of this.#loads.keys()) {
      if (this.#loads.size <= MAX_RUNS) return;
      this.#loads.delete(version);
      this.#loaded.delete(version);
    }
  }
}

/** @param {TreeRun} summary */
function versionOf({ event_id, updated_at }) {
  return `${updated_at ?? ""} ${event_id}`;
}

/**
 * @typedef {object} Kept
 * @property {Refusal[]} refusals the newest ones
 * @property {boolean} more whether there are older ones
 */

/** The refused runs that the server keeps, if it keeps any. */
export class RefusalLoader {
  #api;
  /** @type {Promise<boolean> | null} */
  #keeps = null;
  #loadedAt = Number.NEGATIVE_INFINITY;

  /** @param {import("../../lib/api.js").Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * Load the newest refusals.
   *
   * @returns {Promise<Kept | null>} null if the server keeps none, or if they were loaded a moment ago
   * @throws {import("../../lib/api_errors.js").ApiError} the request did not succeed
   */
  async load() {
    if (performance.now() - this.#loadedAt < PAUSE_MS) return null;
    this.#loadedAt = performance.now();
    this.#keeps ??= this.#askWhetherKept();
    if (!(await this.#keeps)) return null;
    const { body } = await this.#api.get("refusals", { limit: MAX_REFUSALS });
    return { refusals: body.refusals, more: body.next_cursor !== null };
  }

  async #askWhetherKept() {
    const { body } = await this.#api.get("limits");
    return body.keep_refusals > 0;
  }
}
