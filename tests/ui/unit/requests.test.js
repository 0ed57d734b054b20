import assert from "node:assert/strict";
import { test } from "node:test";

import { apiAddress, apiPath } from "../../../entrypoints/http/ui/assets/js/lib/api.js";
import { errorOf, unreachable } from "../../../entrypoints/http/ui/assets/js/lib/api_errors.js";
import { pauseAfter, POLL_MS } from "../../../entrypoints/http/ui/assets/js/lib/live.js";

test("an address is relative to the page and holds any id", () => {
  assert.equal(apiPath("runs", "a/b?c", "tree"), "runs/a%2Fb%3Fc/tree");
  assert.equal(apiAddress("runs"), "../api/v1/runs");
  const parameters = { limit: 0, q: "", roots: true, rollup: false, agent_name: ["a", "b&c"], cursor: null };
  assert.equal(apiAddress("runs", parameters), "../api/v1/runs?limit=0&roots=true&agent_name=a&agent_name=b%26c");
});

/**
 * @param {number} status
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 */
function error(status, body, headers = {}) {
  return errorOf(new Response(null, { status, headers }), body);
}

test("each status is explained, with the server's words", () => {
  const cases = /** @type {const} */ ([
    [401, "token", "a token is required"],
    [403, "scope", "this requires a token with the scope read"],
    [404, "missing", "Run not found: x"],
    [400, "invalid", "limit must be at least 1"],
    [422, "invalid", "limit must be at least 1"],
    [429, "busy", "rate limit"],
    [503, "busy", "the queue is full"],
    [500, "failed", "internal error"],
  ]);
  for (const [status, kind, detail] of cases) {
    const found = error(status, { detail });
    assert.equal(found.kind, kind);
    assert.equal(found.status, status);
    if (status !== 401 && status !== 429) assert.ok(found.message.includes(detail), found.message);
  }
});

test("the errors that may pass are those of overload, of the server and of the network", () => {
  const passing = [401, 403, 404, 421, 422, 429, 500, 503].filter((status) => error(status, null).isPassing);
  assert.deepEqual(passing, [429, 500, 503]);
  assert.ok(unreachable().isPassing);
});

test("a list of faults names each field once", () => {
  const detail = [
    { loc: ["query", "limit"], msg: "limit must be at least 1" },
    { loc: ["query", "q"], msg: "too long" },
  ];
  assert.ok(error(422, { detail }).message.endsWith("limit must be at least 1; q: too long"));
});

test("what is no document of the server does no harm", () => {
  for (const body of [null, "text", 1, [], { detail: 5 }, { detail: [{}] }, { detail: [{ loc: [] }] }]) {
    assert.equal(error(422, body).kind, "invalid");
  }
  assert.equal(error(503, null, { "Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT" }).retrySeconds, 0);
  assert.equal(error(503, null, { "Retry-After": "1e9" }).retrySeconds, 3600);
});

test("polls pause for two seconds, for ten times as long as they took, and longer with each failure", () => {
  assert.equal(pauseAfter(20, 0, 0), POLL_MS);
  assert.equal(pauseAfter(500, 0, 0), 5000);
  const failing = [1, 2, 3, 4, 5, 6, 7, 100].map((failures) => pauseAfter(20, failures, 0));
  assert.deepEqual(failing, [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  assert.equal(pauseAfter(20, 1, 90), 90_000);
});
