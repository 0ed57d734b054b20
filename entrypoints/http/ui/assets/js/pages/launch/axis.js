/** The time axis above the waterfall, and its lines behind the rows. */

import { el, replace } from "../../lib/dom.js";
import { ticks, toPixels } from "../../model/time_scale.js";

/** Least distance between two ticks, in pixels. */
const TICK_PIXELS = 70;
/** Width of a character of a label, at most, in pixels. A tick without room for its label has only its line. */
const CHARACTER_PIXELS = 7;

export class Axis {
  #shown = "";
  /** Labels, for the head of the list. */
  element = el("div", { class: "axis", role: "columnheader", "aria-label": "Time since the start of the launch" });
  /** Lines, to be laid behind the rows. */
  lines = el("div", { class: "axis-lines", "aria-hidden": "true" });

  /**
   * @param {import("../../model/time_scale.js").Range} range
   * @param {number} width pixels
   */
  update(range, width) {
    const found = ticks(range, Math.max(1, Math.floor(width / TICK_PIXELS))).map(({ time, label }) => ({
      time,
      label: toPixels(range, width, time) + (label.length + 1) * CHARACTER_PIXELS > width ? "" : label,
    }));
    const positions = found.map(({ time }) => `${toPixels(range, 100, time)}%`);
    const shown = found.map(({ label }, at) => `${label} ${positions[at]}`).join();
    if (shown === this.#shown) return;
    this.#shown = shown;
    replace(this.element, ...found.map(({ label }, at) => el("span", { style: { left: positions[at] } }, label)));
    replace(this.lines, ...positions.map((left) => el("i", { style: { left } })));
  }
}
