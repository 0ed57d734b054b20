/** The panel beside the pairs: the selected pair, how much differs, and what changed most. */

import { button, clipped, el, longText, outside, replace } from "../../lib/dom.js";
import { cost, count, duration } from "../../lib/format.js";
import { statusChip } from "../../lib/run_details.js";
import { launchHref } from "../../lib/url_state.js";
import { mostChanged, pairName } from "../../model/comparison.js";
import { signed } from "./facts.js";

/** @typedef {import("../../model/comparison.js").Comparison} Comparison */
/** @typedef {import("../../model/comparison.js").Amounts} Amounts */
/** @typedef {import("../../model/comparison.js").Kind} Kind */
/** @typedef {import("../../model/launch.js").Launch} Launch */

const CLIP = 200;

/** @type {readonly [Kind, string][]} */
const KINDS = [
  ["status", "Status changed"],
  ["left", "Only in A"],
  ["right", "Only in B"],
  ["amount", "Duration or cost changed"],
  ["same", "Alike"],
];

export class ComparePanel {
  #select;
  element = el("aside", { class: "side", "aria-label": "Differences" });

  /** @param {(at: number) => void} select */
  constructor(select) {
    this.#select = select;
  }

  /**
   * @param {Comparison} comparison
   * @param {number} selected pair, -1 for none
   */
  show(comparison, selected) {
    const { durations, costs } = comparison;
    replace(
      this.element,
      selected >= 0 && pairSection(comparison, selected),
      countsSection(comparison),
      this.#changed("Duration changed most", comparison, durations, duration),
      this.#changed("Cost changed most", comparison, costs, cost),
    );
  }

  /**
   * @param {string} title
   * @param {Comparison} comparison
   * @param {Amounts} amounts
   * @param {(value: number) => string} format
   */
  #changed(title, comparison, amounts, format) {
    const rows = mostChanged(comparison, amounts).map((at) => {
      const name = outside(clipped(pathName(comparison, at), CLIP), { class: "clip" });
      const jump = button(name, () => this.#select(at), { class: "jump clip" });
      const difference = (amounts.right[at] || 0) - (amounts.left[at] || 0);
      return el("li", null, jump, el("span", null, signed(difference, format)));
    });
    if (!rows.length) return null;
    return el("section", null, el("h2", null, title), el("ul", { class: "values" }, ...rows));
  }
}

/**
 * Return the name of a pair with that of its parent, since many are called alike.
 *
 * @param {Comparison} comparison
 * @param {number} at
 */
function pathName(comparison, at) {
  const parent = comparison.pairs.parent[at];
  const name = pairName(comparison, at);
  return parent > 0 ? `${pairName(comparison, parent)} / ${name}` : name;
}

/** @param {Comparison} comparison */
function countsSection({ counts }) {
  const rows = KINDS.filter(([kind]) => counts[kind] > 0).map(([kind, name]) =>
    el("li", null, el("span", null, name), el("span", null, count(counts[kind]))),
  );
  return el("section", null, el("h2", null, "Runs"), el("ul", { class: "values" }, ...rows));
}

/**
 * @param {Comparison} comparison
 * @param {number} at
 */
function pairSection(comparison, at) {
  const { left, right, pairs } = comparison;
  const name = el("h2", null, outside(clipped(pairName(comparison, at), CLIP)));
  return el("section", null, name, sideOf("A", left, pairs.left[at]), sideOf("B", right, pairs.right[at]));
}

/**
 * @param {string} side
 * @param {Launch} launch
 * @param {number} index -1 for no run
 */
function sideOf(side, { tree }, index) {
  if (index < 0) return el("p", { class: "muted" }, `${side} has no such run.`);
  const { run_id, event_id, status, error_summary } = tree.runs[index];
  const link = el("a", { class: "link", href: launchHref(tree.runs[0], event_id) }, outside(clipped(run_id, CLIP)));
  const error = error_summary && longText(error_summary, { "data-status": status });
  return el("div", { class: "pair-side" }, el("p", null, `${side} `, statusChip(status)), el("p", null, link), error);
}
