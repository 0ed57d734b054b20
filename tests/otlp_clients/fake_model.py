"""A model behind the API of OpenAI, on this machine: it calls the first tool that it is offered, then it answers."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

MODEL: Final = "gpt-4o"
"""A model with a known price."""
SILENT_MODEL: Final = "silent-model"
"""A model that never responds."""

CONTENT: Final = "canary"
"""A word of everything that the model says, and that the programs say to it; no log of a server may show it."""

INPUT_TOKENS, CACHED_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS = 1200, 1000, 34, 8


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Respond in the form of the endpoint."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request["model"] == SILENT_MODEL:
            self.close_connection = not self.connection.recv(1)
            return
        body = json.dumps({"model": request["model"], **_ENDPOINTS[self.path](request)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _completion(request: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion."""
    answered = request["messages"][-1]["role"] == "tool"
    if request.get("tools") and not answered:
        call = {"id": "call-1", "type": "function", "function": _call(request["tools"][0]["function"])}
        message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    else:
        message, reason = {"role": "assistant", "content": f"{CONTENT} answer"}, "stop"
    return {
        "id": "completion-1",
        "object": "chat.completion",
        "created": 0,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
        },
    }


def _response(request: dict[str, Any]) -> dict[str, Any]:
    """Return a response, which is what OpenAI calls its other form."""
    answered = request["input"][-1].get("type") == "function_call_output"
    if request["tools"] and not answered:
        item = {"type": "function_call", "call_id": "call-1", **_call(request["tools"][0])}
    else:
        text = {"type": "output_text", "text": f"{CONTENT} answer", "annotations": []}
        item = {"type": "message", "role": "assistant", "content": [text]}
    return {
        "id": "response-1",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "output": [{"id": "item-1", "status": "completed", **item}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": request["tools"],
        "instructions": request.get("instructions"),
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "output_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
        },
    }


def _call(function: dict[str, Any]) -> dict[str, str]:
    """Return the call of a function whose parameters are texts."""
    arguments = {name: f"{CONTENT} {name}" for name in function["parameters"]["required"]}
    return {"name": function["name"], "arguments": json.dumps(arguments)}


_ENDPOINTS: Final = {"/v1/chat/completions": _completion, "/v1/responses": _response}


@contextmanager
def running_model() -> Iterator[str]:
    """Run the model on a free port; yield the base URL of its API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
