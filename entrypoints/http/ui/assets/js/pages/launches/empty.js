/** What is shown in place of the list when it is empty. */

import { button, el, outside } from "../../lib/dom.js";
import { day } from "../../lib/format.js";
import { copyButton } from "../../lib/run_details.js";
import { href } from "../../lib/url_state.js";
import { isFiltered } from "./state.js";

/** @typedef {import("./state.js").State} State */

/**
 * Return what to do in a store without launches.
 *
 * @param {string} server The address of the server.
 * @param {(message: string) => void} say
 * @returns {HTMLElement}
 */
export function nothingStored(server, say) {
  const command = `runsink upload FILE --url ${server}`;
  return el(
    "div",
    { class: "empty" },
    el("h2", null, "No launches yet"),
    el("p", null, "A launch is a run without a parent. Upload a file of runs, one JSON object per line:"),
    el("p", { class: "command" }, el("code", null, command), copyButton("command", () => command, say)),
    el("p", null, "Launches appear here as they arrive. ", el("a", { class: "link", href: "../docs" }, "The API")),
  );
}

/**
 * @typedef {object} Ways
 * @property {() => void} clear Drop the filters.
 * @property {() => void} showNewest Look at the time of the newest launch.
 */

/**
 * Return what to do if no launch is as asked for.
 *
 * @param {State} state
 * @param {number} newest The start of the newest launch of all, in milliseconds since the epoch.
 * @param {string} zone
 * @param {Ways} ways
 * @returns {HTMLElement}
 */
export function nothingFound(state, newest, zone, { clear, showNewest }) {
  const filtered = isFiltered(state);
  const said = filtered
    ? "No launch of this time matches the filters."
    : `No launch started at this time. The newest one started on ${day(newest, zone)}.`;
  return el(
    "div",
    { class: "empty" },
    el("h2", null, "Nothing found"),
    el("p", null, said),
    state.q && searchRuns(state.q),
    el(
      "p",
      { class: "ways" },
      filtered && button("Clear the filters", clear),
      button("Show the newest launches", showNewest),
    ),
  );
}

/** @param {string} q */
function searchRuns(q) {
  const link = el("a", { class: "link", href: href("runs", { q }) }, "Search all runs");
  return el("p", null, "Only launches were searched, not the runs inside them. ", link, " for ", outside(q), ".");
}
