/** What two launches are as wholes: one row each, and their differences. */

import { clipped, el, outside, replace } from "../../lib/dom.js";
import { cost, count, duration, dateTime, tokens } from "../../lib/format.js";
import { statusChip } from "../../lib/run_details.js";
import { launchHref } from "../../lib/url_state.js";
import { change, factsOf } from "../../model/comparison.js";

/** @typedef {import("../../model/launch.js").Launch} Launch */
/** @typedef {import("../../model/comparison.js").Facts} Facts */
/** @typedef {"duration" | "runs" | "problems" | "tokens" | "cost" | "commits"} Amount */

const CLIP = 200;

/** @type {readonly [Amount, string, (value: number) => string][]} */
const AMOUNTS = [
  ["duration", "Duration", duration],
  ["runs", "Runs", count],
  ["problems", "Problems", count],
  ["tokens", "Tokens", tokens],
  ["cost", "Cost", cost],
  ["commits", "Commits", count],
];

/**
 * Return an amount with its sign, as a difference.
 *
 * @param {number} difference
 * @param {(value: number) => string} format
 * @returns {string} Empty if there is none, or none that shows.
 */
export function signed(difference, format) {
  if (Number.isNaN(difference) || difference === 0) return "";
  const shown = format(Math.abs(difference));
  return `${difference < 0 ? "−" : "+"}${shown}`;
}

export class FactsTable {
  #body = el("tbody");

  constructor() {
    const names = ["", "Launch", "Status", "Start", ...AMOUNTS.map(([, name]) => name)];
    const headings = names.map((name, at) =>
      el("th", { scope: "col", class: at > 3 && "number", "aria-label": name ? null : "Side" }, name),
    );
    const head = el("thead", null, el("tr", null, ...headings));
    const props = { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "The launches as wholes" };
    this.element = el("div", props, el("table", { class: "table compare-facts" }, head, this.#body));
  }

  /**
   * @param {Launch} left
   * @param {Launch} right
   * @param {string} zone
   */
  show(left, right, zone) {
    const [first, second] = [factsOf(left), factsOf(right)];
    const differences = AMOUNTS.map(([name, , format]) =>
      el("td", { class: "number" }, signed(change(first[name], second[name]), format) || "–"),
    );
    const heading = el("th", { scope: "row", "aria-label": "Difference" }, "Δ");
    replace(
      this.#body,
      launchRow("A", left, first, zone),
      launchRow("B", right, second, zone),
      el("tr", { class: "difference" }, heading, el("td", { colspan: 3 }), ...differences),
    );
  }
}

/**
 * @param {string} side
 * @param {Launch} launch
 * @param {Facts} facts
 * @param {string} zone
 */
function launchRow(side, { tree }, facts, zone) {
  const { run_id, status, start_time } = tree.runs[0];
  const link = el("a", { href: launchHref(tree.runs[0]) }, outside(clipped(run_id, CLIP)));
  const amounts = AMOUNTS.map(([name, , format]) =>
    el("td", { class: "number" }, Number.isNaN(facts[name]) ? "" : format(facts[name])),
  );
  return el(
    "tr",
    null,
    el("th", { scope: "row" }, side),
    el("td", null, link),
    el("td", null, statusChip(status)),
    el("td", null, dateTime(start_time, zone)),
    ...amounts,
  );
}
