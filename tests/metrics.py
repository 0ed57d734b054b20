"""Scraping metrics, and reading what came."""

import urllib.request
from collections.abc import Mapping

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import DEADLINE_SECONDS

OPENMETRICS = "application/openmetrics-text"

Key = tuple[str, frozenset[tuple[str, str]]]


class Scraped:
    """The samples of one scrape."""

    def __init__(self, text: str, *, as_openmetrics: bool = False) -> None:
        parse = openmetrics.text_string_to_metric_families if as_openmetrics else text_string_to_metric_families
        families = list(parse(text))
        self.kinds: dict[str, str] = {}
        """The type of each metric by the name under which it is shown."""
        self.samples: dict[Key, float] = {}
        self.labels: dict[str, set[str]] = {}
        """The labels of each sample's name."""
        for family in families:
            shown = f"{family.name}_total" if family.type == "counter" else family.name
            self.kinds[shown] = family.type
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                assert key not in self.samples, f"{key} is there twice"
                self.samples[key] = sample.value
                self.labels.setdefault(sample.name, set()).update(sample.labels)

    def value(self, name: str, **labels: str) -> float:
        """Return one sample; fail if there is none."""
        return self.samples[name, frozenset(labels.items())]

    def values_of(self, name: str, label: str) -> set[str]:
        """Return the values of a label of a sample's name."""
        return {dict(labels)[label] for found, labels in self.samples if found == name and label in dict(labels)}

    def growing(self) -> Mapping[Key, float]:
        """Return the samples that may never fall."""
        growing = ("_total", "_bucket", "_count", "_sum")
        return {key: value for key, value in self.samples.items() if key[0].endswith(growing)}


def scrape(url: str, accept: str = "", **headers: str) -> Scraped:
    """Scrape a server; fail unless the status is 200."""
    target = url if url.endswith("/metrics") else f"{url}/metrics"
    request = urllib.request.Request(target, headers={"Accept": accept, **headers})  # noqa: S310 - http
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as response:  # noqa: S310 - http
        kind = response.headers["Content-Type"]
        assert kind.startswith(accept or "text/plain; version=0.0.4")
        return Scraped(response.read().decode(), as_openmetrics=kind.startswith(OPENMETRICS))
