/** The shell: which page is shown, and what all pages share. */

import { askToken, showHelp } from "./dialogs.js";
import { Header, part } from "./header.js";
import { Api } from "./lib/api.js";
import { button, clipped, el, replace, setText } from "./lib/dom.js";
import { zoneName } from "./lib/format.js";
import { Keyboard } from "./lib/keyboard.js";
import { followed, lastSegment } from "./lib/links.js";
import { Live } from "./lib/live.js";
import { Preferences } from "./lib/preferences.js";
import { href, text, UrlState } from "./lib/url_state.js";
import { RefusalCount } from "./refusal_count.js";

/** @typedef {import("./lib/page.js").Page} Page */

/** @type {Readonly<Record<string, () => Promise<{page: Page}>>>} By the last segment of the path. */
const PAGES = {
  "": () => import("./pages/launches.js"),
  launch: () => import("./pages/launch.js"),
  runs: () => import("./pages/runs.js"),
  errors: () => import("./pages/errors.js"),
  commits: () => import("./pages/commits.js"),
  refused: () => import("./pages/refused.js"),
  compare: () => import("./pages/compare.js"),
};

const SEARCH = { q: text() };
/** The pages that search what they show. */
const SEARCHED = ["", "launch", "runs", "errors", "commits"];
/** How long a title may be. */
const TITLE = 80;
/** How long a message is shown. */
const MESSAGE_MS = 4000;

