/** The controls above the tree. */

import { button, el, setAttribute, setText } from "../../lib/dom.js";
import * as format from "../../lib/format.js";

/** Depths with a button of their own; the keys go further. */
const DEPTH_BUTTONS = [1, 2, 3];

export class Toolbar {
  #problems;
  #count = el("span", { class: "count" });
  #path;
  #depths;
  #shown = el("span", { class: "muted shown", role: "status" });
  #text;
  #zoom;

  /** @param {import("./commands.js").Commands} commands */
  constructor(commands) {
    this.#problems = toggle("e", () => commands.toggleProblems(), "Problems", this.#count);
    this.#path = toggle("c", () => commands.togglePath(), "Critical path");
    this.#depths = DEPTH_BUTTONS.map((depth) => {
      const props = { class: "button quiet", "aria-label": `Depth ${depth}` };
      return button(depth, () => commands.setDepth(depth), props);
    });
    this.#text = removable("Show all runs again", () => commands.clearText());
    this.#zoom = removable("Show the whole launch", () => commands.zoomTo(null));
    const depths = el("span", { class: "depths", role: "group", "aria-label": "Depth" });
    depths.append(el("span", { class: "muted", "aria-hidden": "true" }, "Depth"), ...this.#depths);
    this.element = el(
      "div",
      { class: "launch-tools", role: "toolbar", "aria-label": "What is shown" },
      ...[this.#problems, this.#path, depths, this.#text, this.#zoom, this.#shown],
    );
  }

  /**
   * @param {import("../../model/launch.js").View} view
   * @param {import("./state.js").State} state
   */
  update(view, state) {
    const { tree } = view.launch;
    const problems = tree.problemsBelow[0] + tree.problems[0];
    setText(this.#count, format.count(problems));
    setAttribute(this.#problems, "aria-pressed", String(state.only === "problems"));
    setAttribute(this.#path, "aria-pressed", String(state.path));
    this.#depths.forEach((one, at) => {
      setAttribute(one, "aria-pressed", String(state.depth === DEPTH_BUTTONS[at]));
    });
    this.#text.hidden = state.q === "";
    setText(/** @type {Element} */ (this.#text.firstElementChild), `“${state.q}”`);
    this.#zoom.hidden = state.z === null;
    setText(
      /** @type {Element} */ (this.#zoom.firstElementChild),
      state.z ? format.duration(state.z[1] - state.z[0]) : "",
    );
    setText(this.#shown, `${format.count(view.rows.length)} of ${format.count(tree.runs.length)}`);
  }
}

/**
 * @param {string} key
 * @param {() => void} action
 * @param {...import("../../lib/dom.js").Child} label
 */
function toggle(key, action, ...label) {
  const hint = el("kbd", { "aria-hidden": "true" }, key);
  return button([...label, hint], action, { "aria-pressed": "false" });
}

/**
 * @param {string} label
 * @param {() => void} action
 */
function removable(label, action) {
  const cross = el("span", { "aria-hidden": "true" }, "×");
  const props = { class: "button removable", title: label, hidden: true };
  return button([el("bdi", { class: "clip" }), cross], action, props);
}
