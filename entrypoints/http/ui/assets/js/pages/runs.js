/** Runs: all of them, flat, the newest first. */

import { clipped, el, icon, outside, replace } from "../lib/dom.js";
import { count, dateTime, duration } from "../lib/format.js";
import { STATUSES, statusName } from "../lib/status.js";
import { choices, href, text } from "../lib/url_state.js";

/** @typedef {import("../lib/page.js").Run} Run */

const SCHEMA = { q: text(), status: choices(STATUSES), agent_name: text() };
const PAGE_RUNS = 100;

/** @type {import("../lib/page.js").Page} */
export const page = {
  title: "Runs",
  mount(root, context) {
    const body = el("tbody");
    const total = el("span", { class: "muted" });
    const names = ["Status", "Run", "Agent", "What", "Start", "Duration"];
    const headings = names.map((name) => el("th", { scope: "col", class: name === "Duration" && "number" }, name));
    const head = el("thead", null, el("tr", null, ...headings));
    const region = { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Runs" };
    replace(
      root,
      el("div", { class: "page-head" }, el("h1", null, "Runs"), total),
      el("div", region, el("table", { class: "table" }, head, body)),
    );
    const showEvery = () => context.url.write(SCHEMA, { status: [] }, { push: true });
    context.addShortcuts([{ keys: ["x"], label: "Show every status", run: showEvery }]);
    return {
      update() {
        const { q, status, agent_name } = context.url.read(SCHEMA);
        const parameters = { q, status: status.join(), agent_name, limit: PAGE_RUNS };
        /** @param {import("../lib/page.js").RunPage} found */
        const show = (found) => {
          total.textContent = count(found.total);
          replace(body, ...found.runs.map((run) => row(run, context.preferences.zone)));
        };
        context.live.watch([{ path: "runs", parameters, show }]);
      },
    };
  },
};

/**
 * @param {Run} run
 * @param {string} zone
 * @returns {HTMLTableRowElement}
 */
function row(run, zone) {
  const address = href("launch", { id: run.run_id, event_id: run.event_id });
  const what = run.error_summary ?? run.item_name ?? run.input_summary ?? "";
  return el(
    "tr",
    null,
    el("td", { "data-status": run.status }, icon(run.status), " ", statusName(run.status)),
    el("td", null, el("a", { href: address }, outside(run.run_id))),
    el("td", null, outside(run.agent_name)),
    el("td", null, outside(clipped(what, 300))),
    el("td", null, dateTime(run.start_time, zone)),
    el("td", { class: "number" }, duration(run.duration_ms)),
  );
}
