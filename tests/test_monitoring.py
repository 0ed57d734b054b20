"""The pages, the dashboard and the alert rules for monitoring speak of the metrics that there are."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from core.model.job import JobState
from core.ports.observer import Intake
from entrypoints.http.pressure.worker_pool import Pools
from entrypoints.http.rejections import Reason
from tests.metrics import Scraped, scrape
from tests.servers import Api, MakeRun

DOCS = Path(__file__).parent.parent / "docs"
REFERENCE = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
HOW_TO = (DOCS / "how-to" / "monitor.md").read_text(encoding="utf-8")
DASHBOARD: Mapping[str, Any] = json.loads((DOCS / "monitoring" / "grafana.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((DOCS / "monitoring" / "rules.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]

FROM_PROMETHEUS = {"job", "instance"}
"""The labels that Prometheus adds."""


def dashboard_expressions() -> list[str]:
    """Return every query of the dashboard, with its variables as Grafana puts them in."""
    written = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return [text.replace("$__rate_interval", "5m").replace("$instance", ".*") for text in written]


EXPRESSIONS = [*dashboard_expressions(), *(rule["expr"] for rule in RULES)]


def parts(node: Any) -> Iterator[Any]:
    """Yield an expression and all that it is made of."""
    yield node
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield from parts(inner)
    for argument in getattr(node, "args", ()):
        yield from parts(argument)


def selectors(node: Any) -> list[Any]:
    """Return the selectors of an expression."""
    return [part for part in parts(node) if isinstance(part, promql.VectorSelector)]


@pytest.fixture(scope="module")
def scraped(shared_server: Api) -> Scraped:
    """Return the metrics of a server that has done a little of everything."""
    run = {"run_id": "r", "agent_name": "a", "job_type": "j", "start_time": "2026-01-31T12:00:00Z"}
    shared_server.lenient([{**run, "event_id": "monitored"}])
    return scrape(shared_server.url)


def table(heading: str) -> list[list[str]]:
    """Return the cells of the rows of the first table that begins with this heading."""
    (found,) = re.findall(rf"^\| {heading} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", REFERENCE, flags=re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found.splitlines()]


def test_the_table_has_every_metric_with_its_type_and_labels(scraped: Scraped) -> None:
    """Nothing is missing on either side."""
    shown = {}
    for name, kind in scraped.kinds.items():
        labels = set().union(*(scraped.labels.get(f"{name}{end}", set()) for end in ("", "_count")))
        shown[name] = (kind, labels)
    documented = {
        re.findall("`(.*?)`", name)[0]: (kind, set(re.findall("`(.*?)`", labels)))
        for name, kind, labels, *_ in table("metric")
    }
    assert documented == shown


def test_documented_values_of_labels_are_those_of_the_code(scraped: Scraped) -> None:
    """Reasons, states, endpoints, outcomes and pools are named completely."""
    assert {row[0].strip("`") for row in table("reason")} == set(Reason)
    meanings = {row[0].strip("`"): row[3] for row in table("metric")}
    for name, label, values in (
        ("runsink_runs_total", "endpoint", set(Intake)),
        ("runsink_batch_runs", "endpoint", {Intake.LENIENT, Intake.ATOMIC}),
        ("runsink_jobs", "state", set(JobState)),
        ("runsink_pool_waiting_calls", "pool", set(Pools.__annotations__)),
        ("runsink_runs_total", "outcome", {"created", "existing", "failed"}),
    ):
        (listed,) = re.findall(rf"`{label}`: ((?:`\w+` ?)+)", meanings[name])
        assert set(re.findall(r"`(\w+)`", listed)) == values
        sample = name if name in scraped.labels else f"{name}_count"
        assert scraped.values_of(sample, label) == values


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_every_expression_asks_for_what_there_is(scraped: Scraped, text: str) -> None:
    """Each metric, label and value of a label in it exists."""
    tree = promql.parse(text)
    found = selectors(tree)
    assert found
    known = set(FROM_PROMETHEUS)
    for selector in found:
        labels = scraped.labels.get(selector.name, set()) if selector.name != "up" else set()
        assert selector.name == "up" or selector.name in scraped.labels
        known |= labels
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels | FROM_PROMETHEUS
            if matcher.name not in FROM_PROMETHEUS | {"route"}:
                assert set(matcher.value.split("|")) <= scraped.values_of(selector.name, matcher.name)
    for part in parts(tree):
        modifier = getattr(part, "modifier", None)
        assert set(getattr(modifier, "labels", ())) <= known


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_counters_are_only_asked_for_their_growth_and_gauges_never(scraped: Scraped, text: str) -> None:
    """``rate`` and ``increase`` of a gauge, or a counter as it stands, would be a number that says nothing."""
    growing = {name for name, _ in scraped.growing()}
    tree = promql.parse(text)
    over_time = [
        part for part in parts(tree) if isinstance(part, promql.Call) and part.func.name in {"rate", "increase"}
    ]
    asked = [selector.name for call in over_time for selector in selectors(call)]
    assert set(asked) <= growing
    assert len([selector for selector in selectors(tree) if selector.name in growing]) == len(asked)


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source of its own, its panels have distinct ids and do not overlap, and it asks something."""
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    asking = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    sources = [part["datasource"]["uid"] for panel in asking for part in (panel, *panel["targets"])]
    assert {*sources, variables["instance"]["datasource"]["uid"]} == {"${datasource}"}
    assert "id" not in DASHBOARD
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))


def test_every_alert_says_how_bad_it_is_and_the_page_what_to_do() -> None:
    """The names are the same in the rules and on the page."""
    assert re.findall(r"^\| `(Runsink\w+)` \|", HOW_TO, flags=re.MULTILINE) == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert "$labels.instance" in rule["annotations"]["summary"]


def test_what_the_page_scrapes_is_there(shared_server: Api, make_run: MakeRun) -> None:
    """The example of the page returns what it says, and its YAML is YAML."""
    shared_server.create(make_run())
    (name,) = re.findall(r"grep (\w+)", HOW_TO)
    assert name in scrape(shared_server.url).labels
    for block in re.findall(r"^```yaml\n(.*?)^```", HOW_TO, flags=re.MULTILINE | re.DOTALL):
        assert yaml.safe_load(block)
