/** Everything that the selected run holds, beside the list. */

import { button, closeButton, el, outside, replace } from "../../lib/dom.js";
import { runDetails, statusChip } from "../../lib/run_details.js";
import { href } from "../../lib/url_state.js";

/** @typedef {import("../../lib/page.js").Run} Run */

/**
 * @typedef {object} Actions
 * @property {() => void} close
 * @property {(run: Run) => void} openLaunch Show the run within its launch.
 * @property {(message: string) => void} say
 */

export class RunPanel {
  #actions;
  /** What is shown, to leave it alone while it is the same. */
  #shown = "";
  element = el("aside", { class: "side", "aria-label": "Details", hidden: true });

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /**
   * @param {Run} run A whole one.
   * @param {string} zone
   */
  show(run, zone) {
    const key = JSON.stringify([run, zone]);
    if (key === this.#shown) return;
    this.#shown = key;
    this.element.hidden = false;
    const top = this.element.dataset.run === run.event_id ? this.element.scrollTop : 0;
    this.element.dataset.run = run.event_id;
    replace(
      this.element,
      el("div", { class: "side-head" }, statusChip(run.status), closeButton(this.#actions.close)),
      el("div", { class: "side-title long-text" }, outside(run.run_id)),
      this.#ways(run),
      runDetails(run, { zone, say: this.#actions.say }),
    );
    this.element.scrollTop = top;
  }

  /**
   * Show why there are no details.
   *
   * @param {string} text
   */
  say(text) {
    this.#shown = "";
    this.element.hidden = false;
    const close = el("div", { class: "side-head" }, el("span"), closeButton(this.#actions.close));
    replace(this.element, close, el("p", { class: "side-title muted" }, text));
  }

  /** Show nothing. */
  clear() {
    this.#shown = "";
    this.element.hidden = true;
    replace(this.element);
  }

  /** @param {Run} run */
  #ways(run) {
    const children = href("runs", { parent_run_id: run.run_id });
    const launch = button("Show in its launch", () => this.#actions.openLaunch(run));
    return el("p", { class: "side-ways" }, launch, el("a", { class: "button", href: children }, "Its children"));
  }
}
