/** The histogram above the list, in which a stretch of time can be selected by mouse, touch and keyboard. */

import { el, replace, setAttribute, setStyle, setText } from "../../lib/dom.js";
import { plus } from "../../model/histogram.js";
import { describe, drawChart, figuresTable, Scale } from "./chart.js";

/** @typedef {import("../../model/histogram.js").Column} Column */

const HELP = "Select a stretch of time: arrows move, Shift with arrows extends, Enter selects, Escape cancels";

export class Histogram {
  #select;
  #picture = el("div", { class: "chart" });
  #figures = el("div", { class: "visually-hidden" });
  #marked = el("div", { class: "marked", hidden: true });
  #brush;
  #tip = el("div", { class: "tip", "aria-hidden": "true", hidden: true });
  #note = el("p", { class: "chart-note muted", hidden: true });
  #resizes = new ResizeObserver(() => this.#draw());
  /** @type {readonly Column[]} */
  #columns = [];
  #zone = "UTC";
  /** What was drawn, to leave it alone while it is the same. */
  #drawn = "";
  #width = 0;
  /** @type {{anchor: number, end: number, isDragged: boolean} | null} The columns marked, by index. */
  #mark = null;

  /** @param {(from: number, to: number) => void} select Look only at this stretch of time. */
  constructor(select) {
    this.#select = select;
    this.#brush = el("div", { class: "brush", role: "slider", tabindex: 0, "aria-label": HELP });
    const plot = el("div", { class: "plot" }, this.#picture, this.#marked, this.#brush, this.#tip);
    const props = { class: "histogram", "aria-label": "Launches over time" };
    this.element = el("section", props, plot, this.#figures, this.#note);
    this.#listen();
    this.#resizes.observe(this.#picture);
  }

  /**
   * @param {readonly Column[]} columns
   * @param {string} zone
   */
  show(columns, zone) {
    const drawn = JSON.stringify([columns, zone]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#columns = columns;
    this.#zone = zone;
    this.#width = 0;
    if (this.#mark && this.#mark.end >= columns.length) this.#mark = null;
    this.#draw();
    replace(this.#figures, columns.length > 0 && figuresTable(columns, zone));
  }

  /**
   * Say what the picture does not show; empty for nothing.
   *
   * @param {string} text
   */
  say(text) {
    setText(this.#note, text);
    this.#note.hidden = text === "";
  }

  /** Remove what would stay behind. */
  destroy() {
    this.#resizes.disconnect();
  }

  #draw() {
    const width = this.#picture.clientWidth;
    if (!width || width === this.#width) return;
    this.#width = width;
    replace(this.#picture, this.#columns.length > 0 && drawChart(this.#columns, width, this.#zone));
    this.#showMark();
  }

  #listen() {
    const brush = this.#brush;
    brush.addEventListener("pointerdown", (event) => this.#press(event));
    brush.addEventListener("pointermove", (event) => this.#move(event));
    brush.addEventListener("pointerup", () => this.#release());
    brush.addEventListener("pointercancel", () => this.#clear());
    brush.addEventListener("pointerleave", () => this.#mark?.isDragged || this.#clear());
    brush.addEventListener("keydown", (event) => this.#key(event));
    brush.addEventListener("blur", () => this.#clear());
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button || !this.#columns.length) return;
    const index = this.#indexAt(event);
    this.#brush.setPointerCapture(event.pointerId);
    this.#markColumns(index, index, true);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#columns.length) return;
    const index = this.#indexAt(event);
    if (this.#mark?.isDragged) this.#markColumns(this.#mark.anchor, index, true);
    else this.#markColumns(index, index, false);
  }

  #release() {
    if (this.#mark?.isDragged) this.#apply();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.#columns.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = this.#target(event.key);
    if (target !== undefined) this.#moveTo(target, event.shiftKey);
    else if (event.key === "Enter" && this.#mark) this.#apply();
    else if (event.key === "Escape" && this.#mark) this.#clear();
    else return;
    event.preventDefault();
  }

  /**
   * @param {number} index
   * @param {boolean} isExtended Whether what is marked extends up to there.
   */
  #moveTo(index, isExtended) {
    this.#markColumns(isExtended && this.#mark ? this.#mark.anchor : index, index, false);
  }

  /**
   * @param {string} key
   * @returns {number | undefined} The column that a key leads to.
   */
  #target(key) {
    const last = this.#columns.length - 1;
    const at = this.#mark?.end;
    /** @type {Record<string, number>} */
    const targets = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? last - 1) + 1, Home: 0, End: last };
    const target = targets[key];
    return target === undefined ? undefined : Math.min(last, Math.max(0, target));
  }

  #apply() {
    const chosen = this.#chosen();
    this.#clear();
    if (chosen) this.#select(chosen.start, chosen.end);
  }

  #clear() {
    this.#mark = null;
    this.#showMark();
  }

  /**
   * @param {number} anchor
   * @param {number} end
   * @param {boolean} isDragged
   */
  #markColumns(anchor, end, isDragged) {
    this.#mark = { anchor, end, isDragged };
    this.#showMark();
  }

  #showMark() {
    const chosen = this.#chosen();
    this.#marked.hidden = this.#tip.hidden = !chosen;
    const text = chosen ? describe(chosen, this.#zone) : "Nothing is selected";
    setAttribute(this.#brush, "aria-valuemin", 0);
    setAttribute(this.#brush, "aria-valuemax", Math.max(0, this.#columns.length - 1));
    setAttribute(this.#brush, "aria-valuenow", this.#mark?.end ?? 0);
    setAttribute(this.#brush, "aria-valuetext", text);
    if (!chosen) return;
    const scale = new Scale(this.#columns, this.#width);
    const [left, right] = [scale.x(chosen.start), scale.x(chosen.end)];
    setStyle(this.#marked, { left: `${left}px`, width: `${right - left}px` });
    setText(this.#tip, text);
    const half = this.#tip.offsetWidth / 2;
    const middle = Math.min(this.#width - half, Math.max(half, (left + right) / 2));
    setStyle(this.#tip, { left: `${Math.max(0, middle - half)}px` });
  }

  /** @returns {Column | null} What is marked, as one column. */
  #chosen() {
    if (!this.#mark) return null;
    const [first, last] = [this.#mark.anchor, this.#mark.end].sort((a, b) => a - b);
    const columns = this.#columns.slice(first, /** @type {number} */ (last) + 1);
    return columns.length ? columns.reduce(joined) : null;
  }

  /** @param {PointerEvent} event */
  #indexAt(event) {
    const scale = new Scale(this.#columns, this.#width);
    const share = scale.share(event.clientX - this.#picture.getBoundingClientRect().left);
    return Math.min(this.#columns.length - 1, Math.floor(share * this.#columns.length));
  }
}

/**
 * @param {Column} a
 * @param {Column} b
 * @returns {Column}
 */
function joined(a, b) {
  const counts = { ...a.counts };
  for (const [status, count] of /** @type {[keyof typeof counts, number][]} */ (Object.entries(b.counts))) {
    counts[status] = (counts[status] ?? 0) + count;
  }
  return { start: a.start, end: b.end, counts, launches: a.launches + b.launches, cost: plus(a.cost, b.cost) };
}
