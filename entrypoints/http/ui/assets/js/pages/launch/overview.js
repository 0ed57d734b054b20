/** The panel of a launch while no run is selected: why it failed, what recovered, costs, commits, refused runs. */

import { button, clipped, el, icon, outside } from "../../lib/dom.js";
import * as format from "../../lib/format.js";
import { statusName } from "../../lib/status.js";
import { href } from "../../lib/url_state.js";
import { nameInLaunch, withoutPrefix } from "../../model/names.js";

/** @typedef {import("../../model/launch.js").Launch} Launch */
/** @typedef {import("../../model/problems.js").Cause} Cause */
/** @typedef {import("../../model/refusals.js").Refusal} Refusal */

/** How many causes, runs of one, agents, kinds, commits and refused runs are listed. */
const MAX_CAUSES = 20;
const MAX_RUNS = 3;
const MAX_ROWS = 20;
/** Longest text in the panel, in UTF-16 units. */
const MAX_TEXT = 300;

/**
 * @typedef {object} Context
 * @property {(index: number) => void} select
 * @property {(index: number) => string | null} commitMessage what the run that made a commit says about it
 * @property {readonly Refusal[] | null} refusals of this launch; null if the server keeps none
 */

/**
 * Return the sections of the panel.
 *
 * @param {Launch} launch
 * @param {Context} context
 * @returns {HTMLElement[]}
 */
export function overview(launch, context) {
  return [
    ...causeSections(launch, context),
    costSection(launch),
    commitSection(launch, context),
    refusalSection(launch, context.refusals),
    kindSection(launch),
  ].filter((found) => found !== null);
}

/**
 * @param {string} title
 * @param {number} count
 * @param {string} name
 * @param {...import("../../lib/dom.js").Child} content
 */
function section(title, count, name, ...content) {
  const number = count > 0 ? el("span", { class: "muted" }, ` ${format.count(count)}`) : null;
  return el("section", { class: `panel-section ${name}`, tabindex: -1 }, el("h2", null, title, number), ...content);
}

/**
 * @param {Launch} launch
 * @param {Context} context
 */
function causeSections(launch, context) {
  const { causes, recoveries } = launch.problems;
  const status = launch.tree.runs[0].status;
  const failed = launch.tree.problems[0] > 0;
  const title = failed ? `Why ${statusName(status)}` : launch.isRunning ? "Problems so far" : "Problems inside";
  return [
    causes.length > 0 ? section(title, total(causes), "causes", ...causeList(launch, causes, context)) : null,
    recoveries.length > 0
      ? section("Recovered", total(recoveries), "recoveries", ...causeList(launch, recoveries, context))
      : null,
  ];
}

/** @param {Cause[]} causes */
function total(causes) {
  return causes.reduce((sum, cause) => sum + cause.runs.length, 0);
}

/**
 * @param {Launch} launch
 * @param {Cause[]} causes
 * @param {Context} context
 */
function causeList(launch, causes, context) {
  const items = causes.slice(0, MAX_CAUSES).map((cause) => causeItem(launch, cause, context));
  return [el("ul", { class: "causes-list" }, ...items), more(causes.length - MAX_CAUSES, "cause")];
}

/**
 * @param {number} count
 * @param {string} noun
 */
function more(count, noun) {
  return count > 0 ? el("p", { class: "muted small" }, `and ${format.counted(count, `more ${noun}`)}`) : null;
}

/**
 * @param {Launch} launch
 * @param {Cause} cause
 * @param {Context} context
 */
function causeItem({ tree }, { error, status, runs }, { select }) {
  const names = runs.slice(0, MAX_RUNS).map((index) => {
    const name = clipped(nameInLaunch(tree, index), MAX_TEXT);
    return button(outside(name), () => select(index), { class: "jump small clip" });
  });
  const rest = runs.length - MAX_RUNS;
  return el(
    "li",
    { "data-status": status },
    icon(status, statusName(status)),
    button(errorText(error, status), () => select(runs[0]), { class: "cause" }),
    el(
      "span",
      { class: "names" },
      ...names,
      rest > 0 ? el("span", { class: "muted small" }, `+${format.count(rest)}`) : null,
    ),
  );
}

