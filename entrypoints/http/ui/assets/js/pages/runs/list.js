/** The flat list of runs. */

import { clipped, el, icon, setAttribute, setIcon, setText } from "../../lib/dom.js";
import { cost, dateTime, day, duration, time, tokens } from "../../lib/format.js";
import { ItemList } from "../../lib/item_list.js";
import { statusName } from "../../lib/status.js";
import { launchHref } from "../../lib/url_state.js";
import { durationOf, metricOf } from "../../model/launch_summary.js";
import { fullName } from "../../model/names.js";

/** @typedef {import("../../lib/page.js").Run} Run */

const CLIP = 300;

/**
 * @typedef {object} Actions
 * @property {(run: Run) => void} select
 * @property {(run: Run) => void} open
 * @property {(run: Run) => void} seen A row has come into sight, or is about to.
 * @property {() => string} zone
 */

/**
 * Make the list.
 *
 * @param {Actions} actions
 * @returns {ItemList<Run>}
 */
export function runList(actions) {
  return new ItemList({
    label: "Runs",
    rowClass: "run-row",
    columns: [
      ["status", "(Status)"],
      ["name clip", "Run"],
      ["agent clip wide-only", "Agent"],
      ["job clip wide-only", "Job type"],
      ["what clip", "What, or why not"],
      ["start number", "Start"],
      ["duration number wide-only", "Duration"],
      ["tokens number wide-only", "Tokens"],
      ["cost number wide-only", "Cost"],
    ],
    createRow: () => createRow(actions),
    select: actions.select,
    open: actions.open,
  });
}

/**
 * @param {Actions} actions
 * @returns {import("../../lib/item_list.js").ItemRow<Run>}
 */
function createRow({ seen, zone }) {
  const status = icon("success");
  const [name, agent, job, what] = [el("bdi"), el("bdi"), el("bdi"), el("bdi")];
  const link = el("a", null, name);
  const [statusCell, start, taken, tokenCell, costCell] = Array.from({ length: 5 }, () => el("span"));
  const [long, short] = [el("span", { class: "wide-only" }), el("span", { class: "narrow-only" })];
  statusCell.append(status);
  start.append(long, short);
  const whatCell = el("span", null, what);
  return {
    cells: [
      statusCell,
      el("span", null, link),
      el("span", null, agent),
      el("span", null, job),
      whatCell,
      start,
      taken,
      tokenCell,
      costCell,
    ],
    update(run) {
      setIcon(status, run.status, statusName(run.status));
      setAttribute(statusCell, "data-status", run.status);
      setText(name, clipped(fullName(run), CLIP));
      setAttribute(link, "title", clipped(run.run_id, CLIP));
      setAttribute(link, "href", launchHref(run));
      setText(agent, clipped(run.agent_name, CLIP));
      setText(job, clipped(run.job_type, CLIP));
      showWhat(whatCell, what, run);
      setText(long, dateTime(run.start_time, zone()));
      setText(short, shortTime(run.start_time, zone()));
      setText(taken, duration(durationOf(run, Date.now())));
      setText(tokenCell, tokens(metricOf(run, "total_tokens")));
      setText(costCell, cost(metricOf(run, "cost_usd")));
      seen(run);
    },
  };
}

/**
 * Return the day without its weekday, and the time: `31 Jan 09:00`.
 *
 * @param {string} instant
 * @param {string} zone
 */
function shortTime(instant, zone) {
  const [, ...date] = day(instant, zone).split(" ");
  return `${date.join(" ")} ${time(instant, zone)}`;
}

/**
 * @param {HTMLElement} cell
 * @param {HTMLElement} shown
 * @param {Run} run
 */
function showWhat(cell, shown, run) {
  const text = clipped(run.error_summary || run.input_summary || run.item_name || run.output_summary || "", CLIP);
  setText(shown, text);
  setAttribute(shown, "data-status", run.error_summary ? run.status : null);
  cell.classList.toggle("muted", !run.error_summary);
  setAttribute(cell, "title", text || null);
}
