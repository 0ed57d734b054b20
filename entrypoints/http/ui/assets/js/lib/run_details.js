/** Everything that one run holds, as a column of sections. */

import { button, clipped, el, icon, longText, outside } from "./dom.js";
import { cost, count, dateTime, duration, milliseconds, tokens, zoneName } from "./format.js";
import { statusName } from "./status.js";
import { href } from "./url_state.js";

/** @typedef {import("./page.js").Run} Run */
/** @typedef {[string, import("./dom.js").Child]} Entry A name and a value. */

/** Longest name of a metric or the like, in UTF-16 units. */
const MAX_NAME = 300;

/** @type {readonly (keyof Run)[]} The texts of a run, in the order in which they are read. */
const TEXTS = ["error_summary", "error_details", "input_summary", "output_summary"];

/** Shown in sections of their own, or by the server alone. */
const ELSEWHERE = new Set([
  ...TEXTS,
  "status",
  "start_time",
  "end_time",
  "duration_ms",
  "agent_name",
  "job_type",
  "items_discovered",
  "items_succeeded",
  "items_failed",
  "items_skipped",
  "metrics_json",
  "context_json",
  "extra",
  "rollup",
]);

/**
 * Return the sections of a run.
 *
 * @param {Run} run A whole one, not a summary.
 * @param {{zone: string, say: (message: string) => void, since?: string}} how `say` tells that something was copied;
 *     `since` is when its launch started.
 * @returns {HTMLElement}
 */
export function runDetails(run, { zone, say, since = "" }) {
  return el(
    "div",
    { class: "details" },
    textSection(run),
    section("Facts", facts(run, zone, since)),
    section("Metrics", values(run.metrics_json)),
    section("Context", values(run.context_json)),
    section("Identity", identity(run, say)),
    section("Extra", values(run.extra)),
    source(run, say),
  );
}

/**
 * Return the status of a run as a chip.
 *
 * @param {import("./status.js").Status} status
 * @returns {HTMLElement}
 */
export function statusChip(status) {
  return el("span", { class: "chip", "data-status": status }, icon(status), statusName(status));
}

/**
 * Return how many runs have a status, beside its icon.
 *
 * @param {import("./status.js").Status} status
 * @param {number} runs
 * @returns {HTMLElement}
 */
export function tally(status, runs) {
  return el("span", { class: "tally", "data-status": status }, icon(status, statusName(status)), count(runs));
}

/**
 * Return a button that copies a text.
 *
 * @param {string} name What it is, such as `run_id`.
 * @param {() => string} text
 * @param {(message: string) => void} say
 * @returns {HTMLElement}
 */
export function copyButton(name, text, say) {
  const label = `Copy ${name}`;
  const props = { class: "icon-button copy", title: label, "aria-label": label };
  return button(icon("copy"), () => void copy(name, text(), say), props);
}

/**
 * Copy a text and say so.
 *
 * @param {string} name
 * @param {string} text
 * @param {(message: string) => void} say
 */
