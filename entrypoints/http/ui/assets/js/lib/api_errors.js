/** What can go wrong with a request, each in words for the person who looks at the page. */

/** @typedef {"token" | "scope" | "missing" | "invalid" | "busy" | "unreachable" | "failed"} Kind */

/** A request that did not succeed. `message` is what is shown. */
export class ApiError extends Error {
  /**
   * @param {Kind} kind
   * @param {string} message
   * @param {{status?: number, retrySeconds?: number, requestId?: string | null}} [more]
   */
  constructor(kind, message, { status = 0, retrySeconds = 0, requestId = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.kind = kind;
    /** 0 if there was no response. */
    this.status = status;
    /** How long the server asks to wait before the next request; 0 if it does not say. */
    this.retrySeconds = retrySeconds;
    /** What finds the request in the server's log. */
    this.requestId = requestId;
  }

  /** @returns {boolean} Whether the same request may succeed later. */
  get isPassing() {
    return this.kind === "busy" || this.kind === "unreachable" || this.status >= 500;
  }
}

/**
 * Return the error for a response that is neither a success nor 304.
 *
 * @param {Response} response
 * @param {unknown} body The document, or `null` if it is not JSON.
 * @returns {ApiError}
 */
export function errorOf(response, body) {
  const { status } = response;
  const retrySeconds = Math.min(3600, Number(response.headers.get("Retry-After")) || 0);
  const requestId = response.headers.get("X-Request-ID");
  const [kind, message] = explain(status, detailOf(body), retrySeconds);
  return new ApiError(kind, message, { status, retrySeconds, requestId });
}

/**
 * Return the error for a request without a response.
 *
 * @returns {ApiError}
 */
export function unreachable() {
  return new ApiError("unreachable", "The server cannot be reached. The page goes on trying.");
}

/**
 * @param {number} status
 * @param {string} detail
 * @param {number} retrySeconds
 * @returns {[Kind, string]}
 */
function explain(status, detail, retrySeconds) {
  const wait = retrySeconds ? ` The page tries again in ${retrySeconds} s.` : "";
  if (status === 401) return ["token", "The server requires a token with the scope read."];
  if (status === 403) return ["scope", `The token does not allow this: ${detail}`];
  if (status === 404) return ["missing", detail || "There is no such thing on this server."];
  if (status === 400 || status === 422) return ["invalid", `The server rejects what was asked for: ${detail}`];
  if (status === 421) return ["invalid", `The server does not accept this address: ${detail}`];
  if (status === 429) return ["busy", `The rate limit of the server is used up.${wait}`];
  if (status === 503) return ["busy", `The server is busy: ${detail}.${wait}`];
  return ["failed", `The server responds with status ${status}: ${detail}${wait}`];
}

/**
 * Return the `detail` of an error, which is a text or, for 422, a list of what is wrong.
 *
 * @param {unknown} body
 * @returns {string}
 */
function detailOf(body) {
  const detail = body !== null && typeof body === "object" && "detail" in body ? body.detail : null;
  if (typeof detail === "string") return detail;
  return Array.isArray(detail) ? detail.map(faultOf).join("; ") : "";
}

/**
 * @param {{loc?: unknown[], msg?: string}} fault
 * @returns {string}
 */
function faultOf({ loc, msg }) {
  const message = String(msg ?? "");
  const field = String(loc?.at(-1) ?? "");
  return message.startsWith(field) ? message : `${field}: ${message}`;
}
