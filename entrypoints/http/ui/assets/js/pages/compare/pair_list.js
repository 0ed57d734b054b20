/** The pairs of two launches as one tree. */

import { clipped, el, icon, setAttribute, setIcon, setStyle, setText } from "../../lib/dom.js";
import { cost, count, duration } from "../../lib/format.js";
import { statusName } from "../../lib/status.js";
import { VirtualList } from "../../lib/virtual_list.js";
import { change, hasChanged, pairName } from "../../model/comparison.js";
import { signed } from "./facts.js";

/** @typedef {import("../../model/comparison.js").Comparison} Comparison */
/** @typedef {import("../../model/comparison.js").Amounts} Amounts */
/** @typedef {import("../../model/launch.js").Launch} Launch */

const ROW_HEIGHT = 26;
const CLIP = 200;

/** @type {readonly [string, string][]} Class and heading of each column. */
const COLUMNS = [
  ["pair", "Run"],
  ["change", "Status"],
  ["number wide-only", "Duration A"],
  ["number wide-only", "B"],
  ["number delta", "Δ"],
  ["number wide-only", "Cost A"],
  ["number wide-only", "B"],
  ["number delta wide-only", "Δ"],
];

/**
 * What the list shows.
 *
 * @typedef {object} Scene
 * @property {Comparison} comparison
 * @property {Int32Array} rows pairs in sight
 * @property {Uint8Array} open 1 for open pairs
 * @property {Uint8Array | null} kept what a filter leaves
 * @property {Int32Array} below how many pairs below each differ
 */

/**
 * @typedef {object} Actions
 * @property {(at: number) => void} select
 * @property {(at: number, open: boolean) => void} fold
 * @property {(at: number) => void} open
 */

