/**
 * The shortcuts of the page that is shown. Each is one key, ignored in fields and dialogs, and listed in the help.
 *
 * @typedef {object} Shortcut
 * @property {string[]} keys As in `KeyboardEvent.key`; any of them.
 * @property {string} label What it does, for the help.
 * @property {(event: KeyboardEvent) => void} run
 */

/** @type {Readonly<Record<string, string>>} How a key is written in the help, if not by its name. */
const SHOWN = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", "-": "−" };

const FIELDS = "input, textarea, select, [contenteditable]";

/**
 * Return how a key is written.
 *
 * @param {string} key
 * @returns {string}
 */
export function keyName(key) {
  return SHOWN[key] ?? key;
}

/**
 * Return whether a key press is for the page, not for the browser, a field or a dialog.
 *
 * @param {KeyboardEvent} event
 * @returns {boolean}
 */
function isForPage(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  const pressesItself = event.key === "Enter" || event.key === " ";
  const own = pressesItself ? `${FIELDS}, dialog, a, button, summary` : `${FIELDS}, dialog`;
  return !(event.target instanceof Element && event.target.closest(own));
}

/** The one registry of shortcuts. */
export class Keyboard {
  /** @type {Set<readonly Shortcut[]>} */
  #registered = new Set();
  #isOn;

  /**
   * @param {EventTarget} target Where keys are pressed.
   * @param {() => boolean} isOn Whether single characters are shortcuts. Keys such as Escape and arrows always are.
   */
  constructor(target, isOn) {
    this.#isOn = isOn;
    target.addEventListener("keydown", (event) => this.#press(/** @type {KeyboardEvent} */ (event)));
  }

  /**
   * Add shortcuts; those added last take precedence. Return a function that removes them.
   *
   * @param {readonly Shortcut[]} shortcuts
   * @returns {() => void}
   */
  register(shortcuts) {
    this.#registered.add(shortcuts);
    return () => this.#registered.delete(shortcuts);
  }

  /** @returns {Shortcut[]} What is in force, in the order of registration. */
  get shortcuts() {
    return [...this.#registered].flat();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (!isForPage(event) || (event.key.length === 1 && !this.#isOn())) return;
    const found = this.shortcuts.findLast((shortcut) => shortcut.keys.includes(event.key));
    if (!found) return;
    event.preventDefault();
    found.run(event);
  }
}
