/** Errors: what goes wrong, grouped by what the runs say about it. */

import { button, el, replace, setText } from "../lib/dom.js";
import { boundsOf, ChoiceFilter, RangeFilter, StatusFilter, TextFilter, TIMES } from "../lib/filter_bar.js";
import { count, counted, dateTime } from "../lib/format.js";
import { LaunchFinder } from "../lib/launch_finder.js";
import { PagedRuns } from "../lib/paged_runs.js";
import { PROBLEMS } from "../lib/status.js";
import { choice, choices, launchHref, integer, text } from "../lib/url_state.js";
import { groupErrors } from "../model/errors.js";
import { errorList } from "./errors/list.js";
import { GroupPanel } from "./errors/panel.js";

/** @typedef {import("../lib/page.js").Context} Context */
/** @typedef {import("../lib/page.js").Run} Run */
/** @typedef {import("../model/errors.js").ErrorGroup} ErrorGroup */

/** How many problems are read at once, how many are grouped at first and with each "more", and at most. */
const PAGE_RUNS = 500;
const EXAMINED = 2000;
const MOST_EXAMINED = 20_000;

/** What comes first; the API lists by time alone, but all that is grouped is here. */
const ORDERS = /** @type {const} */ ([
  ["runs", "Most frequent"],
  ["last", "Newest"],
]);

const SCHEMA = {
  sort: choice(/** @type {const} */ (["runs", "last"]), "runs"),
  status: choices(PROBLEMS),
  agent_name: text(),
  q: text(),
  ...TIMES,
  /** The key of the group that is shown. */
  group: text(),
  examined: integer(EXAMINED, { min: EXAMINED, max: MOST_EXAMINED }),
};

class ErrorsPage {
  #context;
  #paged;
  #finder;
  /** @type {ErrorGroup[]} */
  #groups = [];
  #total = el("span", { class: "muted" });
  #note = el("span", { class: "muted", role: "status" });
  #more = button("Examine more", () => this.#examineMore());
  #status = new StatusFilter(PROBLEMS, (status) => this.#write({ status }));
  #agent = new TextFilter("Agent", (agent_name) => this.#write({ agent_name }));
  #range = new RangeFilter((times) => this.#write(times));
  #order = new ChoiceFilter("Order", ORDERS, (sort) => this.#write({ sort }));
  #empty = el("p", { class: "empty" });
  #list;
  #panel;
  #body;

