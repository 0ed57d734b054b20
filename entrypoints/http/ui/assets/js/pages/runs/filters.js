/** Every filter that the API has for runs. */

import { button, el, replace } from "../../lib/dom.js";
import { RangeFilter, StatusFilter, TextFilter } from "../../lib/filter_bar.js";
import { STATUSES } from "../../lib/status.js";

/** @typedef {"agent_name" | "job_type" | "product" | "run_id" | "parent_run_id" | "event_id"} TextName */

/** @type {readonly [TextName, string][]} */
const TEXTS = [
  ["agent_name", "Agent"],
  ["job_type", "Job type"],
  ["product", "Product"],
  ["run_id", "Run"],
  ["parent_run_id", "Parent"],
  ["event_id", "Event"],
];

/** Of these the API can name the values that occur most. */
const SUGGESTED = /** @type {const} */ (["agent_name", "job_type", "product"]);

/**
 * @typedef {object} Actions
 * @property {(changes: Partial<import("./state.js").State>) => void} choose
 * @property {() => void} clear
 */

export class Filters {
  #status;
  #range;
  #texts;
  #clear;
  #isAsked = false;

  /**
   * @param {import("../../lib/api.js").Api} api
   * @param {Actions} actions
   */
  constructor(api, { choose, clear }) {
    this.#status = new StatusFilter(STATUSES, (status) => choose({ status }));
    this.#range = new RangeFilter((times) => choose(times));
    this.#texts = new Map(
      TEXTS.map(([name, label]) => [name, new TextFilter(label, (text) => choose({ [name]: text }))]),
    );
    this.#clear = button("Clear", clear);
    const fields = [...this.#texts.values()].map(({ element }) => element);
    this.element = el("div", { class: "filters", id: "filters", role: "group", "aria-label": "Filters" });
    replace(this.element, this.#status.element, this.#range.element, ...fields, this.#clear);
    // Only somebody who is about to filter needs the values.
    this.element.addEventListener("focusin", () => void this.#suggest(api));
  }

  /**
   * @param {import("./state.js").State} state
   * @param {string} zone
   */
  show(state, zone) {
    this.#status.show(state.status);
    this.#range.show(state, zone);
    for (const [name, filter] of this.#texts) filter.show(state[name]);
    const chosen = [...state.status, state.range, ...TEXTS.map(([name]) => state[name])];
    this.#clear.disabled = !chosen.some(Boolean) && state.from === null && state.to === null;
  }

  /** @param {import("../../lib/api.js").Api} api */
  async #suggest(api) {
    if (this.#isAsked) return;
    this.#isAsked = true;
    try {
      const { body } = await api.get("facets", { fields: SUGGESTED.join() });
      for (const name of SUGGESTED) {
        const values = body.facets[name].map((/** @type {{value: string}} */ { value }) => value);
        this.#texts.get(name)?.suggest(values);
      }
    } catch {
      // One can still type; the next time it may succeed.
      this.#isAsked = false;
    }
  }
}
