/**
 * What a page is. Each is a module `js/pages/NAME.js` that exports `page`, loaded when its address is first opened. The
 * page of launches is `js/pages/launches.js`, although its address has no name. `js/pages/runs.js` is an example.
 *
 * The state of a page is in the query string and nowhere else. `mount` builds the elements once. `update` reads the
 * state (`context.url.read`), says what to load (`context.live.watch`) and shows it. It is called right after `mount`,
 * after every change of the query (`context.url.write`, Back, a link to the same page) and after a change of the time
 * zone. What a person does calls `context.url.write`, never `update`.
 *
 * `context.live.watch` may be called with every `update`. Sources that were watched before, by address, show what is
 * known at once and without a request. So `update` asks only for what is new.
 *
 * A page is as high as its content. One that adds the class `fixed` to its root is as high as the window, and a list in
 * it scrolls by itself; at a phone's width the document scrolls in either case.
 *
 * @typedef {object} Mounted
 * @property {() => void} update
 * @property {() => void} [unmount] Undo what removing the elements does not: `VirtualList.destroy`, observers, timers.
 *     Shortcuts and what is watched end by themselves.
 *
 * @typedef {object} Page
 * @property {string} title For the window; `context.setTitle` may say more.
 * @property {(root: HTMLElement, context: Context) => Mounted} mount Fill the empty element.
 *
 * @typedef {object} Context What the shell gives to a page.
 * @property {import("./url_state.js").UrlState} url
 * @property {import("./api.js").Api} api For single requests, such as details on demand.
 * @property {import("./live.js").Live} live For what the page shows: kept up to date by itself.
 * @property {import("./preferences.js").Preferences} preferences `preferences.zone` is for `format.js`.
 * @property {(shortcuts: readonly import("./keyboard.js").Shortcut[]) => void} addShortcuts Until the page is left.
 * @property {(address: string) => void} open Go to a relative address such as `url_state.href("launch", {id})`.
 * @property {(title: string) => void} setTitle
 * @property {(message: string) => void} say Show a message for a moment, such as "Copied".
 * @property {(count: string) => void} showRefused Show how many uploads were rejected beside the page's name.
 */

/**
 * What a page reads of a run: the contract's field names. Of a summary (`fields=summary`) the long ones are missing.
 *
 * @typedef {object} Run
 * @property {string} event_id
 * @property {string} run_id
 * @property {string | null} parent_run_id
 * @property {string} agent_name
 * @property {string} job_type
 * @property {import("./status.js").Status} status
 * @property {string} start_time
 * @property {string | null} end_time
 * @property {number | null} duration_ms
 * @property {string | null} item_name
 * @property {string | null} product
 * @property {string | null} git_repo
 * @property {string | null} git_branch
 * @property {string | null} commit_hash
 * @property {string | null} commit_source
 * @property {string | null} commit_author
 * @property {string | null} commit_timestamp
 * @property {string | null} error_summary
 * @property {string | null} [error_details]
 * @property {string | null} [input_summary]
 * @property {string | null} [output_summary]
 * @property {number | null} items_discovered
 * @property {number | null} items_succeeded
 * @property {number | null} items_failed
 * @property {number | null} items_skipped
 * @property {Record<string, unknown> | null} [metrics_json] In a summary only the metrics of tokens and cost.
 * @property {Record<string, unknown> | null} [context_json]
 * @property {Record<string, unknown> | null} [extra]
 * @property {Rollup | null} [rollup] With `rollup=true`.
 *
 * @typedef {object} Rollup
 * @property {number} runs
 * @property {Partial<Record<import("./status.js").Status, number>>} status
 * @property {Record<string, number>} metrics
 * @property {{error_summary: string, status: import("./status.js").Status, run_id: string, runs: number}[]} causes
 * @property {{commit_hash: string, run_id: string}[]} commits
 *
 * @typedef {object} RunPage
 * @property {Run[]} runs
 * @property {number | null} total
 * @property {string | null} next_cursor
 */

export {};
