/** The most frequent statuses, agents and repositories, by which the launches can be narrowed down. */

import { button, clipped, el, icon, outside, replace } from "../../lib/dom.js";
import { count } from "../../lib/format.js";
import { STATUSES, statusName } from "../../lib/status.js";
import { repositoryName } from "../../model/commits.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("../../lib/status.js").Status} Status */
/** @typedef {{value: string, runs: number}} Value */
/** @typedef {{facets: Partial<Record<"status" | "agent_name" | "git_repo", Value[]>>, complete: boolean}} Counted */

/**
 * @typedef {object} Actions
 * @property {(status: Status[]) => void} chooseStatus
 * @property {(agent: string) => void} chooseAgent
 */

const MAX_SHOWN = 20;

export class Facets {
  #actions;
  #status = section("Status");
  #agent = section("Agent");
  #repository = section("Repository");
  #note = el("p", { class: "muted facet-note", hidden: true });
  /** @type {Map<string, Value[]>} By the name of the field. */
  #values = new Map();

  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    const parts = [this.#status, this.#agent, this.#repository, this.#note];
    this.element = el("aside", { class: "facets", id: "facets", "aria-label": "Filters" }, ...parts);
  }

  /**
   * Take what the API counted.
   *
   * @param {Counted} counted
   * @param {string} examined How many launches were examined.
   */
  take({ facets, complete }, examined) {
    for (const [name, values] of Object.entries(facets)) this.#values.set(name, values);
    this.#note.textContent = complete ? "" : `Of the newest ${examined} launches.`;
    this.#note.hidden = complete;
  }

  /** @param {State} state */
  show(state) {
    const statuses = this.#values.get("status") ?? [];
    const runsOf = new Map(statuses.map(({ value, runs }) => [value, runs]));
    fill(
      this.#status,
      STATUSES.map((status) => ({ value: status, runs: runsOf.get(status) ?? 0 })),
      ({ value, runs }, most) => this.#statusButton(/** @type {Status} */ (value), runs, most, state),
    );
    fill(this.#agent, withChosen(this.#values.get("agent_name") ?? [], state.agent_name), (value, most) =>
      this.#agentButton(value, most, state),
    );
    fill(this.#repository, this.#values.get("git_repo") ?? [], repository);
  }

  /**
   * @param {Status} status
   * @param {number} runs
   * @param {number} most
   * @param {State} state
   */
  #statusButton(status, runs, most, state) {
    const isChosen = state.status.includes(status);
    const others = state.status.filter((one) => one !== status);
    const name = el("span", { class: "facet-name" }, statusName(status));
    const label = [el("span", { "data-status": status }, icon(status)), name];
    const chosen = isChosen ? others : [...others, status];
    return toggle(label, runs, most, isChosen, () => this.#actions.chooseStatus(chosen));
  }

  /**
   * @param {Value} value
   * @param {number} most
   * @param {State} state
   */
  #agentButton({ value, runs }, most, state) {
    const isChosen = state.agent_name === value;
    const name = outside(clipped(value, 100), { class: "facet-name" });
    const label = [el("span", { class: "box", "aria-hidden": "true" }), name];
    return toggle(label, runs, most, isChosen, () => this.#actions.chooseAgent(isChosen ? "" : value));
  }
}

/** @param {string} title */
function section(title) {
  return el("section", { hidden: true }, el("h2", null, title), el("div", { class: "facet-values" }));
}

/**
 * @param {HTMLElement} element
 * @param {Value[]} values
 * @param {(value: Value, most: number) => HTMLElement} draw
 */
function fill(element, values, draw) {
  const shown = values.slice(0, MAX_SHOWN);
  const most = Math.max(1, ...shown.map(({ runs }) => runs));
  element.hidden = shown.every(({ runs }) => runs === 0);
  const list = /** @type {HTMLElement} */ (element.lastElementChild);
  const focused = [...list.children].indexOf(/** @type {Element} */ (document.activeElement));
  replace(list, ...shown.map((value) => draw(value, most)));
  // A button that was used keeps the focus although it is another one now.
  if (focused >= 0) /** @type {HTMLElement | undefined} */ (list.children[focused])?.focus();
}

/**
 * A filter that matches nothing must not vanish.
 *
 * @param {Value[]} values
 * @param {string} chosen
 * @returns {Value[]}
 */
function withChosen(values, chosen) {
  if (!chosen || values.slice(0, MAX_SHOWN).some(({ value }) => value === chosen)) return values;
  return [{ value: chosen, runs: values.find(({ value }) => value === chosen)?.runs ?? 0 }, ...values];
}

/**
 * @param {Node[]} label
 * @param {number} runs
 * @param {number} most
 * @param {boolean} isChosen
 * @param {() => void} action
 */
function toggle(label, runs, most, isChosen, action) {
  return button([...label, ...bar(runs, most)], action, { class: "facet", "aria-pressed": String(isChosen) });
}

/**
 * @param {number} runs
 * @param {number} most
 */
function bar(runs, most) {
  return [
    el("span", { class: "facet-bar", "aria-hidden": "true", style: { "--share": runs / most } }),
    el("span", { class: "facet-count" }, count(runs)),
  ];
}

/**
 * The API has no filter by repository, so this is a count only.
 *
 * @param {Value} value
 * @param {number} most
 */
function repository({ value, runs }, most) {
  const name = outside(clipped(repositoryName(value), 300), { class: "facet-name" });
  return el("div", { class: "facet", title: clipped(value, 300) }, name, ...bar(runs, most));
}
