/** Commits: what came of the launches, the newest first. */

import { button, clipped, el, outside, replace, setAttribute, setText } from "../lib/dom.js";
import { boundsOf, ChoiceFilter, RangeFilter, TextFilter, TIMES } from "../lib/filter_bar.js";
import { counted, dateTime, moment } from "../lib/format.js";
import { ItemList } from "../lib/item_list.js";
import { PagedRuns } from "../lib/paged_runs.js";
import { copy } from "../lib/run_details.js";
import { choice, href, integer, launchHref, text } from "../lib/url_state.js";
import { commitAddress, commitMessage, commitsOf, commitsOfRuns, repositoryName } from "../model/commits.js";
import { CommitLoader } from "./commits/loader.js";

/** @typedef {import("../lib/page.js").Context} Context */
/** @typedef {import("../model/commits.js").Commit} Commit */

/** How many launches are looked into at once, at first and with each "more", and at most. */
const PAGE_LAUNCHES = 50;
const LAUNCHES = 100;
const MOST_LAUNCHES = 2000;
/** What a search reads at once: runs, of which few may have a commit. */
const PAGE_RUNS = 200;
/** A rollup has at most so many commits. */
const MOST_COMMITS = 100;
const CLIP = 300;

/** What comes first of all that was looked into. */
const ORDERS = /** @type {const} */ ([
  ["newest", "Newest"],
  ["oldest", "Oldest"],
]);

const SCHEMA = {
  sort: choice(/** @type {const} */ (["newest", "oldest"]), "newest"),
  agent_name: text(),
  q: text(),
  ...TIMES,
  /** The commit that is active, by its hash. */
  at: text(),
  launches: integer(LAUNCHES, { min: LAUNCHES, max: MOST_LAUNCHES }),
};

class CommitsPage {
  #context;
  #paged;
  #loader;
  /** @type {Commit[]} */
  #commits = [];
  #frame = 0;
  #total = el("span", { class: "muted" });
  #note = el("span", { class: "muted", role: "status" });
  #more = button("Look further back", () => this.#lookFurther());
  #agent = new TextFilter("Agent", (agent_name) => this.#write({ agent_name }));
  #range = new RangeFilter((times) => this.#write(times));
  #order = new ChoiceFilter("Order", ORDERS, (sort) => this.#write({ sort }));
  #empty = el("p", { class: "empty" });
  #list;

