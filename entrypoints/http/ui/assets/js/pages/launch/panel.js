/** The panel beside the tree: the launch as a whole, or the selected run. */

import { ApiError } from "../../lib/api_errors.js";
import { button, closeButton, el, outside, replace, setAttribute } from "../../lib/dom.js";
import * as format from "../../lib/format.js";
import { pauseAfter } from "../../lib/live.js";
import { runDetails, statusChip } from "../../lib/run_details.js";
import { launchHref } from "../../lib/url_state.js";
import { shortName } from "../../model/names.js";
import { ancestors, hasChildren } from "../../model/tree.js";
import { overview } from "./overview.js";

/** @typedef {import("../../model/launch.js").View} View */

/** A selection that moves on within this time is not loaded, so that holding a key down asks the server for little. */
const LOAD_DELAY_MS = 120;
/** How many commits are shown with their message. */
const MAX_MESSAGES = 10;
/** How many of the runs right above the selected one are named, besides the first. */
const MAX_ABOVE = 3;

/**
 * @typedef {object} Shown
 * @property {View} view
 * @property {number} selected index of the selected run, -1 for none
 * @property {string} zone
 * @property {readonly import("../../model/refusals.js").Refusal[] | null} refusals
 */

export class Panel {
  #loader;
  #commands;
  #say;
  #timer = 0;
  /** What the panel shows, to leave it alone while that stays the same. */
  #key = "";
  /** @type {Shown | null} */
  #shown = null;
  element = el("aside", { class: "launch-panel", "aria-label": "Details", tabindex: -1 });

  /**
   * @param {import("./loaders.js").RunLoader} loader
   * @param {import("./commands.js").Commands} commands
   * @param {(message: string) => void} say
   */
  constructor(loader, commands, say) {
    this.#loader = loader;
    this.#commands = commands;
    this.#say = say;
  }

  /** @param {Shown} shown */
  update(shown) {
    this.#shown = shown;
    const { view, selected } = shown;
    setAttribute(this.element, "data-selected", selected >= 0);
    if (selected < 0) this.#showOverview(shown);
    else this.#showRun(shown, view.launch.tree.runs[selected]);
  }

  destroy() {
    clearTimeout(this.#timer);
    this.#shown = null;
  }

  /**
   * Move the focus to a section of the overview.
   *
   * @param {string} name
   */
  focusSection(name) {
    const section = this.element.querySelector(`.${name}`);
    if (!(section instanceof HTMLElement)) return;
    section.scrollIntoView({ block: "start" });
    section.focus({ preventScroll: true });
  }

  /** @param {Shown} shown */
  #showOverview({ view: { launch }, refusals, zone }) {
    const { runs } = launch.tree;
    const messages = launch.commits.slice(0, MAX_MESSAGES).map((index) => this.#message(index));
    const key = JSON.stringify([
      zone,
      refusals?.length,
      messages,
      runs.length,
      launch.problemCounts,
      launch.cost.sum[0],
    ]);
    if (!this.#isNew(`overview ${runs[0].status} ${key}`)) return;
    this.#fill(
      ...overview(launch, {
        select: (index) => this.#commands.jumpTo(index),
        refusals,
        commitMessage: (index) => this.#message(index),
      }),
    );
    this.#loadMessages(launch);
  }

  /** @param {number} index */
  #message(index) {
    const run = this.#shown && this.#loader.known(this.#shown.view.launch.tree.runs[index]);
    return run ? run.output_summary || run.input_summary || null : null;
  }

