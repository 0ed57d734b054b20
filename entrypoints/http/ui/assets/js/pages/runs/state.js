/** What the page of runs keeps in the address, and what it asks the API for. */

import { boundsOf, TIMES } from "../../lib/filter_bar.js";
import { STATUSES } from "../../lib/status.js";
import { choices, integer, text } from "../../lib/url_state.js";

/** @typedef {import("../../lib/url_state.js").Values<typeof SCHEMA>} State */

/** How many runs a page has, and how many the first has at most, after coming back. */
export const PAGE_RUNS = 100;
const MOST_RUNS = 1000;

export const FILTERS = {
  status: choices(STATUSES),
  agent_name: text(),
  job_type: text(),
  product: text(),
  run_id: text(),
  parent_run_id: text(),
  event_id: text(),
  ...TIMES,
  q: text(),
};

export const SCHEMA = {
  ...FILTERS,
  /** The `event_id` of the selected run. */
  run: text(),
  /** How many runs were loaded when a run was opened. */
  shown: integer(PAGE_RUNS, { min: PAGE_RUNS, max: MOST_RUNS }),
};

/** Every filter as it is without a choice. */
export const NO_FILTERS = /** @type {Partial<State>} */ (
  Object.fromEntries(Object.entries(FILTERS).map(([name, codec]) => [name, codec.read([])]))
);

/**
 * Return what the list is asked for, but for the number of runs.
 *
 * @param {State} state
 * @param {{now: number, zone: string}} known
 * @returns {Record<string, string | null>}
 */
export function parametersOf(state, known) {
  const { status, agent_name, job_type, product, run_id, parent_run_id, event_id, q } = state;
  const texts = { agent_name, job_type, product, run_id, parent_run_id, event_id, q };
  return { fields: "summary,input_summary", status: status.join(), ...texts, ...boundsOf(state, known) };
}