  /**
   * @param {HTMLElement} root
   * @param {Context} context
   */
  constructor(root, context) {
    this.#context = context;
    this.#finder = new LaunchFinder(context.api);
    this.#paged = new PagedRuns(context.api, () => this.#showRuns());
    this.#list = errorList(
      {
        select: (group) => context.url.write(SCHEMA, { group: group.key }),
        open: (group) => void this.#open(group.runs[0]),
      },
      () => context.preferences.zone,
    );
    this.#panel = new GroupPanel(this.#finder, () => this.#close());
    this.#body = el("div", { class: "beside" }, this.#list.element, this.#empty, this.#panel.element);
    root.classList.add("fixed");
    const filters = [this.#status, this.#agent, this.#range, this.#order].map(({ element }) => element);
    replace(
      root,
      el("div", { class: "page-head" }, el("h1", null, "Errors"), this.#total),
      el("div", { class: "filters" }, ...filters, this.#note, this.#more),
      this.#body,
    );
    context.addShortcuts([
      ...this.#list.shortcuts("error", "Open the launch of the newest run"),
      { keys: ["Escape"], label: "Close the details", run: () => this.#close() },
    ]);
    void this.#suggestAgents();
  }

  update() {
    const state = this.#state;
    this.#status.show(state.status);
    this.#agent.show(state.agent_name);
    this.#range.show(state, this.#context.preferences.zone);
    this.#order.show(state.sort);
    const filter = this.#filter;
    this.#paged.begin(JSON.stringify(filter));
    this.#showRuns();
    /** @param {import("../lib/page.js").RunPage} found */
    const show = (found) => this.#paged.showFirst(found, PAGE_RUNS);
    this.#context.live.watch([{ path: "runs", parameters: { ...filter, limit: PAGE_RUNS }, show }]);
  }

  unmount() {
    this.#paged.stop();
    this.#list.destroy();
  }

  get #state() {
    return this.#context.url.read(SCHEMA);
  }

  get #filter() {
    const { status, agent_name, q, ...times } = this.#state;
    const bounds = boundsOf(times, { now: Date.now(), zone: this.#context.preferences.zone });
    return { fields: "summary", status: (status.length ? status : PROBLEMS).join(), agent_name, q, ...bounds };
  }

  /** @param {Partial<import("../lib/url_state.js").Values<typeof SCHEMA>>} changes */
  #write(changes) {
    this.#context.url.write(SCHEMA, changes, { push: true });
  }

  #showRuns() {
    const { runs, isLoaded } = this.#paged;
    const { group, examined, sort } = this.#state;
    const zone = this.#context.preferences.zone;
    this.#groups = groupErrors(runs, sort);
    const chosen = this.#groups.find(({ key }) => key === group) ?? null;
    this.#list.show(this.#groups, chosen ? this.#groups.indexOf(chosen) : -1);
    this.#panel.show(chosen, zone);
    this.#body.classList.toggle("chosen", chosen !== null);
    this.#empty.hidden = !isLoaded || runs.length > 0;
    this.#list.element.hidden = !this.#empty.hidden;
    setText(this.#empty, this.#isFiltered ? "No problem matches these filters." : "No run has a problem. All is well.");
    this.#showBound();
    if (runs.length < examined && !this.#paged.isSparse && !this.#paged.problem) this.#read();
  }

  get #isFiltered() {
    const { status, agent_name, q, range, from, to } = this.#state;
    return status.length > 0 || agent_name !== "" || q !== "" || range !== "" || from !== null || to !== null;
  }

  /** Say how much was examined. */
  #showBound() {
    const { runs, hasMore, isLoaded, isReading, isSparse, problem } = this.#paged;
    const oldest = runs.at(-1);
    setText(this.#total, isLoaded ? `${counted(this.#groups.length, "kind")} in ${counted(runs.length, "run")}` : "");
    const since = oldest ? `, back to ${dateTime(oldest.start_time, this.#context.preferences.zone)}` : "";
    const cause = isSparse
      ? "The search has examined all it may at once"
      : `Only the newest ${count(runs.length)} were examined`;
    setText(this.#note, problem || (hasMore ? `${cause}${since}.` : ""));
    this.#more.hidden = !hasMore || runs.length >= MOST_EXAMINED;
    this.#more.disabled = isReading;
  }

  #examineMore() {
    const { examined } = this.#state;
    const next = Math.max(examined, this.#paged.runs.length) + EXAMINED;
    this.#context.url.write(SCHEMA, { examined: Math.min(next, MOST_EXAMINED) });
    this.#read();
  }

  #read() {
    if (!this.#paged.hasMore || this.#paged.isReading) return;
    void this.#paged.readMore(this.#filter, PAGE_RUNS);
    this.#more.disabled = true;
  }

  #close() {
    this.#context.url.write(SCHEMA, { group: "" });
  }

  /** @param {Run} run */
  async #open(run) {
    const launch = await this.#finder.find(run).catch(() => run);
    this.#context.open(launchHref(launch, run.event_id));
  }

  /** The agents that have problems; without them one can still type a name. */
  async #suggestAgents() {
    try {
      const { body } = await this.#context.api.get("facets", { fields: "agent_name", status: PROBLEMS.join() });
      this.#agent.suggest(body.facets.agent_name.map((/** @type {{value: string}} */ { value }) => value));
    } catch {
      this.#agent.suggest([]);
    }
  }
}

/** @type {import("../lib/page.js").Page} */
export const page = { title: "Errors", mount: (root, context) => new ErrorsPage(root, context) };
