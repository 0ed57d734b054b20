/** The list of errors, each a group of runs. */

import { clipped, el, icon, setAttribute, setIcon, setText } from "../../lib/dom.js";
import { count, moment } from "../../lib/format.js";
import { ItemList } from "../../lib/item_list.js";
import { statusName } from "../../lib/status.js";

/** @typedef {import("../../model/errors.js").ErrorGroup} ErrorGroup */

const CLIP = 300;

/**
 * Make the list.
 *
 * @param {object} actions
 * @param {(group: ErrorGroup) => void} actions.select
 * @param {(group: ErrorGroup) => void} actions.open
 * @param {() => string} zone
 * @returns {ItemList<ErrorGroup>}
 */
export function errorList({ select, open }, zone) {
  return new ItemList({
    label: "Errors",
    rowClass: "error-row",
    columns: [
      ["status", "(Status)"],
      ["what clip", "Error"],
      ["agents clip wide-only", "Agents"],
      ["runs number", "Runs"],
      ["first number wide-only", "First"],
      ["last number", "Last"],
    ],
    createRow: () => createRow(zone),
    select,
    open,
  });
}

/**
 * @param {() => string} zone
 * @returns {import("../../lib/item_list.js").ItemRow<ErrorGroup>}
 */
function createRow(zone) {
  const status = icon("failure");
  const what = el("bdi", null);
  const agent = el("bdi", null);
  const others = el("span", { class: "muted" });
  const [runs, first, last] = [el("span", null), el("span", null), el("span", null)];
  const [statusCell, whatCell] = [el("span", null, status), el("span", null, what)];
  return {
    cells: [statusCell, whatCell, el("span", null, agent, others), runs, first, last],
    update(group) {
      setAttribute(statusCell, "data-status", group.status);
      setIcon(status, group.status, statusName(group.status));
      setText(what, clipped(group.example, CLIP) || "no error summary");
      whatCell.classList.toggle("muted", !group.example);
      setText(agent, clipped(group.agents[0].value, 100));
      setText(others, group.agents.length > 1 ? ` +${group.agents.length - 1}` : "");
      setText(runs, count(group.runs.length));
      setText(first, moment(group.first, zone()));
      setText(last, moment(group.last, zone()));
    },
  };
}
