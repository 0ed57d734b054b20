"""What a wrong query string is told: which parameter, what was sent, and what is right."""

import pytest

from core.model.statistics import FacetField
from tests.servers import Api

FILTER = (
    "event_id, status, job_type, agent_name, run_id, parent_run_id, product, start_time_from, start_time_to, roots, q"
)
STATUSES = "running, success, failure, partial, timeout, cancelled, failed, completed, succeeded"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("runs?status=failed,bad", f"status must be one or more, separated by commas, of {STATUSES}; not 'bad'"),
        ("runs?status=", f"status must be one or more, separated by commas, of {STATUSES}; not ''"),
        ("runs?x=1", f"x is not allowed here; allowed parameters: {FILTER}, limit, offset, cursor, fields, rollup"),
        ("export?rollup=true", f"rollup is not allowed here; allowed parameters: {FILTER}, format"),
        ("stats?limit=1", f"limit is not allowed here; allowed parameters: {FILTER}, bucket, metrics"),
        ("facets?metrics=a", f"metrics is not allowed here; allowed parameters: {FILTER}, fields"),
        ("jobs?status=failed", "status is not allowed here; allowed parameters: state, limit, cursor"),
        ("stats?bucket=day", "bucket must be an integer from 1 to 31622400, not 'day'"),
        ("stats?bucket=0", "bucket must be an integer from 1 to 31622400, not 0"),
        ("runs/a/tree?limit=all", "limit must be an integer from 1 to 20000, not 'all'"),
        ("runs?limit=all", "limit must be an integer from 1 to 1000, not 'all'"),
        ("runs?cursor=x", "cursor is not a next_cursor returned by this API; omit it for the first page"),
        ("runs?limit=1&limit=1", "limit is given more than once; give it once"),
        (
            "facets?fields=status,commit_hash",
            f"fields must be one or more, separated by commas, of {', '.join(FacetField)}; not 'commit_hash'",
        ),
    ],
)
def test_the_error_says_what_is_right(shared_server: Api, target: str, message: str) -> None:
    """It names the parameter and the value, and what would be accepted."""
    answer = shared_server.request("GET", f"/api/v1/{target}")
    assert (answer.status, [error["msg"] for error in answer.body["detail"]]) == (422, [message])
