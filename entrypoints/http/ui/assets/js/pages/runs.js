/** Runs: all of them, flat, the newest first, by every filter of the API. */

import { button, el, replace, setText } from "../lib/dom.js";
import { count, counted, dateTime } from "../lib/format.js";
import { filtersButton } from "../lib/filter_bar.js";
import { LaunchFinder } from "../lib/launch_finder.js";
import { PagedRuns } from "../lib/paged_runs.js";
import { launchHref } from "../lib/url_state.js";
import { Filters } from "./runs/filters.js";
import { runList } from "./runs/list.js";
import { RunPanel } from "./runs/panel.js";
import { NO_FILTERS, PAGE_RUNS, parametersOf, SCHEMA } from "./runs/state.js";

/** @typedef {import("../lib/page.js").Context} Context */
/** @typedef {import("../lib/page.js").Run} Run */
/** @typedef {import("../lib/page.js").RunPage} RunPage */
/** @typedef {import("./runs/state.js").State} State */

class Runs {
  #context;
  #finder;
  #paged;
  #filters;
  #list;
  #panel;
  #total = el("span", { class: "muted" });
  #note = el("span", { class: "muted", role: "status" });
  #more = button("Show more", () => this.#readMore());
  #foot = el("div", { class: "list-foot" }, this.#note, this.#more);
  #empty = el("p", { class: "empty", hidden: true }, "No run matches these filters.");
  #body;
  /** @type {State} */
  #state;
  /** @type {Record<string, string | null>} What the list was asked for. */
  #parameters = {};
  #limit = PAGE_RUNS;
  #key = "";
  /** @type {number | null} */
  #matching = null;

  /**
   * @param {HTMLElement} root
   * @param {Context} context
   */
  constructor(root, context) {
    this.#context = context;
    this.#state = context.url.read(SCHEMA);
    this.#finder = new LaunchFinder(context.api);
    this.#paged = new PagedRuns(context.api, () => this.#showRuns());
    this.#filters = new Filters(context.api, {
      choose: (changes) => this.#choose(changes),
      clear: () => this.#choose(NO_FILTERS),
    });
    this.#list = runList({
      select: (run) => context.url.write(SCHEMA, { run: run.event_id }),
      open: (run) => void this.#openLaunch(run),
      seen: (run) => this.#seen(run),
      zone: () => context.preferences.zone,
    });
    this.#panel = new RunPanel({
      close: () => this.#close(),
      openLaunch: (run) => void this.#openLaunch(run),
      say: context.say,
    });
    const listed = el("div", { class: "listed" }, this.#list.element, this.#empty, this.#foot);
    this.#body = el("div", { class: "beside" }, listed, this.#panel.element);
    root.classList.add("fixed");
    const filters = filtersButton(this.#filters.element);
    const head = el("div", { class: "page-head" }, el("h1", null, "Runs"), this.#total, filters);
    replace(root, head, this.#filters.element, this.#body);
    context.addShortcuts([
      ...this.#list.shortcuts("run", "Show the run in its launch"),
      { keys: ["x"], label: "Clear the filters", run: () => this.#choose(NO_FILTERS) },
      { keys: ["Escape"], label: "Close the details", run: () => this.#close() },
    ]);
  }

  /** Show what the address says. */
  update() {
    this.#state = this.#context.url.read(SCHEMA);
    const { zone } = this.#context.preferences;
    const { shown, run, ...filters } = this.#state;
    const key = JSON.stringify(filters);
    if (key !== this.#key) {
      this.#key = key;
      this.#limit = shown;
      this.#parameters = parametersOf(this.#state, { now: Date.now(), zone });
      this.#paged.begin(key);
    }
    this.#filters.show(this.#state, zone);
    this.#showRuns();
    if (!run) this.#panel.clear();
    this.#body.classList.toggle("chosen", run !== "");
    this.#context.live.watch(this.#sources());
  }

  unmount() {
    this.#paged.stop();
    this.#list.destroy();
  }

  /** @returns {import("../lib/live.js").Source[]} */
  #sources() {
    const list = {
      path: "runs",
      parameters: { ...this.#parameters, limit: this.#limit },
      show: (/** @type {RunPage} */ page) => {
        this.#matching = page.total;
        this.#paged.showFirst(page, this.#limit);
      },
    };
    const selected = {
      path: "runs",
      parameters: { event_id: this.#state.run, limit: 1 },
      show: (/** @type {RunPage} */ page) => this.#showSelected(page.runs[0] ?? null),
    };
    return this.#state.run ? [list, selected] : [list];
  }

  /** @param {Run | null} run */
  #showSelected(run) {
    if (run) this.#panel.show(run, this.#context.preferences.zone);
    else this.#panel.say("This run is no longer there.");
  }

  #showRuns() {
    const { runs, isLoaded, hasMore } = this.#paged;
    this.#list.show(
      runs,
      runs.findIndex(({ event_id }) => event_id === this.#state.run),
    );
    this.#empty.hidden = !isLoaded || runs.length > 0 || hasMore;
    this.#list.element.hidden = !this.#empty.hidden;
    setText(this.#total, isLoaded && this.#matching !== null ? count(this.#matching) : "");
    this.#showFoot();
  }

  /** Say how far the list goes. */
  #showFoot() {
    const { runs, hasMore, isReading, isSparse, problem } = this.#paged;
    this.#foot.hidden = !hasMore;
    this.#more.disabled = isReading;
    const oldest = runs.at(-1);
    const since = oldest ? `, back to ${dateTime(oldest.start_time, this.#context.preferences.zone)}` : "";
    const loaded = `${counted(runs.length, "run")} loaded${since}.`;
    const said = isSparse ? `The search has examined all it may at once; ${loaded}` : loaded;
    setText(this.#note, problem || (isReading ? "Loading more…" : said));
  }

  /**
   * Go on by itself at the end of the list, but not with a search that found little, which may take long.
   *
   * @param {Run} run
   */
  #seen(run) {
    const { runs, isSparse, problem } = this.#paged;
    if (run === runs.at(-1) && !isSparse && !problem) queueMicrotask(() => this.#readMore());
  }

  #readMore() {
    if (!this.#paged.hasMore || this.#paged.isReading) return;
    void this.#paged.readMore(this.#parameters, PAGE_RUNS);
    this.#showFoot();
  }

  /** @param {Partial<State>} changes What a person chose. */
  #choose(changes) {
    this.#context.url.write(SCHEMA, { shown: PAGE_RUNS, run: "", ...changes }, { push: true });
  }

  #close() {
    this.#context.url.write(SCHEMA, { run: "" });
  }

  /** @param {Run} run */
  async #openLaunch(run) {
    // Back finds as many runs, and the same one.
    this.#context.url.write(SCHEMA, { run: run.event_id, shown: this.#paged.runs.length });
    const from = location.href;
    const launch = await this.#finder.find(run).catch(() => run);
    if (location.href !== from) return;
    this.#context.open(launchHref(launch, run.event_id));
  }
}

/** @type {import("../lib/page.js").Page} */
export const page = { title: "Runs", mount: (root, context) => new Runs(root, context) };