export class PairList {
  #actions;
  #list;
  /** @type {Scene | null} */
  #scene = null;

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    const headings = COLUMNS.map(([name, text]) => el("span", { role: "columnheader", class: name }, text));
    this.#list = new VirtualList({
      label: "Runs of both launches",
      role: "treegrid",
      rowHeight: ROW_HEIGHT,
      header: el("div", { class: "pair-row", role: "row" }, ...headings),
      createRow: () => this.#createRow(),
      onActive: (row) => actions.select(this.#at(row)),
      onOpen: (row, event) => event instanceof KeyboardEvent && actions.open(this.#at(row)),
      onExpand: (row) => this.foldActive(true, row),
      onCollapse: (row) => this.foldActive(false, row),
    });
    this.element = this.#list.element;
  }

  /**
   * @param {Scene} scene
   * @param {number} active row, -1 for none
   * @param {boolean} reveal whether to scroll it into sight
   */
  show(scene, active, reveal) {
    this.#scene = scene;
    this.#list.setCount(scene.rows.length);
    this.#list.setActive(active, { reveal });
  }

  /** @param {number} rows */
  move(rows) {
    this.#list.move(rows);
  }

  /** Open the active pair where its launch is shown. */
  openActive() {
    if (this.#list.active >= 0) this.#actions.open(this.#at(this.#list.active));
  }

  /**
   * @param {boolean} open
   * @param {number} [row]
   */
  foldActive(open, row = this.#list.active) {
    if (row < 0 || !this.#scene) return;
    const at = this.#at(row);
    const parent = this.#scene.comparison.pairs.parent[at];
    if (this.#canFold(at) && this.#scene.open[at] > 0 !== open) this.#actions.fold(at, open);
    else if (!open && parent >= 0) this.#actions.select(parent);
  }

  destroy() {
    this.#list.destroy();
  }

  /** @param {number} row */
  #at(row) {
    return this.#scene?.rows[row] ?? 0;
  }

  /** @param {number} at */
  #canFold(at) {
    if (!this.#scene) return false;
    const { comparison, kept, below } = this.#scene;
    return kept ? below[at] > 0 : comparison.pairs.next[at] > at + 1;
  }

  #createRow() {
    const parts = createParts();
    let row = 0;
    parts.fold.addEventListener("click", () => {
      const at = this.#at(row);
      this.#actions.fold(at, this.#scene?.open[at] === 0);
    });
    const element = rowElement(parts);
    /** @param {number} index */
    const update = (index) => {
      row = index;
      if (this.#scene) this.#update(this.#scene, element, parts, this.#at(index));
    };
    return { element, update };
  }

  /**
   * @param {Scene} scene
   * @param {HTMLElement} element
   * @param {Parts} parts
   * @param {number} at
   */
  #update({ comparison, open, below }, element, parts, at) {
    const { pairs, kinds, durations, costs } = comparison;
    const [canFold, isOpen] = [this.#canFold(at), open[at] > 0];
    setAttribute(element, "data-kind", kinds[at]);
    setAttribute(element, "aria-level", pairs.depth[at] + 1);
    setAttribute(element, "aria-expanded", canFold ? String(isOpen) : null);
    setAttribute(parts.fold, "aria-label", isOpen ? "Close" : "Open");
    setStyle(parts.fold, { visibility: canFold ? "visible" : "hidden" });
    setStyle(parts.indent, { "--depth": pairs.depth[at] });
    setText(parts.name, clipped(pairName(comparison, at), CLIP));
    const hidden = isOpen || !canFold ? 0 : below[at];
    setText(parts.badge, hidden ? count(hidden) : "");
    setAttribute(parts.badge, "title", hidden ? "Differences inside" : null);
    parts.badge.hidden = !hidden;
    showStatus(parts, comparison, at);
    showAmount(parts.durations, durations, at, duration);
    showAmount(parts.costs, costs, at, cost);
  }
}

/** @typedef {ReturnType<typeof createParts>} Parts */

function createParts() {
  const cells = (/** @type {string} */ name) => el("span", { role: "gridcell", class: name });
  const amounts = () => [cells("number wide-only"), cells("number wide-only"), cells("number delta")];
  return {
    indent: el("span", { class: "indent", "aria-hidden": "true" }),
    fold: el("button", { class: "fold", type: "button", tabindex: -1 }, icon("chevron")),
    name: el("bdi", { class: "name clip" }),
    badge: el("span", { class: "badge" }),
    left: el("span", null, icon("success")),
    arrow: el("span", { "aria-label": "to" }, "→"),
    right: el("span", null, icon("success")),
    only: el("span", { class: "only" }),
    durations: amounts(),
    costs: amounts(),
  };
}

/** @param {Parts} parts */
function rowElement({ indent, fold, name, badge, left, arrow, right, only, durations, costs }) {
  costs[2].classList.add("wide-only");
  return el(
    "div",
    { class: "pair-row" },
    el("span", { class: "pair run", role: "gridcell" }, indent, fold, name, badge),
    el("span", { class: "change", role: "gridcell" }, left, arrow, right, only),
    ...durations,
    ...costs,
  );
}

/**
 * @param {Parts} parts
 * @param {Comparison} comparison
 * @param {number} at
 */
function showStatus(parts, { left, right, pairs, kinds }, at) {
  showSide(parts.left, left, pairs.left[at]);
  showSide(parts.right, right, pairs.right[at]);
  const kind = kinds[at];
  setText(parts.only, kind === "left" ? "only in A" : kind === "right" ? "only in B" : "");
  // The same status twice says nothing that once does not.
  parts.arrow.hidden = kind !== "status";
  if (kind === "same" || kind === "amount") parts.right.hidden = true;
}

/**
 * @param {HTMLElement} shown
 * @param {Launch} launch
 * @param {number} index -1 for no run
 */
function showSide(shown, { tree }, index) {
  shown.hidden = index < 0;
  if (index < 0) return;
  const { status } = tree.runs[index];
  setAttribute(shown, "data-status", status);
  setIcon(/** @type {SVGSVGElement} */ (shown.firstElementChild), status, statusName(status));
}

/**
 * @param {HTMLElement[]} cells
 * @param {Amounts} amounts
 * @param {number} at
 * @param {(value: number) => string} format
 */
function showAmount([left, right, delta], amounts, at, format) {
  const [first, second] = [amounts.left[at], amounts.right[at]];
  setText(left, Number.isNaN(first) ? "" : format(first));
  setText(right, Number.isNaN(second) ? "" : format(second));
  setText(delta, signed(change(first, second), format));
  delta.classList.toggle("changed", hasChanged(amounts, at));
}
