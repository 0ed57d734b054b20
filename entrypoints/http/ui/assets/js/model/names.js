/** Short names for runs within their launch. */

/** @typedef {import("./tree.js").LaunchTree} LaunchTree */

/** Most ancestors that are looked at for a common beginning, so that a very deep chain stays cheap. */
const MAX_ANCESTORS = 32;

/** Ids without meaning to a reader: UUIDs, and the trace and span ids of OpenTelemetry. */
const OPAQUE = /^[0-9a-f-]{32,}$/i;

/**
 * Name a run as briefly as its place in the tree allows: `call-1` rather than `docs-1.install.de.call-1`.
 *
 * What the name of an ancestor says already is left out. An id that means nothing gives way to the item or the agent.
 *
 * @param {LaunchTree} tree
 * @param {number} index
 */
export function shortName(tree, index) {
  const name = tree.runs[index].run_id;
  let above = tree.parent[index];
  for (let step = 0; above >= 0 && step < MAX_ANCESTORS; step++) {
    const rest = withoutPrefix(name, tree.runs[above].run_id);
    if (rest !== null) return rest;
    above = tree.parent[above];
  }
  return fullName(tree.runs[index]);
}

/**
 * Name a run outside its tree.
 *
 * @param {{ run_id: string, item_name?: string | null, agent_name: string }} run
 */
export function fullName(run) {
  return OPAQUE.test(run.run_id) ? run.item_name || run.agent_name : run.run_id;
}

/**
 * Name a run for places without a tree around it, beginning below the first run: `install.de.call-1`.
 *
 * @param {LaunchTree} tree
 * @param {number} index
 */
export function nameInLaunch(tree, index) {
  const run = tree.runs[index];
  return (index > 0 && withoutPrefix(run.run_id, tree.runs[0].run_id)) || fullName(run);
}

/**
 * Return what a name adds to another one that it continues.
 *
 * @param {string} name
 * @param {string} prefix
 * @returns {string | null} null if it does not continue it
 */
export function withoutPrefix(name, prefix) {
  if (name.length < prefix.length + 2 || !name.startsWith(prefix)) return null;
  return ".:/-_ ".includes(name[prefix.length]) ? name.slice(prefix.length + 1) : null;
}
