/** The choice of the launches to compare, as long as one of them is missing. */

import { button, clipped, el, icon, outside, replace, setText } from "../../lib/dom.js";
import { duration, moment } from "../../lib/format.js";
import { statusName } from "../../lib/status.js";

/** @typedef {import("../../lib/page.js").Run} Run */
/** @typedef {"a" | "b"} Side */
/** @typedef {{id: string, event_id: string}} Chosen */

/** How many of the latest launches are suggested. */
const SUGGESTED = 20;
const CLIP = 200;

export class Chooser {
  #api;
  #choose;
  /** @type {Record<Side, HTMLInputElement>} */
  #fields;
  #message = el("p", { class: "muted", role: "status" });
  #heading = el("h2", null);
  #suggestions = el("ul", { class: "suggestions" });
  /** Which suggestions are shown or being read. */
  #asked = "";

  /**
   * @param {import("../../lib/api.js").Api} api
   * @param {(chosen: Partial<Record<Side, Chosen>>) => void} choose
   */
  constructor(api, choose) {
    this.#api = api;
    this.#choose = choose;
    this.#fields = { a: field("a"), b: field("b") };
    const { a, b } = this.#fields;
    const form = el(
      "form",
      { class: "compare-form" },
      el("label", { class: "filter" }, el("span", null, "A"), a),
      el("label", { class: "filter" }, el("span", null, "B"), b),
      el("button", { class: "button primary", type: "submit" }, "Compare"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.element = el("div", { class: "chooser" }, this.#message, form, this.#heading, this.#suggestions);
  }

  /**
   * @param {Record<Side, string>} chosen names, empty for none
   * @param {string} message why a launch that is named is not there; empty if nothing is wrong
   * @param {Run | null} known the launch that is chosen already, if only the other is missing
   * @param {string} zone
   */
  show(chosen, message, known, zone) {
    for (const side of /** @type {Side[]} */ (["a", "b"])) {
      if (document.activeElement !== this.#fields[side]) this.#fields[side].value = chosen[side];
    }
    setText(this.#message, message || "Two launches side by side: what only one of them has, and what changed.");
    const missing = chosen.a ? "b" : "a";
    const agent = known?.agent_name ?? "";
    const asked = JSON.stringify([missing, agent, known?.event_id, zone]);
    if (asked === this.#asked || (chosen.a && !known && !message)) return;
    this.#asked = asked;
    void this.#suggest(asked, missing, known, zone);
  }

  #submit() {
    const [a, b] = [this.#fields.a.value.trim(), this.#fields.b.value.trim()];
    this.#choose({ a: { id: a, event_id: "" }, b: { id: b, event_id: "" } });
  }

  /**
   * @param {string} asked
   * @param {Side} missing
   * @param {Run | null} known
   * @param {string} zone
   */
  async #suggest(asked, missing, known, zone) {
    try {
      const parameters = { roots: true, fields: "summary", agent_name: known?.agent_name, limit: SUGGESTED + 1 };
      const { body } = await this.#api.get("runs", parameters);
      if (asked !== this.#asked) return;
      const others = body.runs.filter((/** @type {Run} */ run) => run.event_id !== known?.event_id).slice(0, SUGGESTED);
      const which = known ? `The latest launches of ${clipped(known.agent_name, CLIP)}` : "The latest launches";
      setText(this.#heading, others.length ? `${which}, as ${missing.toUpperCase()}` : "");
      replace(this.#suggestions, ...others.map((/** @type {Run} */ run) => this.#suggestion(run, missing, zone)));
    } catch {
      // One can still name a launch; the page itself says what is wrong with the server.
      this.#asked = "";
    }
  }

  /**
   * @param {Run} run
   * @param {Side} side
   * @param {string} zone
   */
  #suggestion(run, side, zone) {
    const name = el("span", { class: "clip" }, outside(clipped(run.run_id, CLIP)));
    const when = moment(run.start_time, zone);
    const status = el("span", { "data-status": run.status }, icon(run.status, statusName(run.status)));
    const details = [
      el("span", { class: "muted" }, when),
      el("span", { class: "muted number" }, duration(run.duration_ms)),
    ];
    const choose = () => this.#choose({ [side]: { id: run.run_id, event_id: run.event_id } });
    return el("li", null, button([status, name, ...details], choose, { class: "suggestion" }));
  }
}

/** @param {Side} side */
function field(side) {
  const props = { type: "text", name: side, maxlength: 1000, autocomplete: "off", spellcheck: "false", required: true };
  return el("input", { ...props, placeholder: "run_id of a launch" });
}
