"""The bindings of statements that all stores with SQL share."""


def with_placeholders(sql: str) -> bytes:
    """Return a statement as psycopg takes it, from one whose bindings stand as ``?``."""
    return sql.replace("?", "%s").encode()
