/** The dialogs of the shell: the token and the help. Both are modal, keep the focus and close with Esc. */

import { el, icon } from "./lib/dom.js";
import { keyName } from "./lib/keyboard.js";

/**
 * Show a dialog until it is closed; then it is gone.
 *
 * @param {string} title
 * @param {import("./lib/dom.js").Child[]} content
 * @returns {HTMLDialogElement}
 */
function open(title, content) {
  const close = el("button", { class: "icon-button", type: "button", "aria-label": "Close" }, icon("close"));
  const heading = el("h2", { id: "dialog-title" }, title);
  const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, el("header", null, heading, close), ...content);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask for a token.
 *
 * @param {string} reason Why, in a sentence.
 * @returns {Promise<string | null>} `null` if the dialog was closed without one.
 */
export function askToken(reason) {
  const field = el("input", {
    id: "token",
    type: "password",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    pattern: "[!-~]+",
    title: "A token consists of printable ASCII characters without spaces.",
  });
  const form = el(
    "form",
    { class: "token-form" },
    el("p", null, `${reason} Enter one with the scope read. It is kept in this tab only, until the tab is closed.`),
    el("label", { for: "token" }, "Token"),
    field,
    el("button", { class: "button primary", type: "submit" }, "Use the token"),
  );
  const dialog = open("Token", [form]);
  field.focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      resolve(field.value);
      dialog.close();
    });
    dialog.addEventListener("close", () => resolve(null));
  });
}

/**
 * Show the shortcuts in force, and a switch for them.
 *
 * @param {import("./lib/keyboard.js").Shortcut[]} shortcuts
 * @param {import("./lib/preferences.js").Preferences} preferences
 */
export function showHelp(shortcuts, preferences) {
  const rows = shortcuts.map(({ keys, label }) =>
    el("div", null, el("dt", null, ...keys.map((key) => el("kbd", null, keyName(key)))), el("dd", null, label)),
  );
  const toggle = el("input", { type: "checkbox", id: "shortcuts", checked: preferences.shortcuts });
  toggle.addEventListener("change", () => {
    preferences.shortcuts = toggle.checked;
  });
  open("Keyboard", [
    el("dl", { class: "shortcuts" }, ...rows),
    el("p", null, el("label", { for: "shortcuts" }, toggle, " Single characters are shortcuts")),
    el("p", null, el("a", { href: "../docs" }, "The API of this server")),
  ]);
}
