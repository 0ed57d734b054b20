/** The refused runs that the server keeps, if it keeps any. */

/** @typedef {import("../../model/refusals.js").Refusal} Refusal */

/** How many of the newest are searched for those of a launch. */
const LIMIT = 200;
/** Least time between two requests, however often the launch changes. */
const PAUSE_MS = 10_000;

/**
 * @typedef {object} Kept
 * @property {Refusal[]} refusals the newest ones
 * @property {boolean} more whether there are older ones
 */

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
    const { body } = await this.#api.get("refusals", { limit: LIMIT });
    return { refusals: body.refusals, more: body.next_cursor !== null };
  }

  async #askWhetherKept() {
    const { body } = await this.#api.get("limits");
    return body.keep_refusals > 0;
  }
}
