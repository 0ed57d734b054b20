/** Refused: runs that the server rejected, why, and what was sent. */

import { button, clipped, closeButton, el, longText, outside, replace, setText } from "../lib/dom.js";
import { TextFilter } from "../lib/filter_bar.js";
import { count, counted, dateTime, moment, zoneName } from "../lib/format.js";
import { ItemList } from "../lib/item_list.js";
import { LaunchFinder } from "../lib/launch_finder.js";
import { copyButton } from "../lib/run_details.js";
import { href, launchHref, text } from "../lib/url_state.js";
import { parentIn } from "../model/refusals.js";
import { invalidFields, refusedKey, shownBody } from "../model/refused.js";
import { shownCount } from "../refusal_count.js";

/** @typedef {import("../lib/page.js").Context} Context */
/** @typedef {import("../model/refused.js").Refused} Refused */

/** Bodies come with the list, so a page of it is short. */
const PAGE_REFUSALS = 50;
const CLIP = 300;

const SCHEMA = {
  run_id: text(),
  field: text(),
  /** Of the page that is shown; empty for the newest. */
  cursor: text(),
  /** The key of the refusal that is shown beside the list. */
  at: text(),
};

class RefusedPage {
  #context;
  #finder;
  /** @type {Refused[] | null} Not there before the first response. */
  #refusals = null;
  /** @type {string | null} */
  #next = null;
  /** @type {number | null} How many the server keeps; not known yet. */
  #kept = null;
  #shown = "";
  #total = el("span", { class: "muted" });
  #run = new TextFilter("Run", (run_id) => this.#write({ run_id, cursor: "" }));
  #field = new TextFilter("Field", (field) => this.#write({ field, cursor: "" }));
  #newest = button("Newest", () => this.#write({ cursor: "" }));
  #older = button("Older", () => this.#write({ cursor: this.#next ?? "" }));
  #empty = el("div", { class: "empty" });
  #panel = el("aside", { class: "side", "aria-label": "Details", hidden: true });
  #list;
  #body;

  /**
   * @param {HTMLElement} root
   * @param {Context} context
   */
  constructor(root, context) {
    this.#context = context;
    this.#finder = new LaunchFinder(context.api);
    this.#list = new ItemList({
      label: "Refused runs",
      rowClass: "refused-row",
      columns: [
        ["when", "Received"],
        ["clip", "Run"],
        ["clip", "Field"],
        ["clip wide-only", "Why"],
      ],
      createRow: () => createRow(() => context.preferences.zone),
      select: (refusal) => context.url.write(SCHEMA, { at: refusedKey(refusal) }),
      open: ({ run_id }) => run_id && context.open(href("runs", { run_id })),
    });
    this.#body = el("div", { class: "beside" }, this.#list.element, this.#empty, this.#panel);
    root.classList.add("fixed");
    const paging = el("div", { class: "paging" }, this.#newest, this.#older);
    replace(
      root,
      el("div", { class: "page-head" }, el("h1", null, "Refused"), this.#total),
      el("div", { class: "filters" }, this.#run.element, this.#field.element, paging),
      this.#body,
    );
    context.addShortcuts([
      ...this.#list.shortcuts("refused run", "Show the stored runs of this name"),
      { keys: ["Escape"], label: "Close the details", run: () => this.#close() },
    ]);
  }

  update() {
    const { run_id, field, cursor } = this.#context.url.read(SCHEMA);
    this.#run.show(run_id);
    this.#field.show(field);
    const parameters = { run_id, field, cursor, limit: PAGE_REFUSALS };
    /** @param {{refusals: Refused[], next_cursor: string | null}} found */
    const show = ({ refusals, next_cursor }) => {
      this.#refusals = refusals;
      this.#next = next_cursor;
      if (!run_id && !field && !cursor) this.#context.showRefused(shownCount({ refusals, next_cursor }));
      this.#show();
    };
    /** @param {{keep_refusals?: number}} limits */
    const showLimits = ({ keep_refusals }) => {
      this.#kept = keep_refusals ?? 0;
      this.#show();
    };
    this.#context.live.watch([
      { path: "refusals", parameters, show },
      { path: "limits", show: showLimits },
    ]);
    this.#show();
  }

  unmount() {
    this.#list.destroy();
  }

  /** @param {Partial<import("../lib/url_state.js").Values<typeof SCHEMA>>} changes */
  #write(changes) {
    // What is shown belongs to the list before; without it the page would say that there is nothing.
    this.#refusals = null;
    this.#context.url.write(SCHEMA, changes, { push: true });
  }

  #close() {
    this.#context.url.write(SCHEMA, { at: "" });
  }

  #show() {
    const refusals = this.#refusals ?? [];
    const { at, cursor } = this.#context.url.read(SCHEMA);
    const chosen = at ? refusals.findIndex((refusal) => refusedKey(refusal) === at) : -1;
    this.#list.show(refusals, chosen);
    this.#showChosen(refusals[chosen] ?? null);
    this.#newest.hidden = cursor === "";
    this.#older.hidden = this.#next === null;
    const isWhole = cursor === "" && this.#next === null;
    const shown = isWhole
      ? counted(refusals.length, "run")
      : `${cursor ? "older" : "newest"} ${count(refusals.length)}`;
    setText(
      this.#total,
      this.#refusals ? `${shown}${this.#kept ? `, the last ${count(this.#kept)} are kept` : ""}` : "",
    );
    this.#showEmpty();
  }

  #showEmpty() {
    const isEmpty = this.#refusals?.length === 0 && this.#kept !== null;
    this.#empty.hidden = !isEmpty;
    this.#list.element.hidden = isEmpty;
    if (isEmpty) replace(this.#empty, ...this.#emptyText());
  }

  /** @returns {Node[]} */
  #emptyText() {
    const { run_id, field, cursor } = this.#context.url.read(SCHEMA);
    if (this.#kept === 0) return notKept();
    if (run_id || field || cursor) return [el("p", null, "No refused run matches.")];
    return [el("p", null, "No run was refused: the server took everything that was sent.")];
  }

  /** @param {Refused | null} refusal */
  #showChosen(refusal) {
    const { zone } = this.#context.preferences;
    const key = refusal ? `${refusedKey(refusal)} ${zone}` : "";
    if (key === this.#shown) return;
    this.#shown = key;
    this.#panel.hidden = refusal === null;
    this.#body.classList.toggle("chosen", refusal !== null);
    if (!refusal) return;
    const received = `${dateTime(refusal.received_at, zone)} ${zoneName(zone)}`;
    replace(
      this.#panel,
      el("div", { class: "side-head" }, el("span", { class: "muted" }, `Received ${received}`), closeButton(() => this.#close())),
      errorSection(refusal),
      identitySection(refusal),
      this.#launchSection(parentIn(refusal.body)),
      bodySection(refusal, this.#context.say),
    );
    this.#panel.scrollTop = 0;
  }

  /** @param {string} parent that the run names; empty for none */
  #launchSection(parent) {
    if (!parent) return null;
    const launch = el("dd", null, "…");
    void this.#showLaunch(parent, launch);
    const above = el("div", null, el("dt", null, "parent_run_id"), el("dd", null, outside(clipped(parent, CLIP))));
    const reasons = el("dl", { class: "reasons" }, above, el("div", null, el("dt", null, "launch"), launch));
    return el("section", null, el("h2", null, "Where it belongs"), reasons);
  }

  /**
   * @param {string} parent
   * @param {HTMLElement} place
   */
  async #showLaunch(parent, place) {
    try {
      const launch = await this.#finder.findNamed(parent);
      if (!launch) {
        setText(place, "The parent is not stored.");
        return;
      }
      const name = outside(clipped(launch.run_id, CLIP));
      replace(place, el("a", { class: "link", href: launchHref(launch, parent) }, name));
    } catch {
      // What is wrong with the server is told by what is watched.
      setText(place, "It could not be looked up.");
    }
  }
}

