/** What of the launch page is in the address. */

import { choice, flag, integer, range, text } from "../../lib/url_state.js";
import { readFolds, writeFolds } from "../../model/rows.js";

/** Depth that opens everything, and the default folding, as numbers in the address. */
export const EVERYTHING = 999;
const DEFAULT_DEPTH = -1;

export const STATE = {
  id: text(),
  event_id: text(),
  /** The selected run, by its `event_id`; links from elsewhere may name its `run_id`. */
  run: text(),
  /** The stretch of time in sight, in milliseconds since the earliest start. */
  z: range(),
  only: choice(/** @type {const} */ (["", "problems"]), ""),
  path: flag(),
  q: text(),
  depth: integer(DEFAULT_DEPTH, { min: 0, max: EVERYTHING }),
  folds: folds(),
};

/** @typedef {import("../../lib/url_state.js").Values<typeof STATE>} State */

/**
 * Return the folding that the state describes.
 *
 * @param {State} state
 * @returns {import("../../model/rows.js").Folding}
 */
export function foldingOf({ depth, folds: changes }) {
  return { depth: depth === DEFAULT_DEPTH ? null : depth, changes };
}

/**
 * Return what to write for a folding.
 *
 * @param {import("../../model/rows.js").Folding} folding
 */
export function foldingState({ depth, changes }) {
  return { depth: depth ?? DEFAULT_DEPTH, folds: changes };
}

/** @returns {import("../../lib/url_state.js").Codec<ReadonlyMap<string, boolean>>} */
function folds() {
  return {
    read: ([value]) => readFolds(value ?? ""),
    write: (changes) => (changes.size > 0 ? [writeFolds(changes)] : []),
  };
}