  /**
   * Without its message a commit is shown by the name of its run.
   *
   * @param {import("../../model/launch.js").Launch} launch
   */
  #loadMessages({ commits, tree }) {
    const missing = commits.slice(0, MAX_MESSAGES).filter((index) => this.#loader.known(tree.runs[index]) === null);
    if (missing.length === 0) return;
    const loads = missing.map((index) => this.#loader.load(tree.runs[index]));
    void Promise.allSettled(loads).then(() => this.#shown && this.#shown.selected < 0 && this.update(this.#shown));
  }

  /**
   * @param {Shown} shown
   * @param {import("../../model/tree.js").TreeRun} summary
   */
  #showRun(shown, summary) {
    const run = this.#loader.known(summary);
    const place = JSON.stringify([
      shown.zone,
      summary.event_id,
      summary.updated_at,
      shown.view.stops.length,
      problemPlace(shown),
    ]);
    if (!this.#isNew(`${run ? "whole" : "loading"} ${place}`)) return;
    const since = shown.view.launch.tree.runs[0].start_time;
    const content = run ? runDetails(run, { zone: shown.zone, say: this.#say, since }) : summaryOf(summary);
    const top = this.element.scrollTop;
    this.#fill(this.#runHead(shown, summary), content);
    this.element.scrollTop = run ? top : 0;
    if (!run) this.#loadLater(summary);
  }

  /**
   * @param {import("../../model/tree.js").TreeRun} summary
   * @param {number} [delay]
   */
  #loadLater(summary, delay = LOAD_DELAY_MS) {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#load(summary), delay);
  }

  /**
   * Load the whole run. After an error that passes, try again with the version that is shown by then.
   *
   * @param {import("../../model/tree.js").TreeRun} summary
   */
  async #load(summary) {
    try {
      const run = await this.#loader.load(summary);
      if (run && this.#shown && this.#shown.selected >= 0) this.update(this.#shown);
      else if (!run && this.#selected?.event_id === summary.event_id) this.#showMissing(summary);
    } catch (error) {
      const selected = this.#selected;
      if (selected?.event_id !== summary.event_id || !(error instanceof ApiError)) return;
      this.#say(error.message);
      if (error.isPassing) this.#loadLater(selected, pauseAfter(0, 1, error.retrySeconds));
    }
  }

  get #selected() {
    return this.#shown?.view.launch.tree.runs[this.#shown.selected];
  }

  /**
   * Say that there is no more of a run than its summary. The tree loses it with the next poll.
   *
   * @param {import("../../model/tree.js").TreeRun} summary
   */
  #showMissing(summary) {
    const missing = el("section", null, "This run is no longer in the store. It may have been pruned.");
    this.element.querySelector(".details")?.replaceWith(summaryOf(summary, missing));
  }

  /**
   * Show other content. The focus stays in the panel if it was there, on the same button if there still is one.
   *
   * @param {...HTMLElement} content
   */
  #fill(...content) {
    const focused = this.element.contains(document.activeElement) ? document.activeElement : null;
    const label = focused?.getAttribute("aria-label");
    replace(this.element, ...content);
    if (!focused) return;
    const again = label ? this.element.querySelector(`[aria-label="${CSS.escape(label)}"]`) : null;
    (again instanceof HTMLElement ? again : this.element).focus({ preventScroll: true });
  }

  /** @param {string} key */
  #isNew(key) {
    if (key === this.#key) return false;
    this.#key = key;
    return true;
  }

  /**
   * @param {Shown} shown
   * @param {import("../../model/tree.js").TreeRun} summary
   */
  #runHead(shown, summary) {
    const { tree } = shown.view.launch;
    const name = el("h2", null, outside(shortName(tree, shown.selected)));
    const canOpen = shown.selected > 0 && hasChildren(tree, shown.selected);
    const open = el("a", { class: "link small", href: launchHref(summary) }, "Open alone");
    return el(
      "header",
      { class: "panel-head" },
      el(
        "div",
        { class: "panel-line" },
        el("nav", { class: "trail", "aria-label": "Above this run" }, ...this.#trail(shown)),
        closeButton(() => this.#commands.deselect()),
      ),
      el("div", { class: "panel-line start" }, statusChip(summary.status), name, canOpen && open),
      this.#problemSteps(shown),
    );
  }

  /** @param {Shown} shown */
  #trail({ view, selected }) {
    const { tree } = view.launch;
    const above = ancestors(tree, selected);
    const isCut = above.length > 1 + MAX_ABOVE;
    const items = (isCut ? [above[0], ...above.slice(-MAX_ABOVE)] : above).map((index) => {
      const name = outside(shortName(tree, index));
      const link = button(name, () => this.#commands.jumpTo(index), { class: "jump small clip" });
      return el("span", null, link, el("span", { class: "muted", "aria-hidden": "true" }, "›"));
    });
    if (isCut) items.splice(1, 0, el("span", { class: "muted" }, "…"));
    return items;
  }

  /** @param {Shown} shown */
  #problemSteps(shown) {
    const [place, count] = problemPlace(shown);
    if (count === 0) return null;
    const text =
      place > 0 ? `problem ${format.count(place)} of ${format.count(count)}` : format.counted(count, "problem");
    return el(
      "div",
      { class: "steps" },
      this.#step(-1, "‹", "p"),
      el("span", { class: "muted" }, text),
      this.#step(1, "n", "›"),
    );
  }

  /**
   * @param {1 | -1} step
   * @param {string} left
   * @param {string} right
   */
  #step(step, left, right) {
    const shown = `${left} ${right}`;
    const title = step > 0 ? "Next problem" : "Previous problem";
    const props = { class: "button quiet", "aria-label": `${shown}: ${title}`, title };
    return button(el("kbd", { "aria-hidden": "true" }, shown), () => this.#commands.stepProblem(step), props);
  }
}

/**
 * Return which of the problems the selected run is, counting from 1, and how many there are.
 *
 * @param {Shown} shown
 * @returns {[number, number]} 0 as the first if it is none
 */
function problemPlace({ view, selected }) {
  let place = 0;
  let count = 0;
  view.stops.forEach((stop, index) => {
    count += stop;
    if (index === selected && stop > 0) place = count;
  });
  return [place, count];
}

/**
 * @param {import("../../model/tree.js").TreeRun} summary
 * @param {HTMLElement | null} [missing] why there is no more; null while the rest is being loaded
 */
function summaryOf({ error_summary: error }, missing = null) {
  const told = error ? outside(error) : !missing && "Loading…";
  const busy = missing ? null : "true";
  return el("div", { class: "details", "aria-busy": busy }, told && el("section", null, told), missing);
}
