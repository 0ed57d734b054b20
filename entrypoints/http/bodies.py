"""Request bodies: what may be sent, and how much of it."""

from http import HTTPStatus

from aiohttp import web


class UnacceptableBodyError(Exception):
    """A body that is not even looked into: wrong type, unknown encoding, too large."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


async def read_json_body(request: web.Request, max_bytes: int) -> bytes:
    """The bytes of a JSON body.

    A body without a type is taken for JSON.

    Raises:
        UnacceptableBodyError: 415 for a type that is not JSON or any encoding, 413 for too many bytes.
    """
    _check_type(request)
    _check_encoding(request)
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    chunks = bytearray()
    async for chunk in request.content.iter_any():
        chunks += chunk
        if len(chunks) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(chunks)


def _check_type(request: web.Request) -> None:
    content_type = request.content_type
    if "Content-Type" not in request.headers:
        return
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise UnacceptableBodyError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be application/json, not {content_type}"
        )


def _check_encoding(request: web.Request) -> None:
    encoding = ", ".join(request.headers.getall("Content-Encoding", ("identity",)))
    if encoding.lower() != "identity":
        raise UnacceptableBodyError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {encoding} is not supported; send the body as it is"
        )


def _too_large(max_bytes: int) -> UnacceptableBodyError:
    return UnacceptableBodyError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {max_bytes} bytes; send smaller batches"
    )
