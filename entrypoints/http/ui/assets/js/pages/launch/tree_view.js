/** The tree beside the waterfall: the list of rows with its head and the lines of its axis. */

import { el } from "../../lib/dom.js";
import { VirtualList } from "../../lib/virtual_list.js";
import { Axis } from "./axis.js";
import { createRow } from "./row.js";

/** @typedef {import("./row.js").Scene} Scene */

/** Heights of a row, as in the style sheet. */
const ROW_HEIGHT = 24;
const NARROW_ROW_HEIGHT = 36;

/**
 * @typedef {object} Actions
 * @property {(index: number) => void} select called with the index of a run, as all these
 * @property {(index: number, open: boolean) => void} fold
 * @property {(center: number, factor: number) => void} zoom with a moment that keeps its place
 */

export class TreeView {
  /** @type {Scene | null} */
  #scene = null;
  #axis = new Axis();
  /** Of the axis in pixels, as last observed: asking for it would have the browser lay out the page. */
  #width = 0;
  #narrow = matchMedia("(max-width: 720px)");
  #actions;
  #list;
  #resizes;
  #nothing = el("p", { class: "launch-nothing muted", hidden: true }, "No run of this launch matches.");
  #layOutAgain = () => this.#layOut();

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    const isNarrow = () => this.#narrow.matches;
    this.#list = new VirtualList({
      label: "Runs of the launch",
      role: "treegrid",
      get rowHeight() {
        return isNarrow() ? NARROW_ROW_HEIGHT : ROW_HEIGHT;
      },
      header: head(this.#axis.element),
      createRow: () =>
        createRow(
          () => this.#required(),
          (row) => this.toggle(row),
        ),
      onActive: (row) => actions.select(this.#indexAt(row)),
      onOpen: (row, event) => event.type === "keydown" && this.toggle(row),
      onExpand: (row) => this.expand(row),
      onCollapse: (row) => this.collapse(row),
    });
    const lines = el("div", { class: "launch-lines launch-columns" }, this.#axis.lines);
    this.element = el("div", { class: "launch-list" }, lines, this.#list.element, this.#nothing);
    this.#list.element.addEventListener("dblclick", (event) => this.#doubleClick(event));
    this.#list.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#narrow.addEventListener("change", this.#layOutAgain);
    this.#resizes = new ResizeObserver(([entry]) => {
      this.#width = entry.contentRect.width;
      this.#drawAxis();
    });
    this.#resizes.observe(this.#axis.element);
  }

  /**
   * Scroll to a run, if it has a row.
   *
   * @param {number} index
   */
  reveal(index) {
    const row = this.#scene?.view.rowOf(index) ?? -1;
    if (row >= 0) this.#list.setActive(row, { reveal: true });
  }

  /**
   * Show other rows, or the same ones in another way. What stands at the top stays there.
   *
   * @param {Scene} scene
   * @param {number} selected index of the selected run, -1 for none
   * @param {boolean} reveal whether to scroll to it
   */
  update(scene, selected, reveal) {
    const anchor = this.#scene && this.#scene.view !== scene.view ? this.#anchor() : null;
    this.#scene = scene;
    const { view } = scene;
    this.#drawAxis();
    const { element } = this.#list;
    this.#list.setCount(view.rows.length);
    this.#nothing.hidden = view.rows.length > 0;
    if (anchor) element.scrollTop = this.#anchoredTop(anchor);
    const active = selected >= 0 && view.keeps(selected) ? view.rowOf(selected) : -1;
    this.#list.setActive(active, { reveal });
  }

  destroy() {
    this.#narrow.removeEventListener("change", this.#layOutAgain);
    this.#resizes.disconnect();
    this.#list.destroy();
  }

  /** @param {number} rows */
  move(rows) {
    if (this.#scene) this.#list.move(rows);
  }

  get active() {
    return this.#list.active;
  }

  /** @param {number} row */
  toggle(row) {
    const { view } = this.#required();
    const index = view.rows[row];
    if (view.canOpen(index)) this.#actions.fold(index, view.open[index] === 0);
  }

  /**
   * Open a run, or go to its first child if it is open.
   *
   * @param {number} row
   */
  expand(row) {
    const view = this.#scene?.view;
    const index = view?.rows[row];
    if (!view || index === undefined || !view.canOpen(index)) return;
    if (view.open[index] > 0) this.#list.move(1);
    else this.#actions.fold(index, true);
  }

  /**
   * Close a run, or go to its parent if there is nothing to close.
   *
   * @param {number} row
   */
  collapse(row) {
    const view = this.#scene?.view;
    const index = view?.rows[row];
    if (!view || index === undefined) return;
    if (view.canOpen(index) && view.open[index] > 0) this.#actions.fold(index, false);
    else if (index > 0) this.#actions.select(view.launch.tree.parent[index]);
  }

  #required() {
    if (!this.#scene) throw new Error("rows are drawn only once there is a scene");
    return this.#scene;
  }

  /** @param {number} row */
  #indexAt(row) {
    return this.#required().view.rows[row];
  }

  get #rowHeight() {
    return this.#narrow.matches ? NARROW_ROW_HEIGHT : ROW_HEIGHT;
  }

  /** What stands at the top, by its event, since indexes change while a launch grows. */
  #anchor() {
    const { scrollTop } = this.#list.element;
    const row = Math.floor(scrollTop / this.#rowHeight);
    const { view } = this.#required();
    const index = view.rows[row];
    if (row === 0 || index === undefined) return null;
    return { index, view, offset: scrollTop - row * this.#rowHeight };
  }

  /** @param {{ index: number, view: import("../../model/launch.js").View, offset: number }} anchor */
  #anchoredTop({ index, view: before, offset }) {
    const { view } = this.#required();
    const isSame = before.launch.tree.runs === view.launch.tree.runs;
    const { event_id } = before.launch.tree.runs[index];
    const now = isSame ? index : view.launch.tree.runs.findIndex((run) => run.event_id === event_id);
    return Math.max(0, view.rowOf(now)) * this.#rowHeight + offset;
  }

  #layOut() {
    const count = this.#list.count;
    this.#list.setCount(0);
    this.#list.setCount(count);
  }

  #drawAxis() {
    if (this.#scene && this.#width > 0) this.#axis.update(this.#scene.range, this.#width);
  }

  /** @param {MouseEvent} event */
  #doubleClick(event) {
    const target = event.target instanceof Element ? event.target : null;
    const row = target?.closest("button") ? null : target?.closest(".launch-row");
    if (row instanceof HTMLElement) this.toggle(Number(row.dataset.index));
  }

  /**
   * Zoom at the pointer, as a pinch on a touchpad asks for.
   *
   * @param {WheelEvent} event
   */
  #wheel(event) {
    if (!event.ctrlKey || !this.#scene) return;
    event.preventDefault();
    const { left, width } = this.#axis.element.getBoundingClientRect();
    const { range } = this.#scene;
    const share = Math.min(1, Math.max(0, (event.clientX - left) / Math.max(1, width)));
    this.#actions.zoom(range.from + share * (range.to - range.from), 2 ** (event.deltaY / 200));
  }
}

/** @param {HTMLElement} axis */
function head(axis) {
  return el(
    "div",
    { class: "launch-columns launch-list-head", role: "row" },
    el("span", { class: "cell", role: "columnheader" }, "Run"),
    el("span", { class: "cell number cost", role: "columnheader" }, "Cost"),
    el("span", { class: "cell number", role: "columnheader" }, "Duration"),
    axis,
  );
}
