import { el, replace } from "../lib/dom.js";

/** @type {import("../lib/page.js").Page} */
export const page = {
  title: "Refused",
  mount(root) {
    replace(root, el("h1", null, "Refused"));
    return { update() {} };
  },
};
