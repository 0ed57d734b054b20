/** Which launch a run belongs to: parents are followed one by one, since the API finds children only. */

/** @typedef {import("./page.js").Run} Run */

/** Where following parents ends, and how many of them are remembered. */
const MAX_ANCESTORS = 40;
const MAX_KNOWN = 1000;

export class LaunchFinder {
  #api;
  /** @type {Map<string, Promise<Run | null>>} Runs by name, the oldest first. */
  #known = new Map();

  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * Find the launch of a run. If a parent is missing, or parents form a cycle, it is the run that was reached.
   *
   * @param {Run} run
   * @returns {Promise<Run>} A summary.
   * @throws {import("./api_errors.js").ApiError} A request did not succeed.
   */
  async find(run) {
    const seen = new Set([run.run_id]);
    let reached = run;
    while (reached.parent_run_id && seen.size < MAX_ANCESTORS && !seen.has(reached.parent_run_id)) {
      seen.add(reached.parent_run_id);
      const parent = await this.#named(reached.parent_run_id);
      if (!parent) break;
      reached = parent;
    }
    return reached;
  }

  /**
   * Find the launch of a run that is only known by its name.
   *
   * @param {string} name
   * @returns {Promise<Run | null>} null if there is no such run
   * @throws {import("./api_errors.js").ApiError} A request did not succeed.
   */
  async findNamed(name) {
    const run = await this.#named(name);
    return run && this.find(run);
  }

  /** @param {string} name */
  #named(name) {
    const known = this.#known.get(name);
    if (known) return known;
    const asked = this.#ask(name);
    this.#known.set(name, asked);
    asked.catch(() => this.#known.delete(name));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
    return asked;
  }

  /**
   * @param {string} name
   * @returns {Promise<Run | null>}
   */
  async #ask(name) {
    const { body } = await this.#api.get("runs", { run_id: name, limit: 1, fields: "summary" });
    return body.runs[0] ?? null;
  }
}
