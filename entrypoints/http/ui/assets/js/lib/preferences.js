/** What a person prefers on every page, kept in this browser: colour scheme, time zone, single-key shortcuts. */

const UTC = "UTC";

/**
 * @typedef {"light" | "dark" | null} Theme `null` follows the system.
 */

/**
 * The stored text, or `null` where there is none or storage is forbidden.
 *
 * @param {string} name
 * @returns {string | null}
 */
function read(name) {
  try {
    return localStorage.getItem(`runsink.${name}`);
  } catch {
    return null;
  }
}

/**
 * Keep a text, or forget it. Where storage is forbidden it only lasts until the page is left.
 *
 * @param {string} name
 * @param {string | null} value
 */
function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(`runsink.${name}`);
    else localStorage.setItem(`runsink.${name}`, value);
  } catch {
    // Nothing depends on it.
  }
}

/** Preferences as properties; assigning one keeps it. */
export class Preferences {
  #local = read("time") === "local";
  #shortcuts = read("shortcuts") !== "off";

  /** @returns {Theme} The chosen colour scheme. */
  get theme() {
    const chosen = document.documentElement.dataset.theme;
    return chosen === "light" || chosen === "dark" ? chosen : null;
  }

  set theme(theme) {
    if (theme === null) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    write("theme", theme);
  }

  /** Show the other scheme. If that is the system's, it is followed again. */
  switchTheme() {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const other = (this.theme ?? system) === "dark" ? "light" : "dark";
    this.theme = other === system ? null : other;
  }

  /** @returns {boolean} Whether times are shown in the zone of this browser rather than in UTC. */
  get isLocal() {
    return this.#local;
  }

  set isLocal(local) {
    this.#local = local;
    write("time", local ? "local" : null);
  }

  /** @returns {string} The IANA name of the time zone that times are shown in. */
  get zone() {
    return this.#local ? Intl.DateTimeFormat().resolvedOptions().timeZone : UTC;
  }

  /** @returns {boolean} Whether single keys are shortcuts. */
  get shortcuts() {
    return this.#shortcuts;
  }

  set shortcuts(on) {
    this.#shortcuts = on;
    write("shortcuts", on ? null : "off");
  }
}
