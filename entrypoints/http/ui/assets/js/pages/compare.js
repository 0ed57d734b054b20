import { el, replace } from "../lib/dom.js";

/** @type {import("../lib/page.js").Page} */
export const page = {
  title: "Compare",
  mount(root) {
    replace(root, el("h1", null, "Compare"));
    return { update() {} };
  },
};
