/** Launches: the runs without a parent, what became of them and what they cost. */

import { el, replace, setAttribute } from "../lib/dom.js";
import { count, dateTime, milliseconds } from "../lib/format.js";
import { filtersButton } from "../lib/filter_bar.js";
import { PagedRuns } from "../lib/paged_runs.js";
import { copy } from "../lib/run_details.js";
import { PROBLEMS } from "../lib/status.js";
import { href, launchHref } from "../lib/url_state.js";
import { columnsOf, totalsOf, withCosts } from "../model/histogram.js";
import { metricOf } from "../model/launch_summary.js";
import { RANGE_NAMES, spanOf } from "../model/time_ranges.js";
import { nothingFound, nothingStored } from "./launches/empty.js";
import { Facets } from "./launches/facets.js";
import { Histogram } from "./launches/histogram.js";
import { LaunchList } from "./launches/list.js";
import { RANGE_LABELS, Ranges } from "./launches/ranges.js";
import * as states from "./launches/state.js";
import { showTotals } from "./launches/totals.js";

/** @typedef {import("../lib/page.js").Context} Context */
/** @typedef {import("../lib/page.js").Run} Run */
/** @typedef {import("../lib/page.js").RunPage} RunPage */
/** @typedef {import("../model/histogram.js").Statistics} Statistics */
/** @typedef {import("./launches/state.js").State} State */

const { SCHEMA } = states;
/** How often the durations of launches in progress are shown anew. */
const TICK_MS = 5000;
/** Together they take long only in large stores; the list does not wait for them. */
const FACET_FIELDS = /** @type {const} */ ({ status: "status", agent_name: "agent_name", git_repo: null });

class Launches {
  #context;
  #totals = el("p", { class: "totals" });
  #content = el("div", { class: "launches-content" });
  #note = el("p", { class: "list-note muted", hidden: true });
  #ranges;
  #histogram;
  #facets;
  #list;
  #paged;
  #timer;
  /** @type {State} */
  #state;
  /** @type {import("../model/time_ranges.js").Span} */
  #span;
  /** The start of the newest launch of all; `null` if there is none, `undefined` while that is not known. */
  /** @type {number | null | undefined} */
  #newest;
  /** @type {Statistics | null} */
  #statistics = null;
  #key = "";
  #shown = "";
  #limit = states.FIRST_LAUNCHES;
  #isRestored = false;

