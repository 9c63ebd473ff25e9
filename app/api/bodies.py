"""Receiving a body: content type, size and time are bounded before anything is buffered (spec README.md 4)."""

import asyncio
import time
import zlib
from typing import Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.contract.errors import TIMEOUT, TOO_LARGE, UNSUPPORTED_ENCODING, UNSUPPORTED_MEDIA_TYPE, RefusedError
from app.services import budget

JSON: Final = "application/json"
#: Encodings that leave the body as it is, the second by the mistake of many clients, and names of gzip (D66).
PLAIN: Final = ("", "identity", "utf-8", "utf8")
GZIP: Final = ("gzip", "x-gzip")
BAD_ENCODING: Final = "The request body could not be decompressed."
GONE: Final = "Client closed the connection"


#: Where a body, or the reason why there is none, lies that was needed before it is the endpoint's turn.
_HELD: Final = "onefold.body"


async def hold(request: Request, limit: int, seconds: float) -> bytes | None:
    """The body, ahead of `receive`, which then gives it again. None when it cannot be had: then `receive` says why."""
    if _HELD not in request.scope:
        try:
            request.scope[_HELD] = await receive(request, limit, seconds)
        except RefusedError as refused:
            request.scope[_HELD] = refused
    held = request.scope[_HELD]
    return held if isinstance(held, bytes) else None


async def receive(request: Request, limit: int, seconds: float, *, too_large: int = 413) -> bytes:
    """The body, decompressed. Raises RefusedError 415, 408, 400, or `too_large`. `limit` in bytes.

    Its time is the client's, and does not count as ours.
    """
    held = request.scope.get(_HELD)
    try:
        if held is None:
            return await _receive(request, limit, seconds)
        if isinstance(held, RefusedError) and held.status != 413:
            raise held
        if isinstance(held, RefusedError) or len(held) > limit:
            raise _TooLargeError
        return bytes(held)
    except _TooLargeError:
        raise RefusedError(too_large, TOO_LARGE) from None


class _TooLargeError(Exception):
    """The body has more bytes than it may."""


async def _receive(request: Request, limit: int, seconds: float) -> bytes:
    headers = request.headers
    if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise RefusedError(415, UNSUPPORTED_MEDIA_TYPE)
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in PLAIN and encoding not in GZIP:
        raise RefusedError(415, UNSUPPORTED_ENCODING)
    length = headers.get("content-length", "").strip()
    if length.isdigit() and int(length) > limit:
        raise _TooLargeError
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            return await (_gzip(request, limit) if encoding in GZIP else _plain(request, limit))
    except TimeoutError:
        raise RefusedError(408, TIMEOUT, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise RefusedError(400, GONE) from None
    finally:
        budget.extend(time.monotonic() - began)


async def _plain(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _TooLargeError
        if chunk:
            chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _gzip(request: Request, limit: int) -> bytes:
    """Counts what comes out, so that a small body cannot become a large one in memory. Takes several members (D66)."""
    inflate = zlib.decompressobj(wbits=31)
    body = bytearray()
    try:
        async for chunk in request.stream():
            while chunk:
                if inflate.eof:
                    inflate = zlib.decompressobj(wbits=31)
                body += inflate.decompress(chunk, limit + 1 - len(body))
                if len(body) > limit:
                    raise _TooLargeError
                chunk = inflate.unused_data  # noqa: PLW2901 - what stands behind the end of a member
    except zlib.error:
        raise RefusedError(400, BAD_ENCODING) from None
    if not inflate.eof:
        raise RefusedError(400, BAD_ENCODING)
    return bytes(body)
