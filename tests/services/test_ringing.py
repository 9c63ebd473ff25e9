"""Ringing from the event loop: one ring is sent while one is outstanding, a stream that was asked for rests, and
without its connection the thread rings."""

import asyncio
import os
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.adapters.doorbell import Doorbell
from app.bootstrap import background
from app.domain.commands import StreamKey
from app.services.accepting.ringing import MAX_KNOWN, REST_SECONDS, Ringing
from app.settings import Settings
from tests import servers
from tests.servers import ValkeyServer


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    """A server of our own, which may be stopped."""
    with servers.valkey() as found:
        yield found


@asynccontextmanager
async def ringing(valkey: ValkeyServer, folder: Path) -> AsyncIterator[tuple[Ringing, Doorbell]]:
    prefix = f"test-{uuid.uuid4().hex[:12]}:"
    told = Settings(data_dir=folder, DATABASE_URL="", REDIS_URL=valkey.url, BROKER_URL="", key_prefix=prefix)
    bell = background.doorbell(told, background.celery(told, producer=True))
    found = Ringing(bell, valkey.url)
    try:
        yield found, bell
    finally:
        await found.aclose()
        bell.close()


async def turns(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of us
            await asyncio.sleep(0.005)


def counted(bell: Doorbell) -> tuple[int, int, int]:
    return bell.rung, bell.suppressed, bell.failed


def test_one_ring_is_sent_while_one_is_outstanding(valkey: ValkeyServer, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with ringing(valkey, tmp_path) as (one, bell):
            one.ring(StreamKey(1, 0))  # by the thread: there is no connection yet
            await turns(lambda: counted(bell) == (1, 0, 0) and one._wire is not None)
            for stream in (StreamKey(1, 0), StreamKey(1, 1), StreamKey(2, 0), StreamKey(2, 0)):
                one.ring(stream)
            await turns(lambda: sum(counted(bell)) == 4)
            assert counted(bell) == (3, 1, 0)  # those that came while it asked were one question
            one.ring(StreamKey(1, 0))
            await turns(lambda: counted(bell) == (3, 2, 0))
            bell.clear(1)
            one.ring(StreamKey(1, 0))
            await turns(lambda: counted(bell) == (4, 2, 0))

    asyncio.run(scenario())


def test_no_ring_waits_for_a_connection_that_was_lost_or_hangs(valkey: ValkeyServer, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with ringing(valkey, tmp_path) as (one, bell):
            one.ring(StreamKey(1, 0))
            await turns(lambda: one._wire is not None and counted(bell) == (1, 0, 0))
            os.kill(valkey.pid, signal.SIGSTOP)
            try:
                one.ring(StreamKey(2, 0))
                await turns(lambda: bell.failed >= 1)  # the thread does not hear from it either
            finally:
                os.kill(valkey.pid, signal.SIGCONT)
            # What was not rung rings when somebody else has it rung, and the connection comes back by itself.
            bell.clear(3)
            rung = bell.rung
            one.ring(StreamKey(3, 0))
            await turns(lambda: bell.rung > rung)

            def connected() -> bool:
                if one._wire is not None and one._wire.usable:
                    return True
                one.ring(StreamKey(3, 0))
                return False

            await turns(connected)

    asyncio.run(scenario())


async def connected(one: Ringing, bell: Doorbell) -> None:
    one.ring(StreamKey(9, 0))
    await turns(lambda: one._wire is not None and counted(bell) == (1, 0, 0))


def test_a_stream_that_was_asked_for_a_moment_ago_rests(valkey: ValkeyServer, tmp_path: Path) -> None:
    """Many rings in that time are one question, at its end; a ring behind it, and another stream, wait for nothing."""

    async def scenario() -> None:
        async with ringing(valkey, tmp_path) as (one, bell):
            await connected(one, bell)
            asked = questions(one)
            one.ring(StreamKey(1, 0))
            assert asked == [[(1, 0)]]
            await turns(lambda: counted(bell) == (2, 0, 0))
            one._asked_at[StreamKey(1, 0)] = asyncio.get_running_loop().time() + 60  # it rests, on any machine
            one.ring(StreamKey(1, 0))
            one.ring(StreamKey(1, 0))
            assert len(asked) == 1
            one.ring(StreamKey(1, 1))  # and takes along what waits
            assert asked[1:] == [[(1, 0), (1, 1)]]
            one.ring(StreamKey(1, 0))
            await turns(lambda: not one._waiting and not one._asked and counted(bell) == (3, 2, 0))  # the thread rings
            assert asked[2:] == [[(1, 0)]]
            await asyncio.sleep(2 * REST_SECONDS)  # nothing happens in it: a pause of the client
            last = len(asked)
            one.ring(StreamKey(1, 0))
            assert asked[last:] == [[(1, 0)]]

    asyncio.run(scenario())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([0, 0, 0, 0.001, 0.004, 0.02])), max_size=40))
def test_behind_each_ring_its_stream_is_asked_for(valkey: ValkeyServer, rings: list[tuple[int, float]]) -> None:
    """Whatever rests: no later than the rest lasts, and not twice within it without another stream's question."""

    async def scenario(folder: Path) -> None:
        async with ringing(valkey, folder) as (one, bell):
            await connected(one, bell)
            asked = questions(one)
            for number, pause in rings:
                before = len(asked)
                stream = StreamKey(number, 0)
                one.ring(stream)
                assert stream in one._waiting or any(stream in question for question in asked[before:])
                if pause:
                    await asyncio.sleep(pause)
            await turns(lambda: not one._waiting and not one._asked)
            rung = {number for number, _ in rings}
            await turns(lambda: bell.rung == 1 + len(rung))
            assert counted(bell) == (1 + len(rung), sum(map(len, asked)) - len(rung), 0)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))


def test_what_rests_is_rung_by_the_thread_at_the_end(valkey: ValkeyServer, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with ringing(valkey, tmp_path) as (one, bell):
            await connected(one, bell)
            one._asked_at[StreamKey(1, 0)] = asyncio.get_running_loop().time() + 60
            one.ring(StreamKey(1, 0))
            assert one._waiting
            await one.aclose()
            assert not one._waiting
            await turns(lambda: counted(bell) == (2, 0, 0))

    asyncio.run(scenario())


def test_of_few_streams_it_is_known_when_they_were_asked_for(valkey: ValkeyServer, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with ringing(valkey, tmp_path) as (one, bell):
            await connected(one, bell)
            one._asked_at = {StreamKey(number, 0): 0.0 for number in range(MAX_KNOWN)}
            one.ring(StreamKey(1, 1))
            assert list(one._asked_at) == [StreamKey(1, 1)]

    asyncio.run(scenario())


def questions(one: Ringing) -> list[list[StreamKey]]:
    """The streams of each question, as they are asked."""
    found: list[list[StreamKey]] = []
    note = one._note

    def noting(asked: list[StreamKey]) -> None:
        found.append(asked)
        note(asked)

    one._note = noting  # type: ignore[method-assign]
    return found
