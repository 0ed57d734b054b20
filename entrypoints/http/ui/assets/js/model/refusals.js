/** Which refused runs belong to a launch: those that it would hold, had they been valid. */

import { withoutPrefix } from "./names.js";

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

/**
 * @typedef {object} Refusal
 * @property {string | null} event_id
 * @property {string | null} run_id
 * @property {{ field: string | null, error: string }[]} errors
 * @property {string} body what was sent
 */

/**
 * Return the refusals that belong to a launch.
 *
 * One belongs to it if its parent is a run of the launch, as far as what was sent can be read, or if its name continues
 * that of the first run. A run that is stored by now, since it was sent again, no longer counts.
 *
 * @param {LaunchTree} tree
 * @param {readonly Refusal[]} refusals
 * @returns {Refusal[]}
 */
export function refusalsOf(tree, refusals) {
  const names = new Set(tree.runs.map((run) => run.run_id));
  const events = new Set(tree.runs.map((run) => run.event_id));
  const root = tree.runs[0].run_id;
  return refusals.filter((refusal) => {
    if (refusal.event_id !== null && events.has(refusal.event_id)) return false;
    return withoutPrefix(refusal.run_id ?? "", root) !== null || names.has(parentIn(refusal.body));
  });
}

/**
 * Return the parent that a refused run names.
 *
 * @param {string} body what was sent
 * @returns {string} empty if it names none, or cannot be read
 */
export function parentIn(body) {
  try {
    const parent = JSON.parse(body)?.parent_run_id;
    return typeof parent === "string" ? parent : "";
  } catch {
    return "";
  }
}
