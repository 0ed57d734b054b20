/** The runs of commits, read when their rows come into sight: a rollup has only hashes and names. */

/** @typedef {import("../../lib/page.js").Run} Run */
/** @typedef {import("../../model/commits.js").Commit} Commit */

const MAX_REQUESTS = 4;
/** Of what was in sight for a moment only the last is read. */
const MAX_WAITING = 60;
const MAX_KNOWN = 5000;
/** Several runs may have the name; the newest ones are searched for the commit. */
const MAX_NAMESAKES = 20;

export class CommitLoader {
  #api;
  #loaded;
  /** @type {Map<string, Run | null>} By commit, the oldest first; `null` if the run is not found or being read. */
  #known = new Map();
  /** @type {Commit[]} */
  #waiting = [];
  #requests = 0;
  #stop = new AbortController();

  /**
   * @param {import("../../lib/api.js").Api} api
   * @param {() => void} loaded Called after each run.
   */
  constructor(api, loaded) {
    this.#api = api;
    this.#loaded = loaded;
  }

  /**
   * Return the run of a commit, or `null` and read it.
   *
   * @param {Commit} commit
   * @returns {Run | null}
   */
  get(commit) {
    if (commit.run) return commit.run;
    const known = this.#known.get(keyOf(commit));
    if (known !== undefined) return known;
    const key = keyOf(commit);
    if (!this.#waiting.some((one) => keyOf(one) === key)) this.#waiting.push(commit);
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    this.#next();
    return null;
  }

  /** Read nothing more. */
  stop() {
    this.#stop.abort();
    this.#waiting.length = 0;
  }

  #next() {
    if (this.#requests >= MAX_REQUESTS) return;
    const commit = this.#waiting.pop();
    if (commit) void this.#read(commit);
  }

  /** @param {Commit} commit */
  async #read(commit) {
    const key = keyOf(commit);
    this.#requests += 1;
    this.#known.set(key, null);
    try {
      this.#known.set(key, await this.#find(commit));
      this.#loaded();
    } catch {
      // Its row goes without; it is asked for again when the row is drawn the next time.
      this.#known.delete(key);
    } finally {
      this.#requests -= 1;
    }
    if (this.#stop.signal.aborted) return;
    this.#forgetOldest();
    this.#next();
  }

  /**
   * @param {Commit} commit
   * @returns {Promise<Run | null>}
   */
  async #find({ hash, runId }) {
    const parameters = { run_id: runId, limit: MAX_NAMESAKES, fields: "summary,input_summary,output_summary" };
    const { body } = await this.#api.get("runs", parameters, { signal: this.#stop.signal });
    return body.runs.find((/** @type {Run} */ run) => run.commit_hash === hash) ?? null;
  }

  #forgetOldest() {
    for (const key of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) return;
      this.#known.delete(key);
    }
  }
}

/** @param {Commit} commit */
function keyOf({ hash, runId }) {
  return `${hash} ${runId}`;
}
