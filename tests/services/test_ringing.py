"""Ringing from the event loop: one ring is sent while one is outstanding; without its connection the thread rings."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.adapters.doorbell import Doorbell
from app.bootstrap import background
from app.domain.commands import StreamKey
from app.services.accepting.ringing import Ringing
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
    settings = Settings(data_dir=folder, DATABASE_URL="", REDIS_URL=valkey.url, BROKER_URL="", key_prefix=prefix)
    bell = background.doorbell(settings, background.celery(settings, producer=True))
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