  /**
   * @param {HTMLElement} root
   * @param {Context} context
   */
  constructor(root, context) {
    this.#context = context;
    this.#paged = new PagedRuns(context.api, () => this.#show());
    this.#loader = new CommitLoader(context.api, () => this.#refresh());
    this.#list = new ItemList({
      label: "Commits",
      rowClass: "commit-row",
      columns: [
        ["mono", "Commit"],
        ["clip", "What"],
        ["clip wide-only", "Author"],
        ["source wide-only", "Source"],
        ["clip wide-only", "Repository"],
        ["clip launch", "Launch"],
        ["when number", "When"],
      ],
      createRow: () => createRow(this.#loader, () => context.preferences.zone),
      select: (commit) => context.url.write(SCHEMA, { at: commit.hash }),
      open: (commit) => context.open(launchAddress(commit, this.#loader)),
    });
    root.classList.add("fixed");
    const filters = [this.#agent, this.#range, this.#order].map(({ element }) => element);
    replace(
      root,
      el("div", { class: "page-head" }, el("h1", null, "Commits"), this.#total),
      el("div", { class: "filters" }, ...filters, this.#note, this.#more),
      el("div", { class: "beside" }, this.#list.element, this.#empty),
    );
    context.addShortcuts([
      ...this.#list.shortcuts("commit", "Open the launch"),
      { keys: ["y"], label: "Copy the hash", run: () => this.#copy() },
      { keys: ["Escape"], label: "Select nothing", run: () => this.#context.url.write(SCHEMA, { at: "" }) },
    ]);
  }

  update() {
    const state = this.#state;
    this.#agent.show(state.agent_name);
    this.#range.show(state, this.#context.preferences.zone);
    this.#order.show(state.sort);
    const { filter, limit } = this.#query;
    this.#paged.begin(JSON.stringify(filter));
    this.#show();
    /** @param {import("../lib/page.js").RunPage} found */
    const show = (found) => this.#paged.showFirst(found, limit);
    this.#context.live.watch([{ path: "runs", parameters: { ...filter, limit }, show }]);
  }

  unmount() {
    cancelAnimationFrame(this.#frame);
    this.#paged.stop();
    this.#loader.stop();
    this.#list.destroy();
  }

  get #state() {
    return this.#context.url.read(SCHEMA);
  }

  /** Without a text the launches are asked what is in them, with one the runs themselves. */
  get #query() {
    const { agent_name, q, ...times } = this.#state;
    const bounds = boundsOf(times, { now: Date.now(), zone: this.#context.preferences.zone });
    const asked = { fields: "summary,input_summary,output_summary", agent_name, q, ...bounds };
    if (q) return { filter: asked, limit: PAGE_RUNS };
    return { filter: { ...asked, roots: true, rollup: true }, limit: PAGE_LAUNCHES };
  }

  /** @param {Partial<import("../lib/url_state.js").Values<typeof SCHEMA>>} changes */
  #write(changes) {
    this.#context.url.write(SCHEMA, changes, { push: true });
  }

  #show() {
    const { runs, isLoaded, isSparse, problem } = this.#paged;
    const { q, at, launches, sort } = this.#state;
    const ordered = sort === "oldest" ? [...runs].reverse() : runs;
    this.#commits = q ? commitsOfRuns(ordered) : commitsOf(ordered);
    this.#list.show(this.#commits, at ? this.#commits.findIndex(({ hash }) => hash === at) : -1);
    const isEmpty = isLoaded && this.#commits.length === 0;
    this.#empty.hidden = !isEmpty;
    this.#list.element.hidden = isEmpty;
    setText(this.#empty, this.#emptyText(q));
    this.#showBound();
    if (runs.length < launches && !isSparse && !problem) this.#read();
  }

  /** @param {string} q */
  #emptyText(q) {
    if (this.#paged.hasMore) return "No commit so far. Look further back for more.";
    return q ? "No run with this text has a commit." : "No launch here led to a commit.";
  }

  /** Say how much was looked into. */
  #showBound() {
    const { runs, hasMore, isLoaded, isReading, problem } = this.#paged;
    const [one, many] = this.#state.q ? ["matching run", "matching runs"] : ["launch", "launches"];
    const what = counted(runs.length, one, many);
    setText(this.#total, isLoaded ? `${counted(this.#commits.length, "commit")} of ${what}` : "");
    const oldest = runs.at(-1);
    const since = oldest ? `, back to ${dateTime(oldest.start_time, this.#context.preferences.zone)}` : "";
    const bound = hasMore ? `Only the newest ${what} were looked into${since}. ` : "";
    setText(this.#note, problem || `${bound}${this.#incomplete()}`);
    this.#more.hidden = !hasMore || runs.length >= MOST_LAUNCHES;
    this.#more.disabled = isReading;
  }

  /** Say which launches may have more commits than are listed. */
  #incomplete() {
    const { runs } = this.#paged;
    const large = runs.filter(({ rollup }) => rollup === null).length;
    const full = runs.filter(({ rollup }) => rollup && rollup.commits.length >= MOST_COMMITS).length;
    const parts = [
      large && `${counted(large, "launch is", "launches are")} too large to look into.`,
      full && `Of ${counted(full, "launch", "launches")} only the first ${MOST_COMMITS} commits are listed.`,
    ];
    return parts.filter(Boolean).join(" ");
  }

  #lookFurther() {
    const { launches } = this.#state;
    const next = Math.max(launches, this.#paged.runs.length) + LAUNCHES;
    this.#context.url.write(SCHEMA, { launches: Math.min(next, MOST_LAUNCHES) });
    this.#read();
  }

  #read() {
    if (!this.#paged.hasMore || this.#paged.isReading) return;
    const { filter, limit } = this.#query;
    void this.#paged.readMore(filter, limit);
    this.#more.disabled = true;
  }

  /** Many runs come one by one; the rows are drawn once for all that came meanwhile. */
  #refresh() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#list.refresh();
    });
  }

  #copy() {
    const { at } = this.#state;
    if (at) void copy("the hash", at, this.#context.say);
  }
}

/**
 * @param {Commit} commit
 * @param {CommitLoader} loader
 */
function launchAddress(commit, loader) {
  const run = loader.get(commit);
  if (!commit.launch) return href("launch", { id: commit.runId, event_id: run?.event_id });
  return launchHref(commit.launch, run?.event_id ?? commit.runId);
}

/**
 * @param {CommitLoader} loader
 * @param {() => string} zone
 * @returns {import("../lib/item_list.js").ItemRow<Commit>}
 */
function createRow(loader, zone) {
  const hash = el("a", { class: "hash", rel: "noreferrer noopener", target: "_blank" });
  const [message, author, source, repository] = [el("bdi", null), el("bdi", null), el("span", null), el("bdi", null)];
  const launch = el("a", null);
  const when = el("span", null);
  return {
    cells: [
      el("span", null, hash),
      el("span", null, message),
      el("span", null, author),
      source,
      el("span", null, repository),
      el("span", null, launch),
      when,
    ],
    update(commit) {
      const run = loader.get(commit);
      const { origin, about, by, at } = described(commit, run);
      setText(hash, commit.hash.slice(0, 7));
      setAttribute(hash, "href", commitAddress(origin, commit.hash));
      setAttribute(hash, "title", commit.hash);
      setText(message, clipped(about, CLIP));
      setText(author, clipped(by, CLIP));
      setText(source, run?.commit_source ?? "");
      setText(repository, clipped(repositoryName(origin), CLIP));
      setAttribute(launch, "href", launchAddress(commit, loader));
      replace(launch, outside(clipped(commit.launch?.run_id ?? commit.runId, CLIP)));
      setText(when, at ? moment(at, zone()) : "");
    },
  };
}

/**
 * Return what is shown of a commit, from its run if that is here already, else from its launch.
 *
 * @param {Commit} commit
 * @param {import("../lib/page.js").Run | null} run
 */
function described({ runId, launch }, run) {
  const repository = run?.git_repo ?? launch?.git_repo ?? "";
  if (!run) return { origin: repository, about: runId, by: "", at: launch?.start_time };
  const author = clipped(run.commit_author ?? "", CLIP);
  // The name is enough in a row: `Docs Bot <docs-bot@example.org>`.
  const by = author.replace(/ *<[^<>]*>$/, "") || author;
  return { origin: repository, about: commitMessage(run) || runId, by, at: run.commit_timestamp ?? run.start_time };
}

/** @type {import("../lib/page.js").Page} */
export const page = { title: "Commits", mount: (root, context) => new CommitsPage(root, context) };