  /**
   * @param {HTMLElement} root
   * @param {Context} context
   */
  constructor(root, context) {
    this.#context = context;
    this.#state = context.url.read(SCHEMA);
    this.#span = this.#resolve();
    this.#ranges = new Ranges({
      choose: (range) => this.#choose({ range, from: null, to: null }),
      chooseSpan: (from, to) => this.#choose({ range: "", from, to }),
    });
    this.#histogram = new Histogram((from, to) => this.#choose({ range: "", from, to }));
    this.#facets = new Facets({
      chooseStatus: (status) => this.#choose({ status }),
      chooseAgent: (agent_name) => this.#choose({ agent_name }),
    });
    this.#paged = new PagedRuns(context.api, () => this.#showList());
    this.#list = new LaunchList({
      open: (run) => this.#open(run),
      // For reload and Back.
      moved: (run) => context.url.write(SCHEMA, { at: run.event_id }),
      more: () => void this.#paged.readMore(this.#listParameters(), states.MORE_LAUNCHES),
    });
    this.#build(root);
    context.addShortcuts(this.#shortcuts());
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Show what the address says. */
  update() {
    this.#state = this.#context.url.read(SCHEMA);
    const key = JSON.stringify(states.LISTED.map((name) => this.#state[name]));
    const shown = `${key} ${this.#context.preferences.zone}`;
    // Which launch is active is in the address for others; the list knows it.
    if (shown === this.#shown) return;
    this.#shown = shown;
    if (key !== this.#key) this.#begin(key);
    this.#refresh();
  }

  /** @param {string} key What tells lists apart. */
  #begin(key) {
    this.#key = key;
    this.#limit = this.#state.shown;
    this.#statistics = null;
    this.#isRestored = false;
    this.#paged.begin(key);
  }

  #refresh() {
    this.#span = this.#resolve();
    this.#showFigures();
    this.#facets.show(this.#state);
    this.#showList();
    this.#context.live.watch(this.#sources());
  }

  unmount() {
    clearInterval(this.#timer);
    this.#paged.stop();
    this.#histogram.destroy();
    this.#list.destroy();
  }

  /** @param {HTMLElement} root */
  #build(root) {
    root.classList.add("fixed");
    const filters = filtersButton(this.#facets.element);
    replace(
      root,
      el("div", { class: "page-head" }, el("h1", null, "Launches"), this.#totals, this.#ranges.element, filters),
      this.#histogram.element,
      el("div", { class: "launches-main" }, this.#facets.element, this.#content),
    );
  }

  /** @returns {import("../lib/keyboard.js").Shortcut[]} */
  #shortcuts() {
    const isProblems = () => this.#state.status.join() === PROBLEMS.join();
    return [
      { keys: ["j", "ArrowDown"], label: "Next launch", run: () => this.#list.move(1) },
      { keys: ["k", "ArrowUp"], label: "Previous launch", run: () => this.#list.move(-1) },
      { keys: ["o", "Enter"], label: "Open the launch", run: () => this.#list.openActive() },
      { keys: ["y"], label: "Copy the run_id", run: () => this.#copy() },
      { keys: ["Escape"], label: "Select nothing", run: () => this.#selectNothing() },
      { keys: ["c"], label: "Compare the launch with another", run: () => this.#compare() },
      { keys: ["e"], label: "Only problems", run: () => this.#choose({ status: isProblems() ? [] : [...PROBLEMS] }) },
      ...RANGE_NAMES.map((range, index) => ({
        keys: [String(index + 1)],
        label: `Show ${RANGE_LABELS[range]}`,
        run: () => this.#choose({ range, from: null, to: null }),
      })),
    ];
  }

  #copy() {
    const { active } = this.#list;
    if (active) void copy("the run_id", active.run_id, this.#context.say);
  }

  #selectNothing() {
    this.#list.activate("");
    this.#context.url.write(SCHEMA, { at: "" });
  }

  #compare() {
    const { active } = this.#list;
    if (active) this.#context.open(href("compare", { a: active.run_id, a_event_id: active.event_id }));
  }

  #resolve() {
    const { zone } = this.#context.preferences;
    return spanOf(this.#state, { now: Date.now(), zone, newest: this.#newest ?? null });
  }

  /** @returns {number} Where the stretch of time ends that is shown. */
  get #end() {
    return this.#span.to ?? Math.max(Date.now(), this.#newest ?? 0) + 1;
  }

  /** @returns {number} In seconds. */
  get #bucket() {
    return states.bucketOf(this.#span, this.#end);
  }

  #listParameters() {
    return { ...states.filterOf(this.#state, this.#span), fields: states.FIELDS, rollup: true };
  }

  /** @returns {import("../lib/live.js").Source[]} The quickest first. */
  #sources() {
    const filter = states.filterOf(this.#state, this.#span);
    const limit = this.#limit;
    /** @param {RunPage} page */
    const show = (page) => this.#paged.showFirst(page, limit);
    return [
      {
        path: "runs",
        parameters: { roots: true, limit: 1, fields: "summary" },
        show: (page) => this.#takeNewest(page.runs[0] ?? null),
      },
      { path: "runs", parameters: { ...this.#listParameters(), rollup: false, limit }, show },
      { path: "runs", parameters: { ...this.#listParameters(), limit }, show },
      {
        path: "stats",
        parameters: { ...filter, bucket: this.#bucket, metrics: "cost_usd,total_tokens" },
        show: (statistics) => this.#takeStatistics(statistics),
        fail: (error) => this.#histogram.say(error.message),
      },
      ...this.#facetSources(filter),
    ];
  }

  /**
   * The values of a field are counted without the filter of that field, so that others can be chosen.
   *
   * @param {Record<string, string | boolean | null>} filter
   * @returns {import("../lib/live.js").Source[]}
   */
  #facetSources(filter) {
    /** @type {Map<string, {fields: string[], parameters: Record<string, string | boolean | null>}>} */
    const asked = new Map();
    for (const [field, own] of Object.entries(FACET_FIELDS)) {
      const parameters = own ? { ...filter, [own]: "" } : filter;
      const key = JSON.stringify(parameters);
      asked.set(key, { fields: [...(asked.get(key)?.fields ?? []), field], parameters });
    }
    return [...asked.values()].map(({ fields, parameters }) => ({
      path: "facets",
      parameters: { ...parameters, fields: fields.join() },
      show: (counted) => this.#takeFacets(counted),
      fail: () => {},
    }));
  }

  /** @param {Run | null} run */
  #takeNewest(run) {
    const known = this.#newest;
    this.#newest = run && milliseconds(run.start_time);
    if (known === this.#newest) return;
    // If nothing is recent, the page looks at another time than it thought.
    if (this.#hasMoved()) this.#refresh();
    else this.#showList();
  }

  /** @param {Statistics} statistics */
  #takeStatistics(statistics) {
    this.#statistics = statistics;
    this.#showFigures();
  }

  /** @param {import("./launches/facets.js").Counted & {examined: number}} counted */
  #takeFacets(counted) {
    this.#facets.take(counted, count(counted.examined));
    this.#facets.show(this.#state);
  }

  /** Show everything above the list. */
  #showFigures() {
    const { zone } = this.#context.preferences;
    const statistics = this.#statistics;
    this.#ranges.show(this.#span, this.#end, zone);
    // Without any launch there is nothing to draw.
    this.#histogram.element.hidden = this.#newest === null;
    this.#histogram.show(statistics ? this.#columns(statistics) : [], zone);
    const since = statistics?.from ? ` They begin with ${dateTime(statistics.from, zone)}.` : "";
    const isPart = statistics && !statistics.complete;
    this.#histogram.say(isPart ? `The figures are of the newest ${count(statistics.examined)} launches.${since}` : "");
    this.#showTotals();
  }

  /** @param {Statistics} statistics */
  #columns(statistics) {
    const columns = columnsOf(statistics, this.#span.from, this.#end);
    if (!this.#isAll) return columns;
    const launches = this.#paged.runs.map((run) => ({
      start: milliseconds(run.start_time),
      cost: metricOf(run, "cost_usd"),
    }));
    return withCosts(columns, launches);
  }

  /** @returns {boolean} Whether all launches are loaded, so that what is inside them can be added up. */
  get #isAll() {
    return this.#paged.isLoaded && !this.#paged.hasMore;
  }

  #showTotals() {
    const totals = this.#statistics && totalsOf(this.#statistics);
    showTotals(this.#totals, { totals, runs: this.#paged.runs, isAll: this.#isAll });
  }

  #showList() {
    const { zone } = this.#context.preferences;
    // Until the launches come that were asked for, those before stay in sight.
    setAttribute(this.#content, "aria-busy", String(!this.#paged.isLoaded));
    if (!this.#paged.isLoaded) return;
    this.#showFigures();
    if (!this.#paged.runs.length && !this.#paged.hasMore) {
      this.#showEmpty(zone);
      return;
    }
    this.#note.hidden = this.#span.name !== "newest";
    this.#note.textContent = "Nothing started in the last 14 days. These are the 14 days up to the newest launch.";
    if (!this.#list.element.isConnected) replace(this.#content, this.#note, this.#list.element);
    this.#list.show(this.#paged, zone);
    if (this.#isRestored) return;
    this.#isRestored = true;
    this.#list.activate(this.#state.at, true);
  }

  /** @param {string} zone */
  #showEmpty(zone) {
    this.#list.clear();
    if (this.#newest === undefined) return;
    const ways = {
      clear: () => this.#choose({ status: [], agent_name: "", q: "" }),
      showNewest: () => this.#choose({ range: "", from: null, to: null, status: [], agent_name: "", q: "" }),
    };
    const server = new URL("..", location.href).href.replace(/\/$/, "");
    const shown =
      this.#newest === null
        ? nothingStored(server, this.#context.say)
        : nothingFound(this.#state, this.#newest, zone, ways);
    replace(this.#content, shown);
  }

  /** @returns {boolean} Whether what was asked for has become another stretch of time. */
  #hasMoved() {
    const { from, to } = this.#resolve();
    return from !== this.#span.from || to !== this.#span.to;
  }

  #tick() {
    if (document.hidden) return;
    if (this.#hasMoved()) this.#refresh();
    else if (this.#paged.runs.some(({ status }) => status === "running")) this.#showList();
  }

  /** @param {Partial<State>} changes What a person chose. */
  #choose(changes) {
    const none = { at: "", shown: states.FIRST_LAUNCHES };
    this.#context.url.write(SCHEMA, { ...none, ...changes }, { push: true });
  }

  /** @param {Run} run */
  #open(run) {
    // Back finds as many launches, and the same one.
    this.#context.url.write(SCHEMA, { at: run.event_id, shown: this.#paged.runs.length });
    this.#context.open(launchHref(run));
  }
}

/** @type {import("../lib/page.js").Page} */
export const page = { title: "Launches", mount: (root, context) => new Launches(root, context) };
