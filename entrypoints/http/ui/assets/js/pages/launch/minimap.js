/** The launch at a glance: how many runs at once and when problems occurred. Dragging over it zooms. */

import { el, setAttribute, setStyle, setText, svg } from "../../lib/dom.js";
import * as format from "../../lib/format.js";
import { STATUSES } from "../../lib/status.js";
import { clampRange, isWhole, toPixels, toTime, wholeRange } from "../../model/time_scale.js";

/** @typedef {import("../../model/launch.js").Launch} Launch */
/** @typedef {import("../../model/time_scale.js").Range} Range */

const BINS = 320;
/** Height of the chart in its own units, and of the band for problems at its foot. */
const HEIGHT = 40;
const BAND = 4;
/** A drag that is shorter is a click. */
const CLICK_PIXELS = 4;
/** Stages of a launch with more children than this are not marked. */
const MAX_STAGES = 12;

export class Minimap {
  /** @type {Launch | null} */
  #launch = null;
  /** @type {Range} */
  #range = { from: 0, to: 1 };
  #area = svg("path", { class: "minimap-area" });
  #stages = svg("path", { class: "minimap-stages" });
  #marks = STATUSES.map((status) => svg("path", { "data-status": status }));
  #selected = svg("rect", { class: "minimap-selected", y: 0, height: HEIGHT, width: 0 });
  #chart = svg(
    "svg",
    { viewBox: `0 0 ${BINS} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...[this.#area, this.#stages, ...this.#marks, this.#selected],
  );
  #window = el("div", { class: "minimap-window" });
  #peak = el("span", { class: "minimap-peak muted small", "aria-hidden": "true" });
  #choose;

  /** @param {(range: Range | null) => void} choose called with the stretch to show, null for all of the launch */
  constructor(choose) {
    this.#choose = choose;
    this.element = el("div", { class: "minimap", role: "img" }, this.#chart, this.#window, this.#peak);
    this.#listen();
  }

  /**
   * @param {Launch} launch
   * @param {Range} range
   * @param {number} selected index of the selected run, -1 for none
   */
  update(launch, range, selected) {
    if (launch !== this.#launch) this.#draw(launch);
    this.#launch = launch;
    this.#range = range;
    this.#showWindow(range);
    const whole = wholeRange(launch.tree);
    const { start, end } = launch.tree;
    const left = selected < 0 ? 0 : toPixels(whole, BINS, start[selected]);
    const width = selected < 0 ? 0 : Math.max(1, toPixels(whole, BINS, end[selected]) - left);
    setAttribute(this.#selected, "x", left);
    setAttribute(this.#selected, "width", width);
  }

  /** @param {Launch} launch */
  #draw(launch) {
    const { most, problems, peak } = launch.concurrency(BINS);
    const scale = (HEIGHT - BAND - 4) / Math.max(1, peak);
    let area = `M0 ${HEIGHT - BAND}`;
    most.forEach((count, bin) => {
      area += `V${(HEIGHT - BAND - count * scale).toFixed(1)}H${bin + 1}`;
    });
    setAttribute(this.#area, "d", `${area}V${HEIGHT - BAND}Z`);
    this.#marks.forEach((mark, grade) => setAttribute(mark, "d", bands(problems, grade + 1)));
    setAttribute(this.#stages, "d", stages(launch.tree));
    setText(this.#peak, peak > 0 ? `${format.count(peak)} at once` : "");
    const label = `Up to ${format.counted(peak, "run")} at once. Drag to zoom; the keys z, 0, + and − do so too.`;
    setAttribute(this.element, "aria-label", label);
  }

  /** @param {Range} range */
  #showWindow(range) {
    const whole = wholeRange(/** @type {Launch} */ (this.#launch).tree);
    const { from, to } = range;
    this.#window.hidden = isWhole(range, whole);
    setStyle(this.#window, {
      left: `${toPixels(whole, 100, from)}%`,
      width: `${toPixels(whole, 100, to - from + whole.from)}%`,
    });
  }

  #listen() {
    let begun = -1;
    this.element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.#launch) return;
      begun = event.clientX;
      this.element.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    this.element.addEventListener("pointermove", (event) => {
      if (begun < 0) return;
      this.#showWindow(this.#between(begun, event.clientX));
    });
    this.element.addEventListener("pointerup", (event) => {
      if (begun < 0) return;
      const dragged = Math.abs(event.clientX - begun) >= CLICK_PIXELS;
      const range = dragged ? this.#between(begun, event.clientX) : this.#around(event.clientX);
      begun = -1;
      this.#choose(range);
    });
    this.element.addEventListener("pointercancel", () => {
      begun = -1;
      if (this.#launch) this.#showWindow(this.#range);
    });
    this.element.addEventListener("dblclick", () => this.#choose(null));
  }

  /**
   * @param {number} one position in the window
   * @param {number} other likewise
   * @returns {Range}
   */
  #between(one, other) {
    const { left, width } = this.element.getBoundingClientRect();
    const whole = wholeRange(/** @type {Launch} */ (this.#launch).tree);
    const times = [one, other].map((position) => toTime(whole, width, position - left));
    return clampRange(
      { from: Math.max(whole.from, Math.min(...times)), to: Math.min(whole.to, Math.max(...times)) },
      whole,
    );
  }

  /**
   * Return the stretch in sight, moved so that a position is in its middle.
   *
   * @param {number} position
   * @returns {Range | null} null if everything is in sight
   */
  #around(position) {
    const whole = wholeRange(/** @type {Launch} */ (this.#launch).tree);
    if (isWhole(this.#range, whole)) return null;
    const { from } = this.#between(position, position);
    const half = (this.#range.to - this.#range.from) / 2;
    return clampRange({ from: from - half, to: from + half }, whole);
  }
}

/**
 * @param {Uint8Array} problems
 * @param {number} grade
 */
function bands(problems, grade) {
  let path = "";
  for (let bin = 0; bin < problems.length; bin++) {
    if (problems[bin] !== grade) continue;
    const from = bin;
    while (problems[bin + 1] === grade) bin++;
    path += `M${from} ${HEIGHT}V${HEIGHT - BAND}H${bin + 1}V${HEIGHT}Z`;
  }
  return path;
}

/** @param {import("../../model/tree.js").LaunchTree} tree */
function stages(tree) {
  const starts = [];
  for (let child = 1; child < tree.runs.length && starts.length <= MAX_STAGES; child = tree.next[child]) {
    starts.push(tree.start[child]);
  }
  if (starts.length > MAX_STAGES) return "";
  return starts.map((start) => `M${toPixels(wholeRange(tree), BINS, start).toFixed(1)} 0V${HEIGHT}`).join("");
}
