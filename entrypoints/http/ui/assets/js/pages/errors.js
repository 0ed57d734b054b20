import { el, replace } from "../lib/dom.js";

/** @type {import("../lib/page.js").Page} */
export const page = {
  title: "Errors",
  mount(root) {
    replace(root, el("h1", null, "Errors"));
    return { update() {} };
  },
};
