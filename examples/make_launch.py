"""Write ``launch.json``: one launch of an imaginary pipeline that translates documentation unattended.

    python examples/make_launch.py > examples/launch.json

The output is the same on every machine and Python version: pseudo-random values are hashes of their names.
The launch has a tree of runs (launch, orchestrator nodes, workers, gates, model calls). Six of them are broken on
purpose, each in a different way; ``extra.broken_on_purpose`` says so.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar
from uuid import UUID

Run = dict[str, Any]
_T = TypeVar("_T")

LAUNCH_ID = "docs-20260131-0900"
LAUNCH_START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
LANES = 8
LOCALES = {"de": "Deutsch", "es": "español", "fr": "français", "ja": "日本語"}
GATES = ("placeholders", "glossary", "length", "links")
MODELS = {"translate": "lexia-large-2", "review": "lexia-judge-1", "plan": "lexia-small-2"}
BERLIN_WINTER = timezone(timedelta(hours=1))
BUDGET = "the limit of 0.40 USD is reached; the remaining pages wait for the next launch"
BOT = "Docs Bot <docs-bot@example.org>"


@dataclass(frozen=True)
class Page:
    """A page of the documentation."""

    slug: str
    title: str
    section: str
    product: str
    segments: int


PAGES = (
    Page("install", "Installation guide", "getting-started", "fernwood-pdf", 42),
    Page("first-steps", "First steps", "getting-started", "fernwood-pdf", 35),
    Page("sign-in", "Signing in", "getting-started", "fernwood-cloud", 28),
    Page("tables", "Working with tables", "developer-guide", "fernwood-pdf", 61),
    Page("charts", "Drawing charts", "developer-guide", "fernwood-slides", 57),
    Page("fonts", "Embedding fonts", "developer-guide", "fernwood-pdf", 33),
    Page("convert", "Converting documents", "developer-guide", "fernwood-slides", 74),
    Page("webhooks", "Receiving webhooks", "developer-guide", "fernwood-cloud", 39),
    Page("quotas", "Quotas and limits", "api-reference", "fernwood-cloud", 88),
    Page("errors", "Error codes", "api-reference", "fernwood-cloud", 112),
    Page("release-notes", "Release notes 26.1", "release-notes", "fernwood-pdf", 47),
    Page("glossary", "Glossary", "reference", "fernwood-pdf", 65),
    Page("faq", "Frequently asked questions", "reference", "fernwood-pdf", 51),
)


@dataclass(frozen=True)
class Span:
    """A time span, in milliseconds since the launch."""

    start: int
    end: int

    @classmethod
    def around(cls, runs: Iterable["Span"], margin: int) -> "Span":
        """Return the span of a parent that waits for all these."""
        spans = list(runs)
        return cls(min(span.start for span in spans) - margin, max(span.end for span in spans) + margin)


@dataclass(frozen=True)
class Outcome:
    """The fate of a worker: the status of each of its model calls and gates, and its own."""

    status: str = "success"
    calls: tuple[str, ...] = ("success",)
    gates: tuple[str, ...] = ("success",) * len(GATES)
    error: str | None = None
    details: str | None = None


SMOOTH = Outcome()
RETRIED = Outcome(calls=("failure", "success"))
UNUSUAL = {
    "sign-in.de": Outcome(
        "failure",
        calls=("success", "success"),
        gates=("success", "failure"),
        error="gate glossary failed after 2 attempts",
        details="term 'sign-in token' must stay 'Anmeldetoken', found 'Login-Zeichen' in segments 4, 9 and 17",
    ),
    "webhooks.es": Outcome(
        "failure",
        calls=("failure", "failure"),
        gates=(),
        error="the model refused twice",
        details="ModelOverloadedError: models.example.org answered 529\n  attempt 1: 529 after 2.1 s\n  attempt 2: 529",
    ),
    "quotas.ja": Outcome(
        "timeout",
        calls=("timeout", "timeout"),
        gates=(),
        error="no complete answer within 60 s, twice",
        details="DeadlineExceeded: the stream stalled before its first token\n  retried once with smaller chunks",
    ),
    "release-notes.ja": Outcome(
        "partial",
        gates=("success", "success", "partial", "success"),
        error="5 segments kept in English",
        details="segments 12, 13, 30, 31 and 40 exceed the length limit of their table cells",
    ),
    "errors.fr": Outcome(
        "partial",
        gates=("success", "partial", "success", "success"),
        error="5 segments need a human",
        details="terms without an entry in the glossary: 'backpressure', 'idempotency key'",
    ),
    "faq.es": Outcome("cancelled", (), (), "budget of locale es used up", BUDGET),
    "glossary.es": Outcome("cancelled", (), (), "budget of locale es used up", BUDGET),
    "charts.fr": RETRIED,
    "fonts.de": RETRIED,
    "tables.ja": RETRIED,
}

CALL_ERRORS = {
    "failure": ("the model is overloaded", "ModelOverloadedError: models.example.org answered 529, retry later"),
    "timeout": ("no complete answer within 60 s", "DeadlineExceeded: the stream stalled before its first token"),
}


def digest(*name: object) -> bytes:
    """Return 32 pseudo-random bytes that depend only on the name."""
    return hashlib.sha256("/".join(map(str, name)).encode()).digest()


def between(low: int, high: int, *name: object) -> int:
    """Return a pseudo-random integer from ``low`` to ``high``, inclusive."""
    return low + int.from_bytes(digest(*name)[:8]) % (high - low + 1)


def pick(options: Sequence[_T], *name: object) -> _T:
    """Return one of the options."""
    return options[between(0, len(options) - 1, *name)]


def timestamp(milliseconds: int, zone: timezone = UTC) -> str:
    """Return an instant of the launch, as a client in that time zone writes it."""
    instant = (LAUNCH_START + timedelta(milliseconds=milliseconds)).astimezone(zone)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def page_fields(page: Page) -> Run:
    """Return the fields of every run about a page."""
    return {"product": page.product, "website_section": page.section, "item_name": f"{page.section}/{page.slug}.md"}


def items(discovered: int, failed: int = 0, skipped: int = 0) -> Run:
    """Return the counts of a run; items that neither failed nor were skipped succeeded."""
    return {
        "items_discovered": discovered,
        "items_succeeded": discovered - failed - skipped,
        "items_failed": failed,
        "items_skipped": skipped,
    }


class Launch:
    """The runs of the launch, collected during the simulation."""

    def __init__(self) -> None:
        self._runs: list[tuple[int, Run]] = []

    def runs(self) -> list[Run]:
        """The runs in the order in which they were reported."""
        return [run for _, run in sorted(self._runs, key=lambda reported: reported[0])]

    def add(self, name: str, kind: tuple[str, str], parent: str | None, span: Span, **fields: Any) -> Span:
        """Report a run when it ends, so after its children; ``kind`` is its agent and job type."""
        zone = fields.pop("zone", UTC)
        fields["context_json"] = self._context(name, parent) | fields.get("context_json", {})
        run = self._identity(name, kind, parent) | {
            "start_time": timestamp(span.start, zone),
            "end_time": timestamp(span.end, zone),
            "duration_ms": span.end - span.start,
            "status": "success",
        }
        self._runs.append((span.end, run | self._place() | fields))
        return span

    def add_early(self, name: str, kind: tuple[str, str], parent: str | None, span: Span, **fields: Any) -> Span:
        """Report a run when it starts, so before its children, as the orchestrator does for its nodes."""
        self.add(name, kind, parent, span, **fields)
        _, run = self._runs.pop()
        self._runs.append((span.start, run))
        return span

    def totals(self) -> Run:
        """Return the tokens and cost of all model calls so far."""
        calls = [run["metrics_json"] for _, run in self._runs if run["job_type"] == "model_call"]
        return {
            "model_calls": len(calls),
            "total_tokens": sum(call["total_tokens"] for call in calls),
            "cost_usd": round(sum(call["cost_usd"] for call in calls), 6),
        }

    @staticmethod
    def _identity(name: str, kind: tuple[str, str], parent: str | None) -> Run:
        event_id = str(UUID(bytes=digest("event", name)[:16], version=4))
        names = {"event_id": event_id, "run_id": name, "agent_name": kind[0], "job_type": kind[1]}
        return names | ({"parent_run_id": parent} if parent else {})

    @staticmethod
    def _place() -> Run:
        return {
            "product_family": "fernwood",
            "platform": "docs-pipeline",
            "subdomain": "docs",
            "website": "docs.example.org",
            "git_repo": "https://git.example.org/fernwood/docs.git",
            "git_branch": "translations/2026-01-31",
        }

    @staticmethod
    def _context(name: str, parent: str | None) -> Run:
        context: Run = {"trace_id": digest("trace", LAUNCH_ID).hex()[:32], "span_id": digest("span", name).hex()[:16]}
        if parent:
            context["parent_span_id"] = digest("span", parent).hex()[:16]
        return context


@dataclass(frozen=True)
class Call:
    """A prompt to a model, the attempt number, and the outcome."""

    task: str
    segments: int
    attempt: int = 1
    status: str = "success"


def add_call(launch: Launch, parent: str, start: int, call: Call, **fields: Any) -> Span:
    """One model call."""
    name = f"{parent}.call-{call.attempt}"
    answered = call.status == "success"
    duration = {"success": between(1800, 9500, name, "ms"), "failure": between(900, 2600, name, "ms")}
    span = Span(start, start + duration.get(call.status, 60_000))
    metrics = call_metrics(name, call, span)
    error = {} if answered else dict(zip(("error_summary", "error_details"), CALL_ERRORS[call.status], strict=True))
    launch.add(
        name,
        (f"model-{call.task}", "model_call"),
        parent,
        span,
        status=call.status,
        metrics_json=metrics,
        context_json={"model": MODELS[call.task], "attempt": call.attempt, "temperature": 0.2},
        input_summary=f"{call.segments} segments, {metrics['prompt_tokens']} tokens",
        **error,
        **fields,
    )
    return span


def call_metrics(name: str, call: Call, span: Span) -> Run:
    """Return tokens, cost and latency; a call that failed or stalled has hardly any output."""
    answered = call.status == "success"
    total = span.end - span.start
    prompt = call.segments * 31 + between(180, 420, name, "prompt")
    completion = call.segments * 36 + between(20, 90, name, "completion") if answered else 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost_usd": round(prompt * 3e-6 + completion * 15e-6, 6),
        "latency_ms": {"first_token": between(180, 900, name, "first") if answered else None, "total": total},
    }


def add_gate(launch: Launch, parent: str, gate: str, start: int, status: str = "success", **fields: Any) -> Span:
    """One quality check."""
    name = f"{parent}.gate-{gate}"
    checked = between(12, 90, name, "checked")
    violations = 0 if status == "success" else between(3, 5, name, "violations")
    span = Span(start, start + between(40, 700, name, "ms"))
    error = {} if status == "success" else {"error_summary": f"{violations} of {checked} checks of {gate} failed"}
    # The link checker is an older tool that still uses the aliases of the statuses.
    word = {"success": "completed", "failure": "failed"}.get(status, status) if gate == "links" else status
    launch.add(
        name,
        (f"gate-{gate}", "gate"),
        parent,
        span,
        status=word,
        metrics_json={"violations": violations, "score": round(1 - violations / checked, 4), "threshold": 0.98},
        **items(checked, failed=violations),
        **error,
        **fields,
    )
    return span


def add_worker(launch: Launch, page: Page, locale: str, start: int, zone: timezone) -> Span:
    """Translate one page into one language: model calls, then gates."""
    name = f"{LAUNCH_ID}.{page.slug}.{locale}"
    outcome = UNUSUAL.get(f"{page.slug}.{locale}", SMOOTH)
    now = start + between(15, 60, name, "setup")
    for attempt, status in enumerate(outcome.calls, start=1):
        call = Call("translate", page.segments, attempt, status)
        now = add_call(launch, name, now, call, zone=zone, **page_fields(page)).end + 10
    for gate, status in zip(GATES, outcome.gates, strict=False):
        now = add_gate(launch, name, gate, now, status, zone=zone, **page_fields(page)).end + 5
    return launch.add(
        name,
        ("docs-translator", "translate_page"),
        f"{LAUNCH_ID}.dispatch",
        Span(start, now),
        **worker_result(name, page, locale, outcome),
        **page_fields(page),
        zone=zone,
    )


def worker_result(name: str, page: Page, locale: str, outcome: Outcome) -> Run:
    """Report the end of a worker."""
    remembered = between(0, page.segments // 4, name, "memory")
    counts = {
        "success": items(page.segments, skipped=remembered),
        "partial": items(page.segments, failed=5, skipped=remembered),
        "cancelled": items(page.segments, skipped=page.segments),
    }.get(outcome.status, items(page.segments, failed=page.segments - remembered, skipped=remembered))
    result = counts | {
        "status": outcome.status,
        "input_summary": f"{page.title}: {page.segments} segments, {remembered} of them known",
        "output_summary": f"{page.title} ({LOCALES[locale]}): {counts['items_succeeded']} new segments",
        "context_json": {"locale": locale, "host": pick(("w1.example.org", "w2.example.org"), name, "host")},
    }
    return result | ({"error_summary": outcome.error, "error_details": outcome.details} if outcome.error else {})


def play_plan(launch: Launch, start: int) -> int:
    """Find the changes and decide what to translate."""
    name = f"{LAUNCH_ID}.plan"
    scan = launch.add(
        f"{name}.scan",
        ("docs-scanner", "scan_repository"),
        name,
        Span(start + 30, start + 2_430),
        **items(214, skipped=214 - len(PAGES)),
        output_summary=f"{len(PAGES)} of 214 pages changed since 2026-01-24",
    )
    call = add_call(launch, name, scan.end + 20, Call("plan", len(PAGES)))
    gate = add_gate(launch, name, "budget", call.end + 10)
    span = Span(start, gate.end + 40)
    add_node(launch, "plan", span, items(len(PAGES)), output_summary=f"{len(PAGES)} pages, {len(LOCALES)} languages")
    return span.end


def play_dispatch(launch: Launch, start: int) -> int:
    """Let eight workers at a time translate every page into every language."""
    free = [start + 50 + 10 * lane for lane in range(LANES)]
    spans = []
    for page in PAGES:
        for locale in LOCALES:
            lane = free.index(min(free))
            # Half of the workers run elsewhere and write their local time.
            zone = BERLIN_WINTER if lane % 2 else UTC
            spans.append(add_worker(launch, page, locale, free[lane], zone))
            free[lane] = spans[-1].end + 25
    statuses = [UNUSUAL.get(f"{page.slug}.{locale}", SMOOTH).status for page in PAGES for locale in LOCALES]
    failed = statuses.count("failure") + statuses.count("timeout")
    counts = items(len(statuses), failed=failed, skipped=statuses.count("cancelled"))
    span = replace(Span.around(spans, 60), start=start)
    error = f"{failed} of {len(statuses)} translations failed, {statuses.count('cancelled')} were cancelled"
    add_node(launch, "dispatch", span, counts, status="partial", error_summary=error, metrics_json=launch.totals())
    return span.end


def play_review(launch: Launch, start: int) -> int:
    """Let a second model review samples of each language."""
    spans = [review_locale(launch, locale, start + 40 + 15 * number) for number, locale in enumerate(LOCALES)]
    span = replace(Span.around(spans, 50), start=start)
    add_node(launch, "review", span, items(len(LOCALES)))
    return span.end


def review_locale(launch: Launch, locale: str, start: int) -> Span:
    """One reviewer: three samples and a gate over their scores."""
    name = f"{LAUNCH_ID}.review.{locale}"
    now = start + 20
    for sample in (1, 2, 3):
        now = add_call(launch, name, now, Call("review", 12, sample)).end + 10
    gate = add_gate(launch, name, "quality", now)
    return launch.add(
        name,
        ("docs-reviewer", "review_locale"),
        f"{LAUNCH_ID}.review",
        Span(start, gate.end + 15),
        **items(36, failed=between(0, 2, name, "rejected")),
        output_summary=f"{LOCALES[locale]}: 36 segments sampled",
        metrics_json={"score": round(0.9 + between(0, 900, name, "score") / 1e4, 4)},
        context_json={"locale": locale},
    )


def play_publish(launch: Launch, start: int) -> int:
    """Build and commit each language, then the site map."""
    spans, now = [], start + 30
    for part in (*LOCALES, "sitemap"):
        spans.append(publish_part(launch, part, now))
        now = spans[-1].end + 20
    span = replace(Span.around(spans, 50), start=start)
    add_node(launch, "publish", span, items(len(spans)))
    return span.end


def publish_part(launch: Launch, part: str, start: int) -> Span:
    """One publisher: two gates and a commit."""
    name = f"{LAUNCH_ID}.publish.{part}"
    build = add_gate(launch, name, "build", start + 20)
    preview = add_gate(launch, name, "preview", build.end + 10)
    commit = Span(preview.end + 10, preview.end + 10 + between(400, 1500, name, "commit"))
    launch.add(
        f"{name}.commit",
        ("docs-publisher", "commit"),
        name,
        commit,
        output_summary=f"Commit the translations of 2026-01-31 ({part})",
        commit_hash=digest("commit", name).hex()[:40],
        commit_source="ci" if part == "sitemap" else "llm",
        commit_author=BOT,
        commit_timestamp=timestamp(commit.end - 120),
        # The contract does not name this field: it is returned under extra.
        pipeline_url=f"https://ci.example.org/fernwood/docs/{between(4000, 4999, name)}",
    )
    kind = ("docs-publisher", "publish_locale")
    return launch.add(name, kind, f"{LAUNCH_ID}.publish", Span(start, commit.end + 25), **items(3))


def add_node(launch: Launch, node: str, span: Span, counts: Run, **fields: Any) -> None:
    """One node of the orchestrator."""
    kind = ("docs-orchestrator", f"node_{node}")
    launch.add_early(f"{LAUNCH_ID}.{node}", kind, LAUNCH_ID, span, **counts, **fields)


def play() -> list[Run]:
    """All runs of the launch."""
    launch = Launch()
    end = play_publish(launch, play_review(launch, play_dispatch(launch, play_plan(launch, 120) + 30) + 30) + 30)
    launch.add_early(
        LAUNCH_ID,
        ("docs-launcher", "launch"),
        None,
        Span(0, end + 150),
        status="partial",
        **items(len(PAGES) * len(LOCALES), failed=3, skipped=2),
        input_summary="weekly translation of docs.example.org",
        output_summary="published in " + ", ".join(LOCALES.values()),
        error_summary="node dispatch ended partial",
        metrics_json=launch.totals(),
    )
    # It watches the published pages long after the launch: still running, and the only run of its kind.
    add_node(launch, "observe", Span(end + 60, end + 60), items(0), status="running", context_json={"detached": True})
    runs = launch.runs()
    for run in runs:
        if run["status"] == "running":
            del run["end_time"], run["duration_ms"]
    return runs


def without_agent(run: Run) -> Run:
    """Leave out a required field."""
    return {name: value for name, value in run.items() if name != "agent_name"}


def without_offset(run: Run) -> Run:
    """Leave out the UTC offset of a time."""
    return run | {"start_time": run["start_time"][:23]}


def with_text_duration(run: Run) -> Run:
    """Send a number as text."""
    return run | {"duration_ms": str(run["duration_ms"])}


def with_nul(run: Run) -> Run:
    """Add a NUL, as from a buffer cut one byte too late."""
    return run | {"output_summary": "all links answer\0"}


def with_unknown_status(run: Run) -> Run:
    """Invent a status."""
    return run | {"status": "exploded"}


def with_symbolic_commit(run: Run) -> Run:
    """Send the name of a commit instead of its hash."""
    return run | {"commit_hash": "HEAD"}


BREAKAGES = {
    "install.fr.gate-glossary": without_agent,
    "tables.es.call-1": without_offset,
    "convert.de.gate-placeholders": with_text_duration,
    "errors.ja.gate-links": with_nul,
    "review.es.gate-quality": with_unknown_status,
    "publish.sitemap.commit": with_symbolic_commit,
}
"""The broken runs, and how they break; none of them has children."""


def break_on_purpose(run: Run) -> Run:
    """Return the run as a faulty client would send it, if it is one of the chosen."""
    breakage = BREAKAGES.get(run["run_id"].removeprefix(f"{LAUNCH_ID}."))
    if breakage is None:
        return run
    return breakage(run) | {"extra": {"broken_on_purpose": breakage.__name__}}


def main() -> None:
    """Write the batch to standard output, one run per line."""
    lines = ",\n".join(json.dumps(break_on_purpose(run), ensure_ascii=False, separators=(",", ":")) for run in play())
    # Bytes: the output must not depend on the encoding of the terminal or the newlines of the platform.
    sys.stdout.buffer.write(f'{{"runs": [\n{lines}\n]}}\n'.encode())


if __name__ == "__main__":
    main()
