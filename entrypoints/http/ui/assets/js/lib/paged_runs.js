/** A list of runs that is read in pages: the first is kept up to date by the page, the others are read on demand. */

import { withFirstPage, withNextPage } from "../model/paged_rows.js";
import { ApiError } from "./api_errors.js";

/** @typedef {import("./api.js").Parameters} Parameters */
/** @typedef {import("./page.js").RunPage} RunPage */

export class PagedRuns {
  #api;
  #changed;
  #key = "";
  /** @type {import("../model/paged_rows.js").Rows} */
  #rows = { runs: [], cursor: null };
  /** @type {AbortController | null} The request for a further page. */
  #reading = null;
  /** Whether the first page is there. */
  isLoaded = false;
  /** Whether the last page ended before it was full, since a search examined all it may. */
  isSparse = false;
  /** Why the next page is not there; empty if it was not asked for, or came. */
  problem = "";

  /**
   * @param {import("./api.js").Api} api
   * @param {() => void} changed Called whenever there is something else to show.
   */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** @returns {readonly import("./page.js").Run[]} */
  get runs() {
    return this.#rows.runs;
  }

  /** @returns {boolean} Whether there is more to read. */
  get hasMore() {
    return this.#rows.cursor !== null;
  }

  /** @returns {boolean} Whether a further page is being read. */
  get isReading() {
    return this.#reading !== null;
  }

  /**
   * Begin a new list, unless it is the same as before.
   *
   * @param {string} key What tells lists apart.
   */
  begin(key) {
    if (key === this.#key) return;
    this.stop();
    this.#key = key;
    this.#rows = { runs: [], cursor: null };
    this.isLoaded = false;
    this.isSparse = false;
    this.problem = "";
  }

  /**
   * Show the first page as it is now.
   *
   * @param {RunPage} page
   * @param {number} limit What it was asked for.
   */
  showFirst(page, limit) {
    const had = this.#rows.cursor;
    this.#rows = withFirstPage(this.#rows, page);
    if (this.#rows.cursor !== had) this.isSparse = page.runs.length < limit;
    this.isLoaded = true;
    this.#changed();
  }

  /**
   * Read the next page, unless that is under way.
   *
   * @param {Parameters} parameters Those of the first page, but for its limit.
   * @param {number} limit
   */
  async readMore(parameters, limit) {
    const { cursor } = this.#rows;
    if (this.#reading || cursor === null) return;
    const reading = new AbortController();
    this.#reading = reading;
    this.problem = "";
    try {
      const { body } = await this.#api.get("runs", { ...parameters, limit, cursor }, { signal: reading.signal });
      this.#rows = withNextPage(this.#rows, body);
      this.isSparse = body.runs.length < limit;
    } catch (error) {
      if (reading.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.problem = error.message;
    } finally {
      if (this.#reading === reading) this.#reading = null;
    }
    if (!reading.signal.aborted) this.#changed();
  }

  /** Read nothing more. */
  stop() {
    this.#reading?.abort();
    this.#reading = null;
  }
}
