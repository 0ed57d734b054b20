/** The choice of the stretch of time. */

import { button, el, replace, setAttribute, setText } from "../../lib/dom.js";
import { day, dayKey, time, zoneName } from "../../lib/format.js";
import { DAY, RANGE_NAMES } from "../../model/time_ranges.js";

/** @typedef {import("../../model/time_ranges.js").RangeName} RangeName */
/** @typedef {import("../../model/time_ranges.js").Span} Span */

/** @type {Readonly<Record<RangeName, string>>} */
export const RANGE_LABELS = { day: "24 h", night: "Last night", 7: "7 d", 14: "14 d", 30: "30 d" };

/**
 * @typedef {object} Actions
 * @property {(name: RangeName) => void} choose
 * @property {(from: number, to: number) => void} chooseSpan
 */

export class Ranges {
  #actions;
  #buttons;
  #custom;
  #form;
  #dates = el("span", { class: "dates" });
  #zone = "UTC";

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    const quiet = { class: "button quiet" };
    this.#buttons = new Map(
      RANGE_NAMES.map((name) => [name, button(RANGE_LABELS[name], () => actions.choose(name), quiet)]),
    );
    const toggle = () => this.#toggle(this.#form.hidden === true);
    this.#custom = button("Custom…", toggle, { ...quiet, "aria-expanded": "false" });
    this.#form = this.#customForm();
    const group = el("div", { class: "ranges", role: "group", "aria-label": "Time" });
    replace(group, ...this.#buttons.values(), this.#custom);
    this.element = el("div", { class: "range-bar" }, group, this.#form, this.#dates);
  }

  /**
   * @param {Span} span
   * @param {number} end Where it ends as it is shown.
   * @param {string} zone
   */
  show(span, end, zone) {
    this.#zone = zone;
    for (const [name, shown] of this.#buttons) setAttribute(shown, "aria-pressed", String(name === span.name));
    setAttribute(this.#custom, "aria-pressed", String(span.name === "custom"));
    setText(this.#dates, `${stretch(span.from, end, zone)} ${zoneName(zone)}`);
    const [from, to] = this.#fields();
    if (this.#form.hidden) [from.value, to.value] = [fieldTime(span.from, zone), fieldTime(end, zone)];
  }

  #customForm() {
    const apply = el("button", { class: "button", type: "submit" }, "Show");
    const form = el("form", { class: "custom-range", hidden: true }, field("From"), field("to"), apply);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#toggle(false);
    });
    return form;
  }

  #submit() {
    const [from, to] = this.#fields();
    const [begin, end] = [fieldValue(from, this.#zone), fieldValue(to, this.#zone)];
    to.setCustomValidity(begin < end ? "" : "The end is not after the beginning.");
    if (!to.reportValidity()) return;
    this.#toggle(false);
    this.#actions.chooseSpan(begin, end);
  }

  /** @returns {[HTMLInputElement, HTMLInputElement]} */
  #fields() {
    const [from, to] = this.#form.querySelectorAll("input");
    return [/** @type {HTMLInputElement} */ (from), /** @type {HTMLInputElement} */ (to)];
  }

  /** @param {boolean} open */
  #toggle(open) {
    this.#form.hidden = !open;
    setAttribute(this.#custom, "aria-expanded", String(open));
    if (open) this.#fields()[0].focus();
    else this.#custom.focus();
  }
}

/** @param {string} label */
function field(label) {
  const bounds = { min: "1970-01-01T00:00", max: "9999-12-31T23:59" };
  const input = el("input", { type: "datetime-local", required: true, ...bounds });
  input.addEventListener("input", () => input.setCustomValidity(""));
  return el("label", null, `${label} `, input);
}

/**
 * Return a day, with its year if it is another one than now.
 *
 * @param {number} ms
 * @param {string} zone
 */
function dated(ms, zone) {
  const [year, now] = [ms, Date.now()].map((instant) => dayKey(instant, zone).slice(0, -6));
  return `${day(ms, zone)}${year === now ? "" : ` ${year}`}`;
}

/**
 * Return the days of a stretch of time, with the hours if it is short.
 *
 * @param {number} from
 * @param {number} end Not part of it.
 * @param {string} zone
 * @returns {string}
 */
export function stretch(from, end, zone) {
  if (end - from > 2 * DAY) return `${dated(from, zone)} – ${dated(end - 1, zone)}`;
  const [first, last] = [dated(from, zone), dated(end, zone)];
  return `${first} ${time(from, zone)} – ${first === last ? "" : `${last} `}${time(end, zone)}`;
}

/**
 * Return an instant as a field of the browser has it, which knows no zones.
 *
 * @param {number} ms
 * @param {string} zone
 * @returns {string}
 */
function fieldTime(ms, zone) {
  const offset = zone === "UTC" ? 0 : new Date(ms).getTimezoneOffset() * 60_000;
  return new Date(ms - offset).toISOString().slice(0, 16);
}

/**
 * @param {HTMLInputElement} input
 * @param {string} zone
 * @returns {number}
 */
function fieldValue(input, zone) {
  return Date.parse(zone === "UTC" ? `${input.value}Z` : input.value);
}
