import { el, replace } from "../lib/dom.js";

/** @type {import("../lib/page.js").Page} */
export const page = {
  title: "Commits",
  mount(root) {
    replace(root, el("h1", null, "Commits"));
    return { update() {} };
  },
};
