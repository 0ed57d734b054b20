/**
 * Documents kept up to date: loaded at once, then asked for again with their ETags while the page is visible.
 *
 * @typedef {object} Source
 * @property {string} path Below `api/v1/`.
 * @property {import("./api.js").Parameters} [parameters]
 * @property {(body: any) => void} show Called with the document at first and after each change.
 * @property {(error: import("./api_errors.js").ApiError) => void} [fail] Called instead for an error that will not pass
 *     by itself. Without it the page says so in place of its content.
 *
 * @typedef {{body: any, etag: string | null}} Known
 */

import { apiAddress } from "./api.js";
import { ApiError } from "./api_errors.js";

/** Between the end of a poll and the next. */
export const POLL_MS = 2000;
/** The pause is at least this many times as long as the poll, so that looking never is the server's main work. */
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
 * @param {Source} source
 * @returns {string} What tells sources apart.
 */
function addressOf({ path, parameters }) {
  return apiAddress(path, parameters);
}

/**
 * Polls of one page, one request at a time. The first source decides: its ETag changes with every commit to the store,
 * so the others are not asked while it is unchanged.
 */
export class Live {
  #api;
  #report;
  /** @type {Source[]} */
  #sources = [];
  /** @type {Map<string, Known>} What the sources had last, by address. */
  #known = new Map();
  /** @type {AbortController | null} The poll in flight. */
  #polling = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #failures = 0;
  /** How many polls in a row found that there is no such thing as the first source. */
  #misses = 0;

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
   * Watch these sources instead of those before. What is known of them is shown at once. Unless they are the same,
   * loading begins at once too.
   *
   * @param {Source[]} sources
   */
  watch(sources) {
    const addresses = sources.map(addressOf);
    const isSame = sources.length > 0 && addresses.join("\n") === this.#sources.map(addressOf).join("\n");
    this.#sources = sources;
    for (const address of this.#known.keys()) if (!addresses.includes(address)) this.#known.delete(address);
    for (const [index, source] of sources.entries()) this.#showKnown(source, addresses[index] ?? "");
    // The poll that is in flight or due serves the same sources.
    if (isSame) return;
    this.#interrupt();
    this.#failures = 0;
    this.#misses = 0;
    this.#report(sources.length ? "loading" : "live", null);
    void this.#poll();
  }

  /** Watch nothing, and forget what is known. */
  stop() {
    this.#interrupt();
    this.#sources = [];
    this.#known.clear();
  }

  #interrupt() {
    this.#polling?.abort();
    this.#polling = null;
    clearTimeout(this.#timer);
  }

  /**
   * @param {Source} source
   * @param {string} address
   */
  #showKnown(source, address) {
    const known = this.#known.get(address);
    if (known) source.show(known.body);
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
    if (error && !error.isPassing) {
      this.stop();
      this.#report("stopped", error);
      return;
    }
    this.#failures = error ? this.#failures + 1 : 0;
    this.#report(error ? "waiting" : "live", error);
    const failures = Math.max(this.#failures, this.#misses);
    const pause = pauseAfter(performance.now() - begun, failures, error?.retrySeconds ?? 0);
    // Hidden pages do not poll; coming into sight does.
    this.#timer = setTimeout(() => void (document.hidden || this.#poll()), pause);
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<ApiError | null>} What kept it from the end.
   */
  async #load(signal) {
    const addresses = this.#sources.map(addressOf);
    for (const [index, address] of addresses.entries()) {
      // A later `watch` of the same addresses may have replaced the source.
      const source = () => /** @type {Source} */ (this.#sources[index]);
      try {
        const changed = await this.#loadOne(address, source, signal);
        this.#countMisses(index, false);
        if (index === 0 && !changed && addresses.every((one) => this.#known.get(one)?.etag)) return null;
      } catch (error) {
        if (signal.aborted) return null;
        if (!(error instanceof ApiError)) throw error;
        const { fail } = source();
        if (error.isPassing || !fail) return error;
        this.#countMisses(index, error.kind === "missing");
        fail(error);
      }
    }
    return null;
  }

  /**
   * @param {number} index Of the source that was asked for.
   * @param {boolean} isMissing
   */
  #countMisses(index, isMissing) {
    if (index === 0) this.#misses = isMissing ? this.#misses + 1 : 0;
  }

  /**
   * @param {string} address
   * @param {() => Source} source
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} Whether the document was loaded, not unchanged.
   */
  async #loadOne(address, source, signal) {
    const { path, parameters } = source();
    const known = this.#known.get(address)?.etag ?? null;
    const { body, etag, changed } = await this.#api.get(path, parameters, { etag: known, signal });
    signal.throwIfAborted();
    if (changed) {
      this.#known.set(address, { body, etag });
      source().show(body);
    }
    return changed;
  }
}
