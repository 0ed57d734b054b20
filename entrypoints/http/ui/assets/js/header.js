/** The header of every page: where one can go, the search, and what applies to all pages. */

import { el, icon, replace, setAttribute, setText } from "./lib/dom.js";

/** @type {readonly {name: string, title: string}[]} The pages in the navigation; the first has no name. */
export const NAVIGATION = [
  { name: "", title: "Launches" },
  { name: "runs", title: "Runs" },
  { name: "errors", title: "Errors" },
  { name: "commits", title: "Commits" },
  { name: "refused", title: "Refused" },
];

/** @type {Readonly<Record<string, string>>} Under which entry the other pages are found. */
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

export class Header {
  #links;
  #search;
  #live;
  #zone;

  /**
   * @param {HTMLElement} element To be filled.
   * @param {Actions} actions
   */
  constructor(element, actions) {
    this.#links = new Map(NAVIGATION.map(({ name, title }) => [name, el("a", { href: name || "./" }, title)]));
    this.#search = searchField(actions.search);
    this.#live = el("span", { class: "live", role: "status", "data-state": "loading" }, STATES.loading);
    this.#zone = el("button", { class: "button quiet zone", type: "button", title: "Show times in UTC or local time" });
    this.#zone.addEventListener("click", actions.toggleZone);
    replace(
      element,
      el("a", { class: "logo", href: "./", "aria-label": "runsink" }, icon("logo"), el("span", null, "runsink")),
      el("nav", { "aria-label": "Pages" }, ...this.#links.values()),
      el("form", { class: "search", role: "search" }, this.#search, el("kbd", { "aria-hidden": "true" }, "/")),
      this.#live,
      this.#zone,
      iconButton("theme", "Switch between light and dark", actions.toggleTheme),
      iconButton("help", "Keyboard shortcuts", actions.help),
    );
    this.#search.form?.addEventListener("submit", (event) => {
      event.preventDefault();
      actions.search(this.#search.value);
    });
  }

  /**
   * Mark the page that is shown.
   *
   * @param {string} name
   */
  showPage(name) {
    const entry = PARENTS[name] ?? name;
    for (const [page, link] of this.#links) setAttribute(link, "aria-current", page === entry ? "page" : null);
    this.#links.get(entry)?.scrollIntoView({ block: "nearest", inline: "nearest" });
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
   * Show how a count that is not zero belongs to a page: `Refused 6`.
   *
   * @param {string} name
   * @param {string} shown Empty for none.
   */
  showCount(name, shown) {
    const link = this.#links.get(name);
    const title = NAVIGATION.find((page) => page.name === name)?.title ?? "";
    if (link) replace(link, title, shown && el("span", { class: "count" }, shown));
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
}

/**
 * @param {(text: string) => void} search
 * @returns {HTMLInputElement}
 */
function searchField(search) {
  const label = "Search id, summary, error, commit";
  const field = el("input", { type: "search", name: "q", placeholder: label, "aria-label": label, maxlength: 200 });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") field.blur();
  });
  // The cross of the field, which is no key.
  field.addEventListener("input", () => {
    if (field.value === "") search("");
  });
  return field;
}

/**
 * @param {string} name
 * @param {string} label
 * @param {() => void} action
 * @returns {HTMLButtonElement}
 */
function iconButton(name, label, action) {
  const props = { class: "icon-button", type: "button", title: label, "aria-label": label, "data-name": name };
  const button = el("button", props, icon(name));
  button.addEventListener("click", action);
  return button;
}
