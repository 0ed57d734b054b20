"""Limits on what is accepted."""

from typing import Final

import attrs

MAX_EVENT_ID_LENGTH: Final = 255
MAX_TEXT_CHARACTERS: Final = 2**19
MAX_JSON_CHARACTERS: Final = 2**20
MAX_COUNT: Final = 2**63 - 1
MAX_JSON_DEPTH: Final = 100
MAX_JSON_INTEGER_DIGITS: Final = 4300
"""CPython's default; see "Integer string conversion length limitation" in its documentation."""


@attrs.frozen
class Limits:
    """The limits in force. Errors name the limit exceeded, except for the batch size, whose text the contract sets.

    Bodies and runs are measured as sent, and bodies also after decompression. JSON values are counted in bodies over
    1 MiB; an empty object or list counts as two, to reflect the cost of decoding. A member is one gzip member or zstd
    frame. The decompressed bytes of a stream may exceed ``max_body_bytes`` by ``max_stream_expansion`` times the bytes
    sent, which runs with ids of their own never do. The characters of a JSON field are those of its stored form. A
    response is measured by the text of its runs; over HTTP this does not apply to pages of the list, which are sent in
    parts.

    A request of spans has limits of its own: ``max_traces_bytes`` and, in JSON, ``max_traces_values``, which valid
    spans do not come near. ``max_body_values`` then holds for each span of more than 1 MiB.

    ``max_search_runs`` and ``max_stats_runs`` are the runs examined for one page with a search, and for statistics or
    facets; ``max_search_seconds`` is for how long a search goes on before it ends the page early. ``max_tree_runs`` and
    ``max_rollup_runs`` are the runs of one tree, its root included.
    """

    max_batch_runs: int = 1000
    max_body_bytes: int = 16 * 1024 * 1024
    max_body_members: int = 10_000
    max_stream_expansion: int = 200
    max_traces_bytes: int = 20 * 1024 * 1024
    max_traces_values: int = 2_500_000
    max_body_values: int = 250_000
    max_run_bytes: int = 2 * 1024 * 1024
    max_page_runs: int = 1000
    max_response_bytes: int = 32 * 1024 * 1024
    max_metadata_names: int = 1000
    max_read_seconds: int = 10
    max_event_id_length: int = MAX_EVENT_ID_LENGTH
    max_text_characters: int = MAX_TEXT_CHARACTERS
    max_json_characters: int = MAX_JSON_CHARACTERS
    max_json_depth: int = MAX_JSON_DEPTH
    max_json_integer_digits: int = MAX_JSON_INTEGER_DIGITS
    max_search_runs: int = 200_000
    max_search_seconds: int = 2
    max_tree_runs: int = 20_000
    max_rollup_runs: int = 50_000
    max_stats_runs: int = 200_000
    max_stats_buckets: int = 500
    max_facet_values: int = 50
