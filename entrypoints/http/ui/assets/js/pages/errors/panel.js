/** The details of one error: its texts, agents, and runs with their launches. */

import { clipped, closeButton, el, longText, outside, replace } from "../../lib/dom.js";
import { count, counted, dateTime, zoneName } from "../../lib/format.js";
import { statusChip } from "../../lib/run_details.js";
import { href, launchHref } from "../../lib/url_state.js";

/** @typedef {import("../../lib/page.js").Run} Run */
/** @typedef {import("../../model/errors.js").ErrorGroup} ErrorGroup */

/** How many runs, texts and agents are shown. */
const MAX_RUNS = 20;
const MAX_VALUES = 10;
const CLIP = 200;

export class GroupPanel {
  #finder;
  #close;
  /** What is shown, to leave it alone while it is the same. */
  #shown = "";
  element = el("aside", { class: "side", "aria-label": "Details", hidden: true });

  /**
   * @param {import("../../lib/launch_finder.js").LaunchFinder} finder
   * @param {() => void} close
   */
  constructor(finder, close) {
    this.#finder = finder;
    this.#close = close;
  }

  /**
   * @param {ErrorGroup | null} group
   * @param {string} zone
   */
  show(group, zone) {
    const key = group ? JSON.stringify([group.key, group.runs.length, group.last, zone]) : "";
    if (key === this.#shown) return;
    this.#shown = key;
    this.element.hidden = group === null;
    if (!group) return;
    const top = this.element.scrollTop;
    replace(
      this.element,
      el("div", { class: "side-head" }, statusChip(group.status), closeButton(this.#close)),
      el(
        "div",
        { class: "side-title" },
        longText(group.example || "no error summary", { "data-status": group.status }),
      ),
      section("When", [times(group, zone)]),
      section("Texts", group.texts.length > 1 ? values(group.texts) : [], group.texts.length),
      section("Agents", values(group.agents), group.agents.length),
      this.#runs(group, zone),
    );
    this.element.scrollTop = top;
  }

  /**
   * @param {ErrorGroup} group
   * @param {string} zone
   */
  #runs(group, zone) {
    const shown = group.runs.slice(0, MAX_RUNS);
    const rows = shown.map((run) => ({ run, ...runRow(run, zone) }));
    void this.#findLaunches(rows);
    const left = group.runs.length - shown.length;
    const search = href("runs", { q: clipped(group.example, CLIP).replace(/…$/, ""), status: group.status });
    const all = group.example && el("p", null, el("a", { class: "link", href: search }, "All runs with this text"));
    const rest = left > 0 && el("p", { class: "muted" }, `and ${counted(left, "older run")}`);
    return section("Runs", [...rows.map(({ element }) => element), rest, all], group.runs.length);
  }

  /**
   * One after the other, since they often have the same parents.
   *
   * @param {{run: Run, element: HTMLElement, showLaunch: (launch: Run) => void}[]} rows
   */
  async #findLaunches(rows) {
    for (const { run, element, showLaunch } of rows) {
      try {
        showLaunch(await this.#finder.find(run));
      } catch {
        // Without its launch a run is shown by itself.
        return;
      }
      if (!element.isConnected) return;
    }
  }
}

/**
 * @param {string} title
 * @param {import("../../lib/dom.js").Child[]} content
 * @param {number} [size]
 */
function section(title, content, size) {
  if (!content.length) return null;
  const heading = el("h2", null, title, size !== undefined && el("span", { class: "muted" }, ` ${count(size)}`));
  return el("section", null, heading, ...content);
}

/**
 * @param {ErrorGroup} group
 * @param {string} zone
 */
function times({ first, last, runs }, zone) {
  const [from, to] = [dateTime(first, zone), dateTime(last, zone)];
  return el("p", null, runs.length > 1 ? `${from} – ${to} ` : `${to} `, el("span", { class: "muted" }, zoneName(zone)));
}

/** @param {ErrorGroup["texts"]} found */
function values(found) {
  const rows = found
    .slice(0, MAX_VALUES)
    .map(({ value, runs }) =>
      el("li", null, outside(clipped(value, CLIP), { class: "clip" }), el("span", { class: "muted" }, count(runs))),
    );
  const left = found.length - rows.length;
  return [el("ul", { class: "values" }, ...rows), left > 0 && el("p", { class: "muted" }, `and ${count(left)} more`)];
}

/**
 * @param {Run} run
 * @param {string} zone
 * @returns {{element: HTMLElement, showLaunch: (launch: Run) => void}}
 */
function runRow(run, zone) {
  const link = linkTo(run);
  const where = el("span", { class: "muted clip" });
  const when = el("span", { class: "muted" }, dateTime(run.start_time, zone));
  return {
    element: el("div", { class: "side-run" }, link, where, when),
    showLaunch(launch) {
      if (launch.event_id === run.event_id) return;
      link.href = launchHref(launch, run.event_id);
      replace(where, "in ", linkTo(launch));
    },
  };
}

/** @param {Run} launch */
function linkTo(launch) {
  return el("a", { href: launchHref(launch) }, outside(clipped(launch.run_id, CLIP)));
}
