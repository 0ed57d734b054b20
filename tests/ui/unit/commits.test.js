import assert from "node:assert/strict";
import { test } from "node:test";

import { commitAddress, commitsOf, repositoryName } from "../../../entrypoints/http/ui/assets/js/model/commits.js";

const HASH = "394b15dbf23f4e7687104c65094973797a4a8899";

test("a commit has an address where the host is known to have one", () => {
  for (const [repository, address] of [
    ["https://github.com/fernwood/docs.git", `https://github.com/fernwood/docs/commit/${HASH}`],
    ["https://user:secret@github.com/fernwood/docs/", `https://github.com/fernwood/docs/commit/${HASH}`],
    ["https://gitlab.example.org/a/b/c", `https://gitlab.example.org/a/b/c/-/commit/${HASH}`],
    ["https://bitbucket.org/a/b", `https://bitbucket.org/a/b/commits/${HASH}`],
    ["http://gitea.lan:3000/a/b.git", `http://gitea.lan:3000/a/b/commit/${HASH}`],
    ["https://codeberg.org/a/b", `https://codeberg.org/a/b/commit/${HASH}`],
  ]) {
    assert.equal(commitAddress(repository, HASH), address);
  }
});

test("nothing else becomes an address", () => {
  for (const repository of [
    null,
    "",
    "fernwood/docs",
    "git@github.com:fernwood/docs.git",
    "javascript:alert(1)//github.com/a/b",
    "data:text/html,github.com",
    "ssh://github.com/a/b",
    "https://git.example.org/a/b",
    "https://notgithub.com/a/b",
    "https://github.com",
    "https://github.com/",
    `https://github.com/${"/".repeat(500_000)}x`,
  ]) {
    assert.equal(commitAddress(repository, HASH), null, String(repository));
  }
  assert.equal(commitAddress("https://github.com/a/b", "../../evil"), null);
});

test("a repository is called by its path", () => {
  assert.equal(repositoryName("https://git.example.org/fernwood/docs.git"), "fernwood/docs");
  assert.equal(repositoryName("git@github.com:fernwood/docs.git"), "fernwood/docs");
  assert.equal(repositoryName("fernwood/docs"), "fernwood/docs");
  assert.equal(repositoryName("https://github.com/"), "https://github.com/");
  const long = `${"/".repeat(500_000)}x`;
  assert.equal(repositoryName(long), long);
});

test("the commits of launches are one list, also where a launch is too large to look into", () => {
  const launches = /** @type {import("../../../entrypoints/http/ui/assets/js/lib/page.js").Run[]} */ (
    /** @type {unknown} */ ([
      { run_id: "c", rollup: { commits: [{ commit_hash: HASH, run_id: "c.1" }] } },
      { run_id: "b", rollup: null },
      { run_id: "a", rollup: { commits: [] } },
    ])
  );
  assert.deepEqual(commitsOf(launches), [{ hash: HASH, runId: "c.1", run: null, launch: launches[0] }]);
});
