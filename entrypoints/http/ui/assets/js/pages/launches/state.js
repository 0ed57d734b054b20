/** What the page of launches keeps in the address, and what it asks the API for. */

import { TIMES } from "../../lib/filter_bar.js";
import { STATUSES } from "../../lib/status.js";
import { choices, integer, text } from "../../lib/url_state.js";
import { boundsOf, columnLength } from "../../model/time_ranges.js";

/** @typedef {import("../../lib/url_state.js").Values<typeof SCHEMA>} State */
/** @typedef {import("../../model/time_ranges.js").Span} Span */

/** How many launches the first page has, and each that follows. */
export const FIRST_LAUNCHES = 50;
export const MORE_LAUNCHES = 100;
const MOST_LAUNCHES = 1000;

export const SCHEMA = {
  ...TIMES,
  status: choices(STATUSES),
  agent_name: text(),
  q: text(),
  /** The `event_id` of the launch that was opened or moved to. */
  at: text(),
  /** How many launches were loaded then. */
  shown: integer(FIRST_LAUNCHES, { min: FIRST_LAUNCHES, max: MOST_LAUNCHES }),
};

/** What makes a list another one. */
export const LISTED = /** @type {const} */ (["range", "from", "to", "status", "agent_name", "q"]);

/** What a list shows of a launch. */
export const FIELDS = "summary,input_summary,output_summary";

/**
 * Return what both the list and the figures are asked for.
 *
 * @param {State} state
 * @param {Span} span
 * @returns {Record<string, string | boolean | null>}
 */
export function filterOf({ status, agent_name, q }, span) {
  return { roots: true, ...boundsOf(span), status: status.join(), agent_name, q };
}

/**
 * Return the length of the columns of a stretch of time in seconds.
 *
 * @param {Span} span
 * @param {number} now
 * @returns {number}
 */
export function bucketOf({ from, to }, now) {
  return columnLength((to ?? Math.max(now, from + 1)) - from) / 1000;
}

/**
 * Return whether launches are filtered by more than time.
 *
 * @param {State} state
 * @returns {boolean}
 */
export function isFiltered({ status, agent_name, q }) {
  return status.length > 0 || agent_name !== "" || q !== "";
}
