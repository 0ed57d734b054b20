/**
 * Documents kept up to date: loaded at once, then asked for again with their ETags while the page is visible.
 *
 * @typedef {object} Source
 * @property {string} path Below `api/v1/`.
 * @property {import("./api.js").Parameters} [parameters]
 * @property {(body: any) => void} show Called with the document at first and after each change.
 * @property {(error: import("./api_errors.js").ApiError) => void} [fail] Called instead for an error that will not pass
 *     by itself. Without it the page says so in place of its content.
 */

import { ApiError } from "./api_errors.js";

/** Between the end of a poll and the next. */
export const POLL_MS = 2000;
/** A poll that took long is followed by a pause this many times as long, so that looking never is the server's main work. */
const PAUSE_FACTOR = 10;
const LONGEST_PAUSE_MS = 60_000;

/** @typedef {"loading" | "live" | "waiting" | "stopped"} State `waiting` after an error that may pass. */

/**
 * Return how long to wait for the next poll, in milliseconds.
 *
 * @param {number} tookMs How long the last one took.
 * @param {number} failures How many in a row failed.
 * @param {number} retrySeconds What the server asked for; 0 is nothing.
 * @returns {number}
 */
export function pauseAfter(tookMs, failures, retrySeconds) {
  const wanted = failures ? POLL_MS * 2 ** Math.min(failures - 1, 5) : Math.max(POLL_MS, PAUSE_FACTOR * tookMs);
  return Math.max(Math.min(wanted, LONGEST_PAUSE_MS), retrySeconds * 1000);
}

/**
 * Polls of one page, one request at a time. The first source decides: as its ETag changes with every commit to the store,
 * the others are not asked while it is unchanged.
 */
export class Live {
  #api;
  #report;
  /** @type {Source[]} */
  #sources = [];
  /** @type {(string | null)[]} The ETag of each source; `null` where it has to be loaded. */
  #etags = [];
  /** @type {AbortController | null} The poll in flight. */
  #polling = null;
  #timer = 0;
  #failures = 0;

  /**
   * @param {import("./api.js").Api} api
   * @param {(state: State, error: ApiError | null) => void} report Called whenever the state may have changed.
   */
  constructor(api, report) {
    this.#api = api;
    this.#report = report;
    document.addEventListener("visibilitychange", () => this.#resume());
    addEventListener("online", () => this.#resume());
  }

  /**
   * Watch these sources instead of those before; the first load begins at once.
   *
   * @param {Source[]} sources
   */
  watch(sources) {
    this.stop();
    this.#sources = sources;
    this.#etags = sources.map(() => null);
    this.#failures = 0;
    this.#report(sources.length ? "loading" : "stopped", null);
    void this.#poll();
  }

  /** Ask again now, for everything. */
  refresh() {
    this.watch(this.#sources);
  }

  /** Watch nothing. */
  stop() {
    this.#polling?.abort();
    this.#polling = null;
    clearTimeout(this.#timer);
    this.#sources = [];
  }

  /** Poll at once when the page comes back into sight or online. */
  #resume() {
    if (document.hidden || this.#polling || !this.#sources.length) return;
    clearTimeout(this.#timer);
    void this.#poll();
  }

  async #poll() {
    if (!this.#sources.length) return;
    const polling = new AbortController();
    this.#polling = polling;
    const begun = performance.now();
    const error = await this.#load(polling.signal);
    if (polling.signal.aborted) return;
    this.#polling = null;
    this.#failures = error ? this.#failures + 1 : 0;
    this.#report(error === null ? "live" : error.isPassing ? "waiting" : "stopped", error);
    if (error && !error.isPassing) return;
    const pause = pauseAfter(performance.now() - begun, this.#failures, error?.retrySeconds ?? 0);
    // Hidden pages do not poll; coming into sight does.
    this.#timer = setTimeout(() => void (document.hidden || this.#poll()), pause);
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<ApiError | null>} What kept it from the end.
   */
  async #load(signal) {
    for (const [index, source] of this.#sources.entries()) {
      try {
        const changed = await this.#loadOne(index, source, signal);
        if (index === 0 && !changed && this.#etags.every((etag) => etag !== null)) return null;
      } catch (error) {
        if (signal.aborted) return null;
        if (!(error instanceof ApiError)) throw error;
        if (error.isPassing || !source.fail) return error;
        source.fail(error);
      }
    }
    return null;
  }

  /**
   * @param {number} index
   * @param {Source} source
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} Whether the document was loaded, not unchanged.
   */
  async #loadOne(index, source, signal) {
    const { path, parameters = {} } = source;
    const { body, etag, changed } = await this.#api.get(path, parameters, { etag: this.#etags[index] ?? null, signal });
    signal.throwIfAborted();
    if (changed) {
      this.#etags[index] = etag;
      source.show(body);
    }
    return changed;
  }
}
