/** What narrows a list down: statuses, texts and the stretch of time. Each has `element` and shows what is chosen. */

import { button, el, icon, replace, setAttribute } from "./dom.js";
import { dateTime } from "./format.js";
import { statusName } from "./status.js";
import { RANGE_NAMES, boundsOf as spanBounds, spanOf } from "../model/time_ranges.js";
import { choice, instant } from "./url_state.js";

/** @typedef {import("./status.js").Status} Status */
/** @typedef {import("../model/time_ranges.js").RangeName} RangeName */
/** @typedef {{range: RangeName | "", from: number | null, to: number | null}} Times */

/** @type {Readonly<Record<RangeName | "", string>>} */
const RANGE_LABELS = {
  "": "Any time",
  day: "Last 24 hours",
  night: "Last night",
  7: "Last 7 days",
  14: "Last 14 days",
  30: "Last 30 days",
};
const CUSTOM = "custom";

/** @type {readonly (RangeName | "")[]} */
const RANGES = ["", ...RANGE_NAMES];

/** How the stretch of time is kept in the address; any time by default. */
export const TIMES = { range: choice(RANGES, ""), from: instant(), to: instant() };

/**
 * Return the bounds of what is listed, both included, as the API takes them.
 *
 * @param {Times} times
 * @param {{now: number, zone: string}} known
 * @returns {{start_time_from: string | null, start_time_to: string | null}}
 */
export function boundsOf({ range, from, to }, { now, zone }) {
  if (range !== "" && from === null && to === null) {
    return spanBounds(spanOf({ range, from, to }, { now, zone, newest: null }));
  }
  return spanBounds({ from, to });
}

/**
 * Make the button that opens the filters where there is little room.
 *
 * @param {HTMLElement} filters
 */
export function filtersButton(filters) {
  const controls = { "aria-controls": filters.id, "aria-expanded": "false" };
  const made = el("button", { class: "button filters-button", type: "button", ...controls }, "Filters");
  made.addEventListener("click", () => {
    setAttribute(made, "aria-expanded", String(filters.classList.toggle("open")));
  });
  return made;
}

/** Buttons of which any may be pressed. */
export class StatusFilter {
  #buttons;
  #choose;
  /** @type {readonly Status[]} */
  #chosen = [];

  /**
   * @param {readonly Status[]} statuses
   * @param {(chosen: Status[]) => void} choose
   */
  constructor(statuses, choose) {
    this.#choose = choose;
    this.#buttons = new Map(statuses.map((status) => [status, this.#button(status)]));
    this.element = el("div", { class: "toggles", role: "group", "aria-label": "Status" }, ...this.#buttons.values());
  }

  /** @param {readonly Status[]} chosen */
  show(chosen) {
    this.#chosen = chosen;
    for (const [status, one] of this.#buttons) setAttribute(one, "aria-pressed", String(chosen.includes(status)));
  }

  /** @param {Status} status */
  #button(status) {
    const shown = el("span", { "data-status": status }, icon(status));
    return button([shown, statusName(status)], () => {
      const others = this.#chosen.filter((one) => one !== status);
      this.#choose(this.#chosen.includes(status) ? others : [...others, status]);
    });
  }
}

let lists = 0;

/** A field for one text, with suggestions. */
export class TextFilter {
  #field;
  #suggested;

  /**
   * @param {string} label
   * @param {(text: string) => void} choose
   */
  constructor(label, choose) {
    const id = `suggestions-${++lists}`;
    this.#suggested = el("datalist", { id });
    this.#field = el("input", { type: "text", list: id, maxlength: 1000, autocomplete: "off", spellcheck: "false" });
    this.#field.addEventListener("change", () => choose(this.#field.value.trim()));
    this.#field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#field.blur();
    });
    this.element = el("label", { class: "filter" }, el("span", null, label), this.#field, this.#suggested);
  }

  /** @param {string} text */
  show(text) {
    if (document.activeElement !== this.#field) this.#field.value = text;
  }

  /** @param {readonly string[]} values */
  suggest(values) {
    replace(this.#suggested, ...values.map((value) => el("option", { value })));
  }
}

/**
 * One of a few words, such as an order.
 *
 * @template {string} T
 */
export class ChoiceFilter {
  #select;

  /**
   * @param {string} label
   * @param {readonly (readonly [T, string])[]} options words and what they are called
   * @param {(word: T) => void} choose
   */
  constructor(label, options, choose) {
    this.#select = el("select", null, ...options.map(([value, name]) => el("option", { value }, name)));
    this.#select.addEventListener("change", () => choose(/** @type {T} */ (this.#select.value)));
    this.element = el("label", { class: "filter" }, el("span", null, label), this.#select);
  }

  /** @param {T} word */
  show(word) {
    this.#select.value = word;
  }
}

/** The stretch of time: one of a few, or the one that the address names. */
export class RangeFilter {
  #select;
  #custom = el("option", { value: CUSTOM });

  /** @param {(times: Times) => void} choose */
  constructor(choose) {
    const options = RANGES.map((name) => el("option", { value: name }, RANGE_LABELS[name]));
    this.#select = el("select", null, ...options);
    this.#select.addEventListener("change", () => {
      const range = RANGES.find((name) => name === this.#select.value) ?? "";
      choose({ range, from: null, to: null });
    });
    this.element = el("label", { class: "filter" }, el("span", null, "Time"), this.#select);
  }

  /**
   * @param {Times} times
   * @param {string} zone
   */
  show({ range, from, to }, zone) {
    const isCustom = from !== null || to !== null;
    if (isCustom) {
      const [start, end] = [from, to].map((ms) => (ms === null ? "" : dateTime(ms, zone)));
      this.#custom.textContent = [start && `from ${start}`, end && `to ${end}`].filter(Boolean).join(" ");
      this.#select.append(this.#custom);
    } else {
      this.#custom.remove();
    }
    this.#select.value = isCustom ? CUSTOM : range;
  }
}
