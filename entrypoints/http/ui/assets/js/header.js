/** The header of every page. It stands in `index.html`, so that it is painted before any script runs. */

import { el, replace, setAttribute, setText } from "./lib/dom.js";

/** @type {Readonly<Record<string, string>>} Under which entry of the navigation the other pages are found. */
const PARENTS = { launch: "", compare: "" };

/** @type {Readonly<Record<import("./lib/live.js").State, string>>} */
const STATES = { loading: "Loading", live: "Live", waiting: "Waiting", stopped: "Stopped" };

/**
 * @typedef {object} Actions
 * @property {(text: string) => void} search
 * @property {() => void} toggleTheme
 * @property {() => void} toggleZone
 * @property {() => void} help
 */

/**
 * Return the element of the shell that a selector finds.
 *
 * @template {Element} E
 * @param {string} selector
 * @param {new () => E} type
 * @returns {E}
 */
export function part(selector, type) {
  const found = document.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`index.html has no ${selector}`);
  return found;
}

export class Header {
  /** The links of the navigation and their titles, by page. */
  #entries = new Map(
    [...document.querySelectorAll(".header nav a")].map((link) => [
      link.getAttribute("data-page") ?? "",
      { link, title: link.textContent },
    ]),
  );
  #search = part(".header input", HTMLInputElement);
  #live = part(".header .live", HTMLElement);
  #zone = part(".header .zone", HTMLElement);

  /** @param {Actions} actions */
  constructor(actions) {
    this.#zone.addEventListener("click", actions.toggleZone);
    part(".header [data-name=theme]", HTMLElement).addEventListener("click", actions.toggleTheme);
    part(".header [data-name=help]", HTMLElement).addEventListener("click", actions.help);
    this.#listenToSearch(actions.search);
  }

  /**
   * Mark the page that is shown.
   *
   * @param {string} name
   */
  showPage(name) {
    const shown = PARENTS[name] ?? name;
    for (const [page, { link }] of this.#entries) setAttribute(link, "aria-current", page === shown ? "page" : null);
  }

  /**
   * Show what is searched for, unless somebody is typing.
   *
   * @param {string} text
   */
  showSearch(text) {
    if (document.activeElement !== this.#search) this.#search.value = text;
  }

  /**
   * Show a count beside the name of a page: `Refused 6`.
   *
   * @param {string} name
   * @param {string} shown Empty for none.
   */
  showCount(name, shown) {
    const entry = this.#entries.get(name);
    if (entry) replace(entry.link, entry.title, shown && el("span", { class: "count" }, shown));
  }

  /** @param {import("./lib/live.js").State} state */
  showState(state) {
    setAttribute(this.#live, "data-state", state);
    setText(this.#live, STATES[state]);
  }

  /** @param {string} name */
  showZone(name) {
    setText(this.#zone, name);
  }

  /** Move the focus into the search. */
  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  /** @param {(text: string) => void} search */
  #listenToSearch(search) {
    const field = this.#search;
    field.form?.addEventListener("submit", (event) => {
      event.preventDefault();
      search(field.value);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") field.blur();
    });
    // The cross of the field, which is no key.
    field.addEventListener("input", () => {
      if (field.value === "") search("");
    });
  }
}
