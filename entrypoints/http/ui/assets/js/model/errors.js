/** Problems grouped by what they say, where numbers and ids count for nothing. */

import { foldKey } from "./rows.js";

/** @typedef {import("../lib/page.js").Run} Run */
/** @typedef {import("../lib/status.js").Status} Status */
/** @typedef {"runs" | "last"} Order */

/** Characters of a text by which it is grouped. */
const COMPARED = 500;

/**
 * What varies: UUIDs, hexadecimal ids that have a digit, and numbers. The number of an HTTP status, an error or an exit
 * does not: it says what went wrong.
 */
const VARYING = new RegExp(
  [
    String.raw`\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`,
    String.raw`\b(?=[a-f]*\d)[0-9a-f]{7,64}\b`,
    String.raw`(?<!\b(?:http|status|code|error|exit) )(?<!\d)\d+(?:[.,:]\d+)*`,
  ].join("|"),
  "gi",
);

/**
 * @typedef {object} ErrorGroup
 * @property {string} key short, for the address
 * @property {Status} status
 * @property {string} pattern what the texts have in common; empty for problems that say nothing
 * @property {string} example the newest text
 * @property {Run[]} runs the newest first
 * @property {string} first start of the oldest run
 * @property {string} last start of the newest run
 * @property {{value: string, runs: number}[]} agents the most frequent first
 * @property {{value: string, runs: number}[]} texts the different texts, the most frequent first
 */

/**
 * Return what a text has in common with those that differ only in numbers and ids: `# of # checks failed`.
 *
 * @param {string} text
 * @returns {string}
 */
export function errorPattern(text) {
  return text.slice(0, COMPARED).replace(VARYING, "#").replace(/\s+/g, " ").trim();
}

/**
 * Group problems by status and by what their errors have in common.
 *
 * @param {readonly Run[]} runs the newest first
 * @param {Order} [order] what comes first: the most frequent, or the one that occurred last
 * @returns {ErrorGroup[]}
 */
export function groupErrors(runs, order = "runs") {
  /** @type {Map<string, Run[]>} */
  const groups = new Map();
  for (const run of runs) {
    const name = `${run.status} ${errorPattern(run.error_summary ?? "")}`;
    const group = groups.get(name);
    if (group) group.push(run);
    else groups.set(name, [run]);
  }
  return [...groups].map(([name, members]) => describe(name, members)).sort(order === "last" ? byTime : byFrequency);
}

/**
 * @param {string} name
 * @param {Run[]} runs at least one
 * @returns {ErrorGroup}
 */
function describe(name, runs) {
  const newest = runs[0];
  return {
    key: foldKey(name),
    status: newest.status,
    pattern: name.slice(newest.status.length + 1),
    example: newest.error_summary ?? "",
    runs,
    first: runs[runs.length - 1].start_time,
    last: newest.start_time,
    agents: tally(runs.map((run) => run.agent_name)),
    texts: tally(runs.map((run) => run.error_summary ?? "")),
  };
}

/**
 * Count how often each value occurs, the most frequent first.
 *
 * @param {readonly string[]} values
 * @returns {{value: string, runs: number}[]}
 */
export function tally(values) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, runs]) => ({ value, runs })).sort((left, right) => right.runs - left.runs);
}

/**
 * @param {ErrorGroup} left
 * @param {ErrorGroup} right
 */
function byFrequency(left, right) {
  return right.runs.length - left.runs.length || byTime(left, right);
}

/**
 * @param {ErrorGroup} left
 * @param {ErrorGroup} right
 */
function byTime(left, right) {
  return Date.parse(right.last) - Date.parse(left.last);
}
