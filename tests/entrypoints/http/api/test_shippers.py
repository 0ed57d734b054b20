"""The very bytes that log shippers send are taken with 200, the only success that they know."""

import pytest

from tests.http_streams import NDJSON
from tests.servers import Api
from tests.shippers import FLUENT_RECORDS, JSON, VECTOR_EVENTS, answer_to, fluent_bit_request, vector_request


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [NDJSON, JSON])
def test_what_vector_sends_is_taken(server: Api, kind: str, *, compressed: bool) -> None:
    """Also when it sends everything again; what is no field of a run is kept in ``extra``."""
    first, second = answer_to(server, vector_request(kind, compressed=compressed), times=2)
    assert (first.status, first.counts) == (200, (3, 3, 0, 0))
    assert (second.status, second.counts, second.body["conflicts"]) == (200, (3, 0, 3, 0), [])
    assert server.stored("v1")["extra"] == {
        name: VECTOR_EVENTS[1][name] for name in ("host", "source_type", "timestamp")
    }


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [NDJSON, JSON])
def test_what_fluent_bit_sends_is_taken(server: Api, kind: str, *, compressed: bool) -> None:
    """The same; its own time is in ``extra``."""
    first, second = answer_to(server, fluent_bit_request(kind, compressed=compressed), times=2)
    assert (first.status, first.counts) == (200, (3, 3, 0, 0))
    assert (second.status, second.counts, second.body["conflicts"]) == (200, (3, 0, 3, 0), [])
    assert server.stored("f2")["extra"] == {"date": FLUENT_RECORDS[2]["date"]}


def test_a_bad_record_does_not_hold_up_a_shipper(server: Api) -> None:
    """It would send the whole batch again and again on any other status than 200."""
    content = fluent_bit_request(NDJSON, compressed=False).replace(b'"event_id":"f1"', b'"event_id":111 ')
    assert len(content) == len(fluent_bit_request(NDJSON, compressed=False))
    (answer,) = answer_to(server, content)
    assert (answer.status, answer.counts) == (200, (3, 2, 0, 1))
    assert [(error["line"], error["field"]) for error in answer.body["errors"]] == [(2, "event_id")]
