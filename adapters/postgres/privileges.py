"""The privileges that a server's role needs in the database."""

from typing import Final

import psycopg

from core.errors import StoreError

NEEDED_PRIVILEGES: Final = (
    "it needs SELECT, INSERT and UPDATE on the tables runs, tallies and versions, the same and DELETE on jobs and "
    "job_findings, SELECT and UPDATE on retention, SELECT on runsink_schema, and USAGE on the sequence arrivals; "
    "to prune, also DELETE on runs and tallies; to keep refused runs, also SELECT, INSERT and DELETE on refusals and "
    "SELECT and UPDATE on refusal_marks"
)
"""The end of every message about a role that lacks one of them."""

_LACKING: Final = """
SELECT name || ' cannot be found'
FROM (VALUES ('runs'), ('tallies'), ('versions'), ('retention'), ('jobs'), ('job_findings'), ('arrivals'))
AS needed (name)
WHERE to_regclass(name) IS NULL
UNION ALL
SELECT privilege || ' on ' || name
FROM (VALUES ('runs'), ('tallies'), ('versions'), ('retention'), ('jobs'), ('job_findings')) AS needed (name)
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS wanted (privilege)
WHERE NOT has_table_privilege(to_regclass(name)::oid, privilege)
AND (privilege <> 'DELETE' OR name IN ('jobs', 'job_findings'))
AND (privilege <> 'INSERT' OR name <> 'retention')
UNION ALL
SELECT 'USAGE on arrivals' WHERE NOT has_sequence_privilege(to_regclass('arrivals')::oid, 'USAGE')
"""
"""For a missing object, every privilege is NULL."""


def check_privileges(connection: psycopg.Connection) -> None:
    """Raise ``StoreError`` if a table is missing or the connection's role may not write.

    The message says what is missing. ``psycopg.Error`` propagates.
    """
    lacking = [name for (name,) in connection.execute(_LACKING).fetchall()]
    if lacking:
        raise StoreError(f"the role may not write to the database ({', '.join(lacking)}); {NEEDED_PRIVILEGES}")
