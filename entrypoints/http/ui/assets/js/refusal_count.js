/** How many runs were refused, shown beside the name of the page that lists them. */

import { ApiError } from "./lib/api_errors.js";
import { count } from "./lib/format.js";

/** As many are counted as that page lists at once. */
const COUNTED = 50;
const PAUSE_MS = 60_000;

export class RefusalCount {
  #api;
  #show;
  #isStarted = false;

  /**
   * @param {import("./lib/api.js").Api} api
   * @param {(count: string) => void} show
   */
  constructor(api, show) {
    this.#api = api;
    this.#show = show;
  }

  /** Count now and every minute, unless that has begun. Only once the server lets this page read. */
  start() {
    if (this.#isStarted) return;
    this.#isStarted = true;
    void this.#count();
    setInterval(() => void (document.hidden || this.#count()), PAUSE_MS);
  }

  async #count() {
    try {
      const { body } = await this.#api.get("refusals", { limit: COUNTED });
      this.#show(shownCount(body));
    } catch (error) {
      // What keeps the page from reading is shown by the page itself.
      if (!(error instanceof ApiError)) throw error;
    }
  }
}

/**
 * Return how many refusals there are, as far as they were listed: `6`, or `50+`.
 *
 * @param {{refusals: readonly unknown[], next_cursor: string | null}} page The first one.
 * @returns {string} Empty for none.
 */
export function shownCount({ refusals, next_cursor }) {
  return refusals.length ? `${count(refusals.length)}${next_cursor === null ? "" : "+"}` : "";
}
