/** The commits that launches led to, and where they can be looked at. */

/** @typedef {import("../lib/page.js").Run} Run */

/**
 * @typedef {object} Commit
 * @property {string} hash
 * @property {string} runId of the first run that names it
 * @property {Run | null} run that run, if the list had it
 * @property {Run | null} launch null if only the run is known
 */

/** Longer texts are no addresses. */
const MAX_ADDRESS = 2000;

/** Paths to a commit below the address of a repository, by the host; subdomains such as `gitlab.example.org` count. */
const PATHS = [
  { host: /(^|\.)github\./, path: "/commit/" },
  { host: /(^|\.)gitlab\./, path: "/-/commit/" },
  { host: /^bitbucket\.org$/, path: "/commits/" },
  { host: /^codeberg\.org$|(^|\.)(gitea|forgejo)\./, path: "/commit/" },
];

/**
 * List the commits of launches.
 *
 * @param {readonly Run[]} launches with their rollups, the newest first
 * @returns {Commit[]} the newest launch first; within a launch in the order of its rollup
 */
export function commitsOf(launches) {
  return launches.flatMap((launch) =>
    (launch.rollup?.commits ?? []).map(({ commit_hash, run_id }) => ({
      hash: commit_hash,
      runId: run_id,
      run: launch.commit_hash === commit_hash && launch.run_id === run_id ? launch : null,
      launch,
    })),
  );
}

/**
 * List the commits of runs, whichever launches they are in.
 *
 * @param {readonly Run[]} runs the newest first
 * @returns {Commit[]}
 */
export function commitsOfRuns(runs) {
  return runs.flatMap((run) =>
    run.commit_hash ? [{ hash: run.commit_hash, runId: run.run_id, run, launch: run.parent_run_id ? null : run }] : [],
  );
}

/**
 * Return what a commit is about.
 *
 * @param {Run} run
 * @returns {string} Empty if the run does not say.
 */
export function commitMessage({ output_summary, input_summary, item_name }) {
  return output_summary || input_summary || item_name || "";
}

/**
 * Return where a commit can be looked at.
 *
 * @param {string | null} repository as a run names it
 * @param {string} hash
 * @returns {string | null} An address of the web; null unless the host is known to have such pages.
 */
export function commitAddress(repository, hash) {
  const address = parse(repository ?? "");
  if (!address || !/^[0-9a-f]{7,40}$/i.test(hash)) return null;
  const kind = PATHS.find(({ host }) => host.test(address.hostname));
  const path = address.pathname.replace(/\/+$/, "").replace(/\.git$/, "");
  return kind && path ? `${address.origin}${path}${kind.path}${hash}` : null;
}

/**
 * Return the name of a repository for a person: `fernwood/docs`.
 *
 * @param {string} repository
 * @returns {string}
 */
export function repositoryName(repository) {
  if (repository.length > MAX_ADDRESS) return repository;
  const path = parse(repository)?.pathname ?? repository.replace(/^[^/@]*@[^:/]*:/, "");
  return path.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "") || repository;
}

/**
 * @param {string} text
 * @returns {URL | null} Only an address of the web.
 */
function parse(text) {
  const address = text.length <= MAX_ADDRESS && URL.canParse(text) ? new URL(text) : null;
  return address && ["http:", "https:"].includes(address.protocol) ? address : null;
}
