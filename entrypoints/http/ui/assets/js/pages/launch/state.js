/** What of the launch page is in the address. */

import { choice, flag, integer, range, text } from "../../lib/url_state.js";
import { readFolds, writeFolds } from "../../model/rows.js";
import { clampRange, isWhole, wholeRange } from "../../model/time_scale.js";

/** The depth that opens everything, and that of the usual folding. */
export const EVERYTHING = 999;
export const USUAL_DEPTH = -1;

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
  depth: integer(USUAL_DEPTH, { min: 0, max: EVERYTHING }),
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
  if (depth === EVERYTHING) return { depth: Number.POSITIVE_INFINITY, changes };
  return { depth: depth === USUAL_DEPTH ? null : depth, changes };
}

/**
 * Return what to write for a folding.
 *
 * @param {import("../../model/rows.js").Folding} folding
 */
export function foldingState({ depth, changes }) {
  return { depth: Math.min(depth ?? USUAL_DEPTH, EVERYTHING), folds: changes };
}

/**
 * Return the stretch of time in sight.
 *
 * @param {State} state
 * @param {{ first: number, last: number }} tree
 */
export function rangeOf({ z }, tree) {
  const whole = wholeRange(tree);
  return z === null ? whole : clampRange({ from: z[0] + whole.from, to: z[1] + whole.from }, whole);
}

/**
 * Return what to write for a stretch of time in sight.
 *
 * @param {import("../../model/time_scale.js").Range | null} shown null for the whole launch
 * @param {{ first: number, last: number }} tree
 * @returns {Pick<State, "z">}
 */
export function zoomState(shown, tree) {
  const whole = wholeRange(tree);
  return { z: shown === null || isWhole(shown, whole) ? null : [shown.from - whole.from, shown.to - whole.from] };
}

/** @returns {import("../../lib/url_state.js").Codec<ReadonlyMap<string, boolean>>} */
function folds() {
  return {
    read: ([value]) => readFolds(value ?? ""),
    write: (changes) => (changes.size > 0 ? [writeFolds(changes)] : []),
  };
}
