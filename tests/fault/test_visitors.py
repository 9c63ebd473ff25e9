"""The books of visitors against the reducer: simulated devices whose requests are applied in memory, some twice."""

import random
from collections import Counter
from typing import Any

import msgspec

from app.contract import exported, sdk
from app.contract.sdk_records import Sender
from app.contract.tracking import batch as tracking
from app.domain.apply import reduce
from app.domain.commands import Request
from app.domain.profile import NAME_EVENT, NAME_SESSION
from app.domain.state import State
from fault.browser import Browser
from fault.devices import Delivery, Device
from fault.tracker import Tracker
from fault.visitors import Visitors, shown
from tests.domain.builders import state_of

NOW_US = 1_764_000_000_000_000
SECRET = b"secret"
WEB, CALLS = Sender("web", "Shop", "web"), Sender("calls", "Blog", "web")


class Gateway:
    """Takes requests as the API and its inbox do, in memory."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._messages: set[bytes] = set()

    def take(self, delivery: Delivery) -> None:
        body = delivery.body()
        number = len(self.requests) + 1
        if delivery.path == "/v1/sdk/data":
            commands = sdk.decode(sdk.check(body, WEB, NOW_US).body)
        else:
            names = delivery.path.split("?")[0].split("/")
            kinds = {name[: len(names[-1])]: name for name in ("identify", "track", "page", "group", "alias")}
            kind = None if names[-1] in ("batch", "b") else kinds[names[-1]]
            checked = tracking.check(body, CALLS, NOW_US, SECRET, kind, 32_768)
            marks = b"".join(b"\t" if one in self._messages else b" " for one in checked.messages)
            self._messages.update(checked.messages)
            commands = tracking.decode(checked.body[: len(checked.body) - len(marks)] + marks)
        self.requests.append(Request(0, number, NOW_US, commands))


def visited(seed: int, devices: int = 24, requests: int = 6) -> tuple[Visitors, State]:
    books, gateway, rng = Visitors(), Gateway(), random.Random(f"{seed}/test")
    crowd: list[Device] = [
        Tracker(n, "calls", "key", books, seed) if n % 3 == 0 else Browser(n, "web", "key", books, seed)
        for n in range(devices)
    ]
    turns = [device for device in crowd for _ in range(requests)]
    rng.shuffle(turns)
    seen: list[Delivery] = []
    for device in turns:
        delivery = device.request()
        gateway.take(delivery)
        delivery.book()
        seen.append(delivery)
        if rng.random() < 0.3:
            again = rng.choice(seen)
            for part in again.parts or (again,):
                gateway.take(part)
    state = state_of()
    reduce(gateway.requests, state, 1, SECRET)
    return books, state


def user_of(state: State, pid: int) -> dict[str, Any]:
    view = exported.View(state.profiles[pid], None, NOW_US)
    user: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(exported.render(view, None)))
    return shown(user)


def test_the_books_say_what_the_reducer_makes() -> None:
    for seed in range(3):
        books, state = visited(seed)
        expected = sorted((books.expected(visitor) for visitor in books.everybody()), key=str)
        assert sorted((user_of(state, pid) for pid in state.profiles), key=str) == expected, f"seed {seed}"
        assert summed(state, NAME_EVENT) == books.events, f"seed {seed}"
        assert summed(state, NAME_SESSION) == {(app, ""): n for app, n in books.sessions.items()}, f"seed {seed}"


def summed(state: State, wanted: int) -> Counter[tuple[str, str]]:
    """{(app, name): count} of the series of a kind, by the day."""
    found = Counter[tuple[str, str]]()
    for (kind, name, app, _, _), (count, _) in state.changes.series.items():
        if kind == wanted and app:
            found[app, name] += count
    return found


def test_what_devices_do_is_of_every_kind() -> None:
    books, _ = visited(1, devices=60)
    everybody = books.everybody()
    assert any(len(visitor.devices) > 1 for visitor in everybody)
    assert any(not visitor.devices for visitor in everybody)
    assert any(visitor.external_id is None for visitor in everybody)
    assert any(visitor.aliases for visitor in everybody)
    assert any(books.tokens.values())
