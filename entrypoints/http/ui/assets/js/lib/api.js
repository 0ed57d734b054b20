/** Requests to the API of the server that the page came from, with the token of this tab. */

import { errorOf, unreachable } from "./api_errors.js";

const TOKEN = "runsink.token";
/** Relative to every page, since all of them are directly below `ui/`. */
const BASE = "../api/v1/";

/**
 * Parameters of a query. Those that are empty, `null` or `false` are left out. A list is repeated: `a=1&a=2`.
 *
 * @typedef {string | number | boolean | null | undefined} Parameter
 * @typedef {Record<string, Parameter | readonly Parameter[]>} Parameters
 */

/**
 * @typedef {object} Fetched
 * @property {any} body The document; `null` if it has not changed.
 * @property {string | null} etag
 * @property {boolean} changed `false` if the server says 304.
 */

/**
 * Return a path below `api/v1/`; each segment may hold any characters.
 *
 * @param {...string} segments
 * @returns {string}
 */
export function apiPath(...segments) {
  return segments.map(encodeURIComponent).join("/");
}

/**
 * Return the relative address of a resource.
 *
 * @param {string} path
 * @param {Parameters} [parameters]
 * @returns {string}
 */
export function apiAddress(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of /** @type {Parameter[]} */ ([value].flat())) {
      if (one !== null && one !== undefined && one !== false && one !== "") query.append(name, String(one));
    }
  }
  return `${BASE}${path}${query.size ? `?${query}` : ""}`;
}

/** @returns {string | null} The token of this tab, if there is one and storage is allowed. */
function storedToken() {
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return null;
  }
}

/**
 * Keep the token until the tab is closed. Where storage is forbidden it only lasts until the page is loaded again.
 *
 * @param {string} token
 */
function storeToken(token) {
  try {
    sessionStorage.setItem(TOKEN, token);
  } catch {
    // The client holds it as well.
  }
}

/** The client. One for the whole page. */
export class Api {
  #askToken;
  #token = storedToken();
  /** @type {Promise<string | null> | null} The dialog, while it is open: however many requests wait, it asks once. */
  #asking = null;
  /** Whether the dialog was cancelled. It is not opened again by itself. */
  #declined = false;

  /** @param {(reason: string) => Promise<string | null>} askToken Ask for a token; `null` if there is none. */
  constructor(askToken) {
    this.#askToken = askToken;
  }

  /**
   * Get a document.
   *
   * @param {string} path Below `api/v1/`, as `apiPath` makes it.
   * @param {Parameters} [parameters]
   * @param {{etag?: string | null, signal?: AbortSignal}} [how] With the ETag of what the caller has.
   * @returns {Promise<Fetched>}
   * @throws {import("./api_errors.js").ApiError} The request did not succeed.
   * @throws {DOMException} `AbortError`: the signal aborted it.
   */
  async get(path, parameters, { etag = null, signal } = {}) {
    for (;;) {
      const token = this.#token;
      const response = await this.#fetch(apiAddress(path, parameters), token, etag, signal);
      if (response.status === 304) return { body: null, etag, changed: false };
      const body = await read(response, signal);
      if (response.ok) return { body, etag: response.headers.get("ETag"), changed: true };
      const error = errorOf(response, body);
      if (error.kind !== "token" || !(await this.#renew(token))) throw error;
    }
  }

  /**
   * Ask for a token again, after the dialog was cancelled or to use another one.
   *
   * @returns {Promise<boolean>} Whether there is one now.
   */
  async changeToken() {
    this.#declined = false;
    return this.#ask("Another token is used from the next request on.");
  }

  /**
   * @param {string} address
   * @param {string | null} token
   * @param {string | null} etag
   * @param {AbortSignal | undefined} signal
   */
  async #fetch(address, token, etag, signal) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (etag) headers["If-None-Match"] = etag;
    try {
      // The page itself compares ETags; the browser's cache must neither answer for the server nor keep runs on disk.
      return await fetch(address, { headers, signal: signal ?? null, cache: "no-store", redirect: "error" });
    } catch (error) {
      throw signal?.aborted ? error : unreachable();
    }
  }

  /**
   * Get a token that may do better than the one that was used.
   *
   * @param {string | null} used
   * @returns {Promise<boolean>} Whether to try again.
   */
  async #renew(used) {
    if (this.#token !== used) return true;
    if (this.#declined) return false;
    return this.#ask(used ? "The server does not know this token." : "This server requires a token.");
  }

  /** @param {string} reason */
  async #ask(reason) {
    this.#asking ??= this.#askToken(reason);
    const token = await this.#asking;
    this.#asking = null;
    this.#declined = token === null;
    if (token === null) return false;
    this.#token = token;
    storeToken(token);
    return true;
  }
}

/**
 * @param {Response} response
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<any>} The document, or `null` if it is not JSON.
 */
async function read(response, signal) {
  try {
    return await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    // A connection that breaks off in a success is a failure; a proxy's error page is not JSON, but its status counts.
    if (response.ok) throw unreachable();
    return null;
  }
}