class App {
  #main = part("main", HTMLElement);
  #notice = part(".notice", HTMLElement);
  #preferences = new Preferences();
  #keyboard = new Keyboard(document, () => this.#preferences.shortcuts);
  #url = new UrlState(() => this.#update());
  #api = new Api(askToken);
  #live = new Live(this.#api, (state, error) => this.#report(state, error));
  #header = new Header({
    search: (query) => this.#search(query),
    toggleTheme: () => this.#preferences.switchTheme(),
    toggleZone: () => this.#toggleZone(),
    help: () => showHelp(this.#keyboard.shortcuts, this.#preferences),
  });
  /** @type {string | null} The name of the page that is shown or being loaded. */
  #name = null;
  /** @type {import("./lib/page.js").Mounted | null} */
  #mounted = null;
  #refusals = new RefusalCount(this.#api, (shown) => this.#header.showCount("refused", shown));
  #forget = () => {};
  /** What is wrong with the server; empty for nothing. */
  #trouble = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #messageTimer;

  start() {
    this.#keyboard.register([
      { keys: ["/"], label: "Search", run: () => this.#header.focusSearch() },
      { keys: ["?"], label: "Show this help", run: () => showHelp(this.#keyboard.shortcuts, this.#preferences) },
    ]);
    this.#header.showZone(zoneName(this.#preferences.zone));
    addEventListener("popstate", () => void this.#route());
    document.addEventListener("click", (event) => this.#follow(event));
    void this.#route();
  }

  /** Show the page that the address names. */
  async #route() {
    const segment = lastSegment(location);
    const name = Object.hasOwn(PAGES, segment) ? segment : "";
    if (name === this.#name) {
      this.#update();
      return;
    }
    this.#leave();
    this.#name = name;
    this.#header.showPage(name);
    try {
      const { page } = await /** @type {() => Promise<{page: Page}>} */ (PAGES[name])();
      if (this.#name === name) this.#show(page);
    } catch (error) {
      if (this.#name === name) this.#awaitServer(error);
    }
  }

  /**
   * Load everything again once the server responds, since browsers remember modules that they could not get.
   *
   * @param {unknown} error Why a page was not loaded.
   */
  #awaitServer(error) {
    const waiting = el("p", null, "The page is shown as soon as the server responds.");
    replace(this.#main, el("div", { class: "empty" }, waiting));
    const show = () => {
      this.#live.stop();
      if (this.#trouble) {
        location.reload();
        return;
      }
      // A module that is missing belongs to another version of the server; one that throws is a mistake.
      this.#header.showState("stopped");
      replace(this.#main, failure("The page could not be loaded.", () => location.reload()));
      reportError(error);
    };
    this.#live.watch([{ path: "limits", show }]);
  }

  #leave() {
    this.#live.stop();
    this.#forget();
    this.#forget = () => {};
    this.#mounted?.unmount?.();
    this.#mounted = null;
    this.#say("", 0);
  }

  /** @param {Page} page */
  #show(page) {
    const root = el("div", { class: `page page-${this.#name || "launches"}` });
    replace(this.#main, root);
    this.#setTitle(page.title);
    this.#mounted = page.mount(root, this.#context());
    this.#update();
  }

  /** @returns {import("./lib/page.js").Context} */
  #context() {
    /** @type {(() => void)[]} */
    const registered = [];
    this.#forget = () => registered.forEach((remove) => remove());
    return {
      url: this.#url,
      api: this.#api,
      live: this.#live,
      preferences: this.#preferences,
      addShortcuts: (shortcuts) => registered.push(this.#keyboard.register(shortcuts)),
      open: (address) => this.#open(new URL(address, location.href)),
      setTitle: (title) => this.#setTitle(title),
      say: (message) => this.#say(message, MESSAGE_MS),
      showRefused: (shown) => this.#header.showCount("refused", shown),
    };
  }

  #update() {
    this.#header.showSearch(this.#url.read(SEARCH).q);
    this.#mounted?.update();
  }

  /** @param {string} title */
  #setTitle(title) {
    // Marks of direction from outside would turn around what the browser writes beside it.
    document.title = `${clipped(title.replace(/[\u202A-\u202E\u2066-\u2069]/g, ""), TITLE)} · runsink`;
  }

  /**
   * Search on the page that is shown if it can, else among the launches.
   *
   * @param {string} query
   */
  #search(query) {
    if (this.#name !== null && SEARCHED.includes(this.#name)) this.#url.write(SEARCH, { q: query }, { push: true });
    else this.#open(new URL(href("", { q: query }), location.href));
    this.#main.focus({ preventScroll: true });
  }

  /**
   * Follow a link to another page without loading the shell again.
   *
   * @param {MouseEvent} event
   */
  #follow(event) {
    const address = followed(event);
    if (!address || !Object.hasOwn(PAGES, lastSegment(address))) return;
    event.preventDefault();
    this.#open(address);
  }

  /** @param {URL} address Of a page. */
  #open(address) {
    if (address.href === location.href) return;
    const isOther = address.pathname !== location.pathname;
    history.pushState(null, "", address);
    if (isOther) {
      scrollTo(0, 0);
      // What had the focus is about to go.
      this.#main.focus({ preventScroll: true });
    }
    void this.#route();
  }

  /**
   * Show how it stands with the server.
   *
   * @param {import("./lib/live.js").State} state
   * @param {import("./lib/api_errors.js").ApiError | null} error
   */
  #report(state, error) {
    this.#header.showState(state);
    if (state === "live") this.#refusals.start();
    if (state === "stopped" && error) {
      this.#leave();
      this.#name = null;
      replace(this.#main, this.#stopped(error));
    } else if (error) {
      this.#trouble = error.message;
      this.#say(this.#trouble, 0);
    } else if (state === "live" && this.#trouble) {
      this.#trouble = "";
      this.#say("", 0);
    }
  }

  /**
   * @param {import("./lib/api_errors.js").ApiError} error One that does not pass by itself.
   * @returns {HTMLElement}
   */
  #stopped(error) {
    const again = () => void this.#route();
    const shown = failure(error.message, again);
    if (error.kind === "token" || error.kind === "scope") {
      const change = async () => {
        if (await this.#api.changeToken()) again();
      };
      shown.append(button("Enter a token", () => void change()));
    }
    return shown;
  }

  /**
   * @param {string} message Empty for none.
   * @param {number} ms How long; 0 is until the next one.
   */
  #say(message, ms) {
    clearTimeout(this.#messageTimer);
    setText(this.#notice, message);
    this.#notice.hidden = message === "";
    if (ms) this.#messageTimer = setTimeout(() => this.#say(this.#trouble, 0), ms);
  }

  #toggleZone() {
    this.#preferences.isLocal = !this.#preferences.isLocal;
    this.#header.showZone(zoneName(this.#preferences.zone));
    this.#update();
  }
}

/**
 * Return what is shown in place of a page that has failed.
 *
 * @param {string} message
 * @param {() => void} again
 * @returns {HTMLElement}
 */
function failure(message, again) {
  const title = el("h1", null, "Nothing to show");
  return el("div", { class: "failure", role: "alert" }, title, el("p", null, message), button("Try again", again));
}

new App().start();
