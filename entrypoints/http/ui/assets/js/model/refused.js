/** What is shown of a run that was rejected: why, and what was sent. */

import { foldKey } from "./rows.js";

/** @typedef {{received_at: string} & import("./refusals.js").Refusal} Refused */

/** Bytes of what was sent, beyond which the server keeps only the beginning. */
const KEPT_BYTES = 65_536;

const OPENING = new Set(["{", "["]);
const CLOSING = new Set(["}", "]"]);
const MAX_INDENT = 40;

/**
 * @typedef {object} Sent
 * @property {string} text indented if it is JSON, otherwise as it was sent
 * @property {boolean} isJson
 * @property {number} omitted bytes that the server left out; 0 if it kept everything
 */

/**
 * Return a short key of a refusal, for the address.
 *
 * @param {Refused} refusal
 * @returns {string}
 */
export function refusedKey({ received_at, event_id, run_id, body }) {
  return foldKey(JSON.stringify([received_at, event_id, run_id, body]));
}

/**
 * Return the invalid fields of a refusal, each once.
 *
 * @param {Refused} refusal
 * @returns {string}
 */
export function invalidFields({ errors }) {
  return [...new Set(errors.map(({ field }) => field ?? "the run"))].join(", ");
}

/**
 * Return what was sent as a reader wants it.
 *
 * @param {string} body
 * @returns {Sent}
 */
export function shownBody(body) {
  const isCut = new TextEncoder().encode(body).length > KEPT_BYTES;
  const omitted = isCut ? Number(/… \((\d+) more bytes\)$/.exec(body)?.[1] ?? 0) : 0;
  if (isCut || !isJson(body)) return { text: body, isJson: false, omitted };
  return { text: indented(body), isJson: true, omitted: 0 };
}

/** @param {string} text */
function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * Indent JSON without reading its values, so that every number and every escape stays as it was sent.
 *
 * @param {string} json valid
 * @returns {string}
 */
export function indented(json) {
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? [];
  const parts = [];
  let depth = 0;
  let previous = "";
  for (const token of tokens) {
    if (CLOSING.has(token)) depth -= 1;
    // Within brackets that hold something, every value and the closing bracket are on lines of their own.
    if (previous === "," || OPENING.has(previous) !== CLOSING.has(token)) parts.push(lineStart(depth));
    parts.push(token === ":" ? ": " : token);
    if (OPENING.has(token)) depth += 1;
    previous = token;
  }
  return parts.join("");
}

/** @param {number} depth */
function lineStart(depth) {
  return `\n${"  ".repeat(Math.min(depth, MAX_INDENT))}`;
}
