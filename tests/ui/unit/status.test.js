import assert from "node:assert/strict";
import { test } from "node:test";

import {
  counted,
  isProblem,
  severity,
  STATUSES,
  statusName,
} from "../../../entrypoints/http/ui/assets/js/lib/status.js";

test("every status has a name of its own, and the problems come first", () => {
  assert.equal(new Set(STATUSES.map(statusName)).size, 6);
  assert.deepEqual(STATUSES.filter(isProblem), STATUSES.slice(0, 4));
  assert.deepEqual(STATUSES.map(severity), [0, 1, 2, 3, 4, 5]);
});

test("counts are in the order of severity, without those that are zero", () => {
  assert.deepEqual(counted({ success: 5, partial: 0, timeout: 2 }), [
    { status: "timeout", runs: 2 },
    { status: "success", runs: 5 },
  ]);
});