export async function copy(name, text, say) {
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied ${name}.`);
  } catch {
    // Over plain HTTP only loopback addresses may use the clipboard.
    say("The browser does not allow this page to copy.");
  }
}

/**
 * @param {string} title
 * @param {Entry[]} entries
 * @returns {HTMLElement | null} Nothing if there are no entries.
 */
function section(title, entries) {
  const rows = entries.map(([name, value]) =>
    el("div", null, el("dt", null, breakableName(name)), el("dd", null, value)),
  );
  return rows.length ? el("section", null, el("h2", null, title), el("dl", null, ...rows)) : null;
}

/**
 * Return the name of an entry, which may break after its underscores.
 *
 * @param {string} name
 */
function breakableName(name) {
  const parts = clipped(name, MAX_NAME).split(/(?<=_)/);
  return el("bdi", null, ...parts.flatMap((part) => [part, el("wbr", null)]));
}

/**
 * @param {Run} run
 * @returns {HTMLElement | null}
 */
function textSection(run) {
  const shown = TEXTS.flatMap((name) => {
    const text = run[name];
    if (typeof text !== "string" || text === "") return [];
    const isError = name.startsWith("error");
    const props = isError ? { "data-status": run.status, class: `long-text ${name}` } : null;
    return [el("h2", null, name.replace("_", " ")), longText(text, props ?? {})];
  });
  return shown.length ? el("section", { class: "texts" }, ...shown) : null;
}

/**
 * @param {Run} run
 * @param {string} zone
 * @param {string} since
 * @returns {Entry[]}
 */
function facts(run, zone, since) {
  const offset = since === "" ? 0 : milliseconds(run.start_time) - milliseconds(since);
  const start = `${dateTime(run.start_time, zone)} ${zoneName(zone)}`;
  /** @type {Entry[]} */
  const entries = [
    ["status", statusChip(run.status)],
    ["start", offset > 0 ? `${start} · +${duration(offset)}` : start],
  ];
  if (run.end_time) entries.push(["end", `${dateTime(run.end_time, zone)} ${zoneName(zone)}`]);
  if (run.duration_ms !== null) entries.push(["duration", duration(run.duration_ms)]);
  entries.push(["agent", outside(run.agent_name)], ["job type", outside(run.job_type)]);
  const items = itemCounts(run);
  if (items.length > 0) entries.push(["items", el("span", { class: "items" }, ...items)]);
  return entries;
}

/**
 * Return how many items succeeded, of how many, and how many did not: `51 of 55`, `4 failed`.
 *
 * @param {Run} run
 * @returns {HTMLElement[]}
 */
function itemCounts({ items_discovered: all, items_succeeded: done, items_failed: failed, items_skipped: skipped }) {
  const share = all === null ? count(done) : `${count(done ?? 0)} of ${count(all)}`;
  return [
    share && el("span", null, share),
    failed && el("span", { "data-status": "failure" }, `${count(failed)} failed`),
    skipped && el("span", { "data-status": "cancelled" }, `${count(skipped)} skipped`),
  ].filter((shown) => shown instanceof HTMLElement);
}

/**
 * @param {Run} run
 * @param {(message: string) => void} say
 * @returns {Entry[]}
 */
function identity(run, say) {
  return Object.entries(run)
    .filter(([name, value]) => !ELSEWHERE.has(name) && value !== null)
    .map(([name, value]) => [name, identityValue(name, String(value), say)]);
}

/**
 * @param {string} name
 * @param {string} value
 * @param {(message: string) => void} say
 * @returns {HTMLElement}
 */
function identityValue(name, value, say) {
  const shown = outside(value, { class: "mono" });
  if (name === "parent_run_id") return el("a", { class: "link", href: href("launch", { id: value }) }, shown);
  const copied = name.endsWith("_id") || name === "commit_hash";
  return el("span", null, shown, copied && copyButton(name, () => value, say));
}

/**
 * @param {Record<string, unknown> | null | undefined} object
 * @returns {Entry[]}
 */
function values(object) {
  return Object.entries(object ?? {}).map(([name, value]) => [name, shownValue(name, value)]);
}

/**
 * @param {string} name
 * @param {unknown} value
 * @returns {import("./dom.js").Child}
 */
function shownValue(name, value) {
  if (typeof value === "number") return shownNumber(name, value);
  if (typeof value === "string") return longText(value);
  return longText(JSON.stringify(value, null, 2), { class: "long-text mono" });
}

/**
 * @param {string} name
 * @param {number} value
 * @returns {string}
 */
function shownNumber(name, value) {
  if (name.endsWith("_usd")) return cost(value);
  if (name.endsWith("tokens") && Number.isInteger(value)) return value < 10_000 ? count(value) : tokens(value);
  if (name.endsWith("_ms")) return duration(value);
  return Number.isInteger(value) ? count(value) : String(value);
}

/**
 * @param {Run} run
 * @param {(message: string) => void} say
 * @returns {HTMLElement}
 */
function source(run, say) {
  const json = () => JSON.stringify(run, null, 2);
  const details = el("details", null, el("summary", null, "JSON"));
  // Only made when somebody looks.
  details.addEventListener("toggle", () => {
    if (details.childElementCount > 1) return;
    details.append(copyButton("JSON", json, say), longText(json(), { class: "long-text mono" }));
  });
  return el("section", null, details);
}
