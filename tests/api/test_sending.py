"""A request keeps its place until its client has taken the answer, however many bytes it is of."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import Response
from starlette.responses import StreamingResponse
from starlette.types import Message

from app.api.answers import AT_ONCE_BYTES, Sending
from app.services.accepting.gate import Gate, GateLimits

LARGE = AT_ONCE_BYTES + 1


async def parts() -> AsyncIterator[bytes]:
    yield b"x" * LARGE
    yield b"y"


@pytest.mark.parametrize(
    ("response", "bodies"),
    [
        (Response(b""), [(0, False)]),
        (Response(b"x" * AT_ONCE_BYTES), [(AT_ONCE_BYTES, False)]),
        (Response(b"x" * LARGE), [(LARGE, True), (0, False)]),
        (StreamingResponse(parts()), [(LARGE, True), (1, True), (0, False)]),
    ],
    ids=["empty", "small", "large", "parts"],
)
def test_the_place_is_kept_until_the_last_message(response: Response, bodies: list[tuple[int, bool]]) -> None:
    """What a message waits for is that the client took those before it: so a large body is never the last one."""
    gate = Gate(GateLimits(4, 100, 1, 1))
    seen: list[tuple[int, bool]] = []

    async def send(message: Message) -> None:
        assert gate.inside == 1
        if message["type"] == "http.response.body":
            seen.append((len(message.get("body", b"")), message.get("more_body", False)))

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    asyncio.run(Sending(response, gate.enter())(scope, receive, send))
    assert (seen, gate.inside) == (bodies, 0)
