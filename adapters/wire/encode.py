"""What the contract answers, as JSON bytes."""

from typing import Any

import msgspec

from core.batch import BatchResult, RefusedRun
from core.listing import Metadata
from core.run import JsonText, Run


def _embed(value: object) -> msgspec.Raw:
    """The text of a JSON object stands in the answer as that object."""
    if isinstance(value, JsonText):
        return msgspec.Raw(value.encode())
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_embed)


def encode(answer: object) -> bytes:
    """Any answer made of plain values and runs."""
    return _encoder.encode(answer)


def batch_answer(result: BatchResult) -> dict[str, Any]:
    """The answer to both batch uploads."""
    return {
        "runs": result.runs,
        "total": result.total,
        "created": result.created,
        "existing": result.existing,
        "failed": result.failed,
        "errors": [error for refused in result.refused for error in _errors(refused)],
        "conflicts": result.conflicts,
    }


def metadata_answer(metadata: Metadata, next_cursor: str | None) -> dict[str, Any]:
    """The answer to ``GET /api/v1/metadata``."""
    return {
        "agent_names": metadata.agent_names.names,
        "job_types": metadata.job_types.names,
        "counts": {"agent_names": metadata.agent_names.total, "job_types": metadata.job_types.total},
        "next_cursor": next_cursor,
    }


def run_as_dict(run: Run) -> dict[str, Any]:
    """A run as the wire has it: plain values, the JSON fields as objects."""
    return msgspec.json.decode(encode(run), type=dict[str, Any])


def _errors(refused: RefusedRun) -> list[dict[str, Any]]:
    return [
        {
            "index": refused.index,
            "event_id": refused.event_id,
            "run_id": refused.run_id,
            "field": fault.field,
            "error": str(fault),
            # What was refused for its content is refused again: only a changed run can be taken.
            "retryable": False,
        }
        for fault in refused.faults
    ]
