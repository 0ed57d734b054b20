/**
 * What a list says of a launch: why it did not succeed, what is inside, and whether it took as long as usual.
 *
 * @typedef {import("../lib/page.js").Run} Run
 * @typedef {import("../lib/status.js").Status} Status
 *
 * @typedef {object} Reason
 * @property {string} text
 * @property {Status | null} status Of the run that it comes from; `null` if it is no problem.
 * @property {string} where The run that it comes from, below the launch; empty for the launch itself.
 * @property {number} others How many other runs of the launch failed for the same reason.
 *
 * @typedef {object} Usual
 * @property {number} median In milliseconds.
 * @property {number} full The duration that fills a bar.
 * @property {number} launches How many were compared.
 */

import { milliseconds } from "../lib/format.js";
import { counted, severity } from "../lib/status.js";
import { plus } from "./histogram.js";
import { withoutPrefix } from "./names.js";

/** @type {readonly Status[]} Statuses of runs inside a launch that a list counts. */
const INSIDE = ["failure", "timeout", "partial", "cancelled"];
/** A bar is full at this many times the median, so that one long launch does not make the others invisible. */
const FULL = 2;
/** A median of fewer launches says little. */
const MIN_LAUNCHES = 3;

/**
 * Return the duration of a launch, up to now if it is running; `null` if it is not known.
 *
 * @param {Run} run
 * @param {number} now In milliseconds since the epoch.
 * @returns {number | null} In milliseconds.
 */
export function durationOf(run, now) {
  if (run.duration_ms !== null) return run.duration_ms;
  const start = milliseconds(run.start_time);
  if (run.end_time) return Math.max(0, milliseconds(run.end_time) - start);
  return run.status === "running" ? Math.max(0, now - start) : null;
}

/**
 * Return why a launch did not succeed, or what it was for.
 *
 * @param {Run} run
 * @returns {Reason}
 */
export function reasonOf(run) {
  if (run.status === "success" || run.status === "running") return { ...purpose(run), status: null };
  const cause = worstCause(run);
  if (!cause) return { text: run.error_summary || purpose(run).text, status: run.status, where: "", others: 0 };
  const where = cause.run_id === run.run_id ? "" : (withoutPrefix(cause.run_id, run.run_id) ?? cause.run_id);
  const text = cause.error_summary || run.error_summary || "";
  return { text, status: cause.status, where, others: Math.max(0, cause.runs - 1) };
}

/** @param {Run} run */
function purpose(run) {
  const text = run.input_summary || run.item_name || run.output_summary || "";
  return { text: run.status === "running" && text ? `running: ${text}` : text, where: "", others: 0 };
}

/**
 * The cause that explains a launch best: one that ended as the launch did, else the worst; of those alike the one met
 * most often. A partial launch is the result of what is worse inside, so there the worst comes first. Runs that were
 * cancelled are what follows from a cause; they explain only a launch that was cancelled.
 *
 * @param {Run} run
 */
function worstCause({ rollup, status }) {
  const causes = rollup?.causes ?? [];
  const found = status === "cancelled" ? causes : causes.filter((cause) => cause.status !== "cancelled");
  const told = found
    .filter((cause) => cause.error_summary)
    .sort((a, b) => severity(a.status) - severity(b.status) || b.runs - a.runs);
  const same = status === "partial" ? undefined : told.find((cause) => cause.status === status);
  return same ?? told[0] ?? found[0];
}

/**
 * Return the problems inside a launch, by status, without the launch itself.
 *
 * @param {Run} run
 * @returns {{status: Status, runs: number}[]}
 */
export function problemsInside(run) {
  if (!run.rollup) return [];
  const counts = { ...run.rollup.status };
  counts[run.status] = (counts[run.status] ?? 1) - 1;
  return counted(counts).filter(({ status }) => INSIDE.includes(status));
}

/**
 * Return a metric of a launch: the sum of the innermost runs, or else what the launch itself reports.
 *
 * @param {Run} run
 * @param {string} name
 * @returns {number | null}
 */
export function metricOf(run, name) {
  const value = run.rollup?.metrics[name] ?? run.metrics_json?.[name];
  return typeof value === "number" ? value : null;
}

/**
 * Return what a metric of several launches adds up to.
 *
 * @param {readonly Run[]} runs
 * @param {string} name
 * @returns {number | null} `null` if none reports it.
 */
export function sumOf(runs, name) {
  /** @type {number | null} */
  let sum = null;
  for (const run of runs) sum = plus(sum, metricOf(run, name));
  return sum;
}

/**
 * Return how long launches of each agent usually take: the median of those listed that succeeded, or of all that ended
 * where few succeeded.
 *
 * @param {readonly Run[]} runs
 * @returns {Map<string, Usual>} By the name of the agent; without agents that have too few.
 */
export function usualDurations(runs) {
  /** @type {Map<string, {ended: number[], succeeded: number[]}>} */
  const byAgent = new Map();
  for (const run of runs) {
    const taken = run.status === "running" ? null : durationOf(run, 0);
    if (taken === null) continue;
    const agent = byAgent.get(run.agent_name) ?? { ended: [], succeeded: [] };
    byAgent.set(run.agent_name, agent);
    agent.ended.push(taken);
    if (run.status === "success") agent.succeeded.push(taken);
  }
  const found = new Map();
  for (const [name, { ended, succeeded }] of byAgent) {
    const compared = succeeded.length >= MIN_LAUNCHES ? succeeded : ended;
    if (compared.length >= MIN_LAUNCHES) found.set(name, usual(compared));
  }
  return found;
}

/**
 * @param {number[]} durations At least one.
 * @returns {Usual}
 */
function usual(durations) {
  const sorted = durations.sort((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const longest = sorted.at(-1) ?? 0;
  return { median, full: Math.max(1, Math.min(longest, FULL * median)), launches: sorted.length };
}
