"""Receiving a body: content type, size and time are bounded before anything is buffered (spec README.md 4)."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from fastapi import Request

from app.api.answers import Answer
from app.contract.body import has_more_values
from app.contract.errors import TIMEOUT, TOO_LARGE, UNSUPPORTED_ENCODING, UNSUPPORTED_MEDIA_TYPE, RefusedError
from app.services import budget
from app.services.accepting.gate import Place

JSON: Final = "application/json"
TEXT: Final = "text/plain"
#: Encodings that leave the body as it is, the second by the mistake of many clients, and names of gzip (D66).
PLAIN: Final = ("", "identity", "utf-8", "utf8")
GZIP: Final = ("gzip", "x-gzip")
#: Members that a body of gzip may have.
MAX_MEMBERS: Final = 1_000
BAD_ENCODING: Final = "The request body could not be decompressed."
TOO_MANY_VALUES: Final = "The request body has too many JSON values"
GONE: Final = "Client closed the connection"


#: Where a body, or the reason why there is none, lies that was needed before it is the endpoint's turn.
_HELD: Final = "onefold.body"
#: Where a body lies that was received whole.
RECEIVED: Final = "onefold.received"
#: Where the request's Place lies, which counts what is in memory.
PLACE: Final = "onefold.place"
#: Lies in the scope of a request that has arrived to its end: reading its body waits for nothing.
WHOLE: Final = "onefold.whole"


async def hold(request: Request, limit: int, seconds: float, *, types: Sequence[str] = (JSON,)) -> bytes | None:
    """The body, ahead of `receive`, which then gives it again. None when it cannot be had: then `receive` says why."""
    if _HELD not in request.scope:
        try:
            request.scope[_HELD] = await receive(request, limit, seconds, types=types)
        except RefusedError as refused:
            request.scope[_HELD] = refused
    held = request.scope[_HELD]
    return held if isinstance(held, bytes) else None


async def receive(
    request: Request,
    limit: int,
    seconds: float,
    *,
    too_large: int = 413,
    most_values: int | None = None,
    types: Sequence[str] = (JSON,),
) -> bytes:
    """The body, decompressed. Raises RefusedError 415, 408, 400, 503, or `too_large`. `limit` in bytes.

    Its time is the client's, and does not count as ours. `most_values`: JSON values that are enough for the endpoint.
    `types` of content that it takes.
    """
    held = request.scope.get(_HELD)
    try:
        if held is None:
            held = await _receive(request, limit, seconds, types)
        if isinstance(held, RefusedError) and held.status != 413:
            raise held
        if isinstance(held, RefusedError) or len(held) > limit:
            raise _TooLargeError
        if most_values is not None and has_more_values(held, most_values):
            raise _TooLargeError(TOO_MANY_VALUES)
        request.scope[RECEIVED] = found = bytes(held)
        return found
    except _TooLargeError as error:
        raise RefusedError(too_large, str(error)) from None


class _TooLargeError(Exception):
    """The body has more bytes, or more JSON values, than it may."""

    def __init__(self, message: str = TOO_LARGE) -> None:
        super().__init__(message)


async def _receive(request: Request, limit: int, seconds: float, types: Sequence[str]) -> bytes:
    headers = dict(reversed(request.scope["headers"]))  # the first of each name, as `request.headers` would have it
    if headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower() not in types:
        raise RefusedError(415, UNSUPPORTED_MEDIA_TYPE)
    encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if encoding not in PLAIN and encoding not in GZIP:
        raise RefusedError(415, UNSUPPORTED_ENCODING)
    length = headers.get(b"content-length", b"").decode("latin-1").strip()
    if length.isdigit() and int(length) > limit:
        raise _TooLargeError
    place: Place = request.scope[PLACE]
    reading = (_gzip if encoding in GZIP else _plain)(request, limit, place)
    if WHOLE in request.scope:  # nothing to wait for
        body = await reading
    else:
        body = await _within(seconds, reading)
    if has_more_values(body, place.most_values):
        raise _TooLargeError(TOO_MANY_VALUES)
    return body


async def _within(seconds: float, reading: Awaitable[bytes]) -> bytes:
    """The body, if it comes in time."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except TimeoutError:
        raise RefusedError(408, TIMEOUT, headers={"Connection": "close"}) from None
    finally:
        budget.extend(time.monotonic() - began)


async def _next(request: Request) -> tuple[bytes, bool]:
    """The next bytes of a body, and whether there are more. `request.stream()` gives the same, in twice the time."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise RefusedError(400, GONE)
    return message.get("body", b""), message.get("more_body", False)


async def _plain(request: Request, limit: int, place: Place) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        chunk, more = await _next(request)
        size += len(chunk)
        if size > limit:
            raise _TooLargeError
        if chunk:
            place.hold(len(chunk))
            chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _gzip(request: Request, limit: int, place: Place) -> bytes:
    """Counts what comes out, so that a small body cannot become a large one in memory. Takes several members (D66),
    and neither many of them nor a large body that comes to nothing: both are only work.
    """
    inflate = zlib.decompressobj(wbits=31)
    body = bytearray()
    members, sent, more = 1, 0, True
    try:
        while more:
            chunk, more = await _next(request)
            sent += len(chunk)
            if sent > limit:
                raise _TooLargeError
            while chunk:
                if inflate.eof:
                    inflate = zlib.decompressobj(wbits=31)
                    members += 1
                    if members > MAX_MEMBERS:
                        raise RefusedError(400, BAD_ENCODING)
                part = inflate.decompress(chunk, limit + 1 - len(body))
                if len(body) + len(part) > limit:
                    raise _TooLargeError
                place.hold(len(part))
                body += part
                chunk = inflate.unused_data
    except zlib.error:
        raise RefusedError(400, BAD_ENCODING) from None
    if not inflate.eof:
        raise RefusedError(400, BAD_ENCODING)
    return bytes(body)


async def chunks(request: Request, time_for: Callable[[int], float]) -> AsyncIterator[bytes]:
    """A body as it arrives, for whom writes it down; it is not held in memory.

    `time_for` says in how many seconds so many bytes have to be here. Raises RefusedError 408, or 400 where the client
    goes away.
    """
    began, size, more = time.monotonic(), 0, True
    while more:
        waited = time.monotonic()
        try:
            async with asyncio.timeout(began + time_for(size) - waited):
                chunk, more = await _next(request)
        except TimeoutError:
            raise RefusedError(408, TIMEOUT, headers={"Connection": "close"}) from None
        budget.extend(time.monotonic() - waited)
        size += len(chunk)
        if chunk:
            yield chunk


def media_type_of(request: Request) -> str:
    """The content type without its parameters, in small letters."""
    return str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()


def length_of(request: Request) -> int | None:
    """What the client says of the length of the body; None where it says nothing."""
    length = str(request.headers.get("content-length", "")).strip()
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None


async def unless_gone(request: Request, action: Awaitable[Answer]) -> Answer:
    """What the action answers. It is ended when the client goes away, for whom it reads, or would write, in vain.

    The body has to be received. Raises RefusedError.
    """
    answering = asyncio.ensure_future(action)
    leaving = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise RefusedError(400, GONE)
    finally:
        leaving.cancel()
        answering.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
