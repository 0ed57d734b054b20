/** Whole runs on demand, since a tree holds summaries only. */

/** @typedef {import("../../lib/page.js").Run} Run */
/** @typedef {import("../../model/tree.js").TreeRun} TreeRun */

/** How many runs are remembered. */
const MAX_RUNS = 60;

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
