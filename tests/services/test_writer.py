"""What one commit of the coalescing writer takes: so many requests of a stream, so many bytes, in turn."""

import asyncio
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.commands import StreamKey
from app.services.accepting.writer import MAX_FLUSH_BYTES, MAX_GROUP, InboxWriter
from app.store.engine import Database
from app.store.inbox.log import Entry

MEGABYTE = 1024 * 1024
Sizes = list[tuple[int, int]]


def flushes(tmp: Path, sizes: Sizes) -> list[list[tuple[StreamKey, list[int]]]]:
    """The commits that (workspace, bytes) in the order of their arrival become: numbers of the requests by stream."""

    async def take() -> list[list[tuple[StreamKey, list[int]]]]:
        writer = InboxWriter(Database(f"sqlite:///{tmp}/x.db"), lambda: 0, 1.0, lambda _stream: None)
        loop = asyncio.get_running_loop()
        for number, (workspace, size) in enumerate(sizes):
            waiter = (Entry(number, 1, bytes(size)), loop.create_future())
            writer._pending.setdefault(StreamKey(workspace, 0), []).append(waiter)
        taken = []
        while writer._pending:
            taken.append([(key, [entry.kind for entry, _ in waiters]) for key, waiters in writer._take()])
        await writer.aclose()
        return taken

    return asyncio.run(take())


def test_large_bodies_of_one_stream_do_not_hold_up_the_others(tmp_path: Path) -> None:
    sizes = [(7, 4 * MEGABYTE)] * 20 + [(3, 10), (9, 10)]
    first, second, *more = flushes(tmp_path, sizes)
    assert first == [((7, 0), [0, 1, 2, 3])]
    assert second == [((3, 0), [20]), ((7, 0), [4, 5, 6, 7]), ((9, 0), [21])]
    assert len(more) == 3


def test_small_requests_share_one_commit(tmp_path: Path) -> None:
    (only,) = flushes(tmp_path, [(workspace, 1_000) for workspace in (5, 1, 3)] * 80)
    assert [key.workspace_id for key, _ in only] == [1, 3, 5]
    first, second = flushes(tmp_path, [(1, 10)] * (MAX_GROUP + 1))
    assert (len(first[0][1]), len(second[0][1])) == (MAX_GROUP, 1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0, 10, MEGABYTE, 4 * MEGABYTE])), max_size=60))
def test_every_request_once_in_the_order_of_its_stream(sizes: Sizes) -> None:
    seen: dict[int, list[int]] = {}
    for flush in flushes(Path(), sizes):
        assert [key for key, _ in flush] == sorted(key for key, _ in flush)
        assert sum(sizes[number][1] for _, numbers in flush for number in numbers) < MAX_FLUSH_BYTES + 4 * MEGABYTE
        for key, numbers in flush:
            seen.setdefault(key.workspace_id, []).extend(numbers)
    assert Counter(number for numbers in seen.values() for number in numbers) == Counter(range(len(sizes)))
    assert all(numbers == sorted(numbers) for numbers in seen.values())
