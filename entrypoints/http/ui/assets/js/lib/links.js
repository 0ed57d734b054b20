/** Links between pages, all of which are directly below the same folder. */

/**
 * Return the last segment of a path.
 *
 * @param {{pathname: string}} address
 * @returns {string}
 */
export function lastSegment({ pathname }) {
  return pathname.slice(pathname.lastIndexOf("/") + 1);
}

/**
 * Return the address that a click leads to, if it is one of this folder and the browser is to do nothing special, such
 * as opening a tab; else `null`.
 *
 * @param {MouseEvent} event
 * @returns {URL | null}
 */
export function followed(event) {
  if (event.defaultPrevented || event.button || hasModifier(event)) return null;
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return null;
  const address = new URL(link.href);
  const isHere = address.origin === location.origin && folder(address) === folder(location);
  return isHere && !address.hash ? address : null;
}

/** @param {MouseEvent} event */
function hasModifier({ ctrlKey, metaKey, shiftKey, altKey }) {
  return ctrlKey || metaKey || shiftKey || altKey;
}

/** @param {{pathname: string}} address */
function folder({ pathname }) {
  return pathname.slice(0, pathname.lastIndexOf("/"));
}