/** @returns {Node[]} */
function notKept() {
  return [
    el("p", null, "This server does not keep the runs that it refuses; only the response to each upload names them."),
    el("p", null, "To see here what is refused from then on, start it with:"),
    el("pre", null, "runsink serve --keep-refusals 1000"),
  ];
}

/**
 * @param {() => string} zone
 * @returns {import("../lib/item_list.js").ItemRow<Refused>}
 */
function createRow(zone) {
  const when = el("span", null);
  const [run, field, why] = [el("bdi", null), el("bdi", null), el("bdi", null)];
  return {
    cells: [when, el("span", null, run), el("span", { "data-status": "failure" }, field), el("span", null, why)],
    update(refusal) {
      setText(when, moment(refusal.received_at, zone()));
      setText(run, clipped(refusal.run_id ?? "no run_id", CLIP));
      setText(field, clipped(invalidFields(refusal), CLIP));
      setText(why, clipped(refusal.errors[0]?.error ?? "", CLIP));
    },
  };
}

/** @param {Refused} refusal */
function errorSection({ errors }) {
  const entries = errors.map(({ field, error }) =>
    el("div", null, el("dt", null, outside(field ?? "the run")), el("dd", null, longText(error))),
  );
  return el("section", null, el("h2", null, "Why"), el("dl", { class: "reasons" }, ...entries));
}

/** @param {Refused} refusal */
function identitySection({ run_id, event_id }) {
  const rows = [];
  if (run_id !== null) {
    const link = el("a", { class: "link", href: href("runs", { run_id }) }, outside(clipped(run_id, CLIP)));
    rows.push(el("div", null, el("dt", null, "run_id"), el("dd", null, link)));
  }
  if (event_id !== null) {
    const shown = outside(clipped(event_id, CLIP), { class: "mono" });
    rows.push(el("div", null, el("dt", null, "event_id"), el("dd", null, shown)));
  }
  return rows.length ? el("section", null, el("h2", null, "Identity"), el("dl", { class: "reasons" }, ...rows)) : null;
}

/**
 * @param {Refused} refusal
 * @param {(message: string) => void} say
 */
function bodySection({ body }, say) {
  const { text: shown, isJson, omitted } = shownBody(body);
  const cut = omitted > 0 && `Only the beginning is kept; ${counted(omitted, "byte")} are left out.`;
  const note = cut || (!isJson && "This is not JSON.");
  return el(
    "section",
    null,
    el(
      "h2",
      null,
      "What was sent",
      copyButton("what was sent", () => body, say),
    ),
    note && el("p", { class: "muted" }, note),
    longText(shown, { class: "long-text mono sent" }),
  );
}

/** @type {import("../lib/page.js").Page} */
export const page = { title: "Refused", mount: (root, context) => new RefusedPage(root, context) };