/**
 * @param {string} error
 * @param {import("../../lib/status.js").Status} status
 */
function errorText(error, status) {
  return error === "" ? `${statusName(status)}, without an error summary` : outside(clipped(error, MAX_TEXT));
}

/** @param {Launch} launch */
function costSection({ agents }) {
  if (agents.length === 0) return null;
  const most = Math.max(...agents.map(({ cost }) => cost));
  const rows = agents
    .slice(0, MAX_ROWS)
    .map(({ agent, runs, cost, tokens }) =>
      el(
        "tr",
        null,
        el("th", { scope: "row" }, outside(agent, { class: "clip" }), shareBar(most > 0 ? cost / most : 0)),
        el("td", null, `${format.count(runs)}×`),
        el("td", null, tokens > 0 ? format.tokens(tokens) : ""),
        el("td", null, cost > 0 ? format.cost(cost) : ""),
      ),
    );
  const head = columnNames("Agent", "Runs", "Tokens", "Cost");
  return section(
    "Cost by agent",
    0,
    "agents",
    el("table", null, head, el("tbody", null, ...rows)),
    more(agents.length - MAX_ROWS, "agent"),
  );
}

/** @param {...string} names for screen readers; the figures speak for themselves */
function columnNames(...names) {
  const cells = names.map((name) => el("th", { scope: "col" }, name));
  return el("thead", { class: "unseen" }, el("tr", null, ...cells));
}

/** @param {number} share from 0 to 1 */
function shareBar(share) {
  return el("span", { class: "share", "aria-hidden": "true" }, el("i", { style: { width: `${share * 100}%` } }));
}

/**
 * @param {Launch} launch
 * @param {Context} context
 */
function commitSection({ tree, commits }, { select, commitMessage }) {
  if (commits.length === 0) return null;
  const items = commits.slice(0, MAX_ROWS).map((index) => {
    const { commit_hash: hash, commit_source: source } = tree.runs[index];
    const message = clipped(commitMessage(index) ?? nameInLaunch(tree, index), MAX_TEXT);
    return el(
      "li",
      null,
      el("code", { title: hash }, String(hash).slice(0, 7)),
      button(outside(message), () => select(index), { class: "jump" }),
      el("span", { class: "muted small" }, source),
    );
  });
  const list = el("ul", { class: "commits-list" }, ...items);
  return section("Commits", commits.length, "commits", list, more(commits.length - MAX_ROWS, "commit"));
}

/**
 * @param {Launch} launch
 * @param {readonly Refusal[] | null} refusals
 */
function refusalSection({ tree }, refusals) {
  if (refusals === null || refusals.length === 0) return null;
  const prefix = tree.runs[0].run_id;
  const items = refusals.slice(0, MAX_ROWS).map(({ run_id: name, errors }) => {
    const short = name === null ? "a run without a name" : (withoutPrefix(name, prefix) ?? name);
    return el(
      "li",
      null,
      outside(clipped(errors[0]?.error ?? "", MAX_TEXT)),
      el("a", { class: "jump small clip", href: href("refused", { run_id: name }) }, outside(clipped(short, MAX_TEXT))),
    );
  });
  const list = el("ul", { class: "refusals-list" }, ...items);
  return section("Refused at upload", refusals.length, "refusals", list, more(refusals.length - MAX_ROWS, "run"));
}

/** @param {Launch} launch */
function kindSection({ kinds }) {
  const rows = kinds
    .slice(0, MAX_ROWS)
    .map(({ jobType, runs, problems, median }) =>
      el(
        "tr",
        null,
        el("th", { scope: "row" }, outside(jobType, { class: "clip" })),
        el("td", null, `${format.count(runs)}×`),
        el("td", { class: "problem" }, problems > 0 ? format.counted(problems, "problem") : ""),
        el("td", { title: "Median duration" }, format.duration(median)),
      ),
    );
  const head = columnNames("Job type", "Runs", "Problems", "Median duration");
  return section(
    "Kinds",
    0,
    "kinds",
    el("table", null, head, el("tbody", null, ...rows)),
    more(kinds.length - MAX_ROWS, "kind"),
  );
}
