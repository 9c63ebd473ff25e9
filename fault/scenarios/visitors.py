"""Faults beside visitors: what ten thousand devices send at once counts once, on the right profile."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text

from app.contract import kinds
from app.contract.plans import EXPORT_IDS
from fault import judge
from fault.browser import Browser
from fault.clients import PATIENCE_SECONDS, LoadPlan
from fault.delivery import Couriers, connected, visits
from fault.devices import FAMILY, Device, family
from fault.rounds import Round, Scenario
from fault.seen import seen
from fault.stack import POSTGRESQL, SQLITE, Layout, Workspace
from fault.tracker import Tracker
from fault.visitors import Visitors
from tests.polling import until

VISITORS, FEW = 10_000, 480
#: Requests of a device.
REQUESTS: Final = (1, 5)
#: Of the long form and of the short one.
BLOWS, FEW_BLOWS = 10, 2
#: Before a blow, in seconds. On a fast machine few visitors are gone after one second.
PAUSES, PAUSES_OF_FEW = (0.2, 4.0), (0.0, 0.2)
VISIT_SECONDS: Final = 900.0
DONE_SECONDS: Final = 600.0
FOUNDED: Final = 50
_ROWS: Final = text("select stream, seq from inbox where workspace_id = :workspace_id and kind in (:sdk, :calls)")


@dataclass(slots=True)
class Crowd:
    """All devices of a round, sending from a thread of their own."""

    devices: Sequence[Device]
    ports: Sequence[int]
    seed: int
    books: Visitors
    couriers: Couriers | None = None

    def start(self, pool: Executor) -> Future[None]:
        visiting = pool.submit(asyncio.run, self._visits())
        until(
            lambda: visiting.done() or (self.couriers and self.couriers.places),
            PATIENCE_SECONDS,  # ten thousand begin at once
            message="nobody is served",
        )
        return visiting

    def accepted(self) -> int:
        return len(self._sent().places)

    def failures(self) -> int:
        """Answers that were none, and those of an outage."""
        return self._sent().statuses[0] + self._sent().statuses[503]

    def _sent(self) -> Couriers:
        assert self.couriers is not None
        return self.couriers

    async def _visits(self) -> None:
        async with connected(self.ports) as connections:
            self.couriers = Couriers(connections, self.seed)
            self.couriers.deadline = time.monotonic() + VISIT_SECONDS
            await visits(self.couriers, self.devices, lambda device: device.rng.randint(*REQUESTS))


def hit_visitors(now: Round) -> None:
    """42: SIGKILL for what applies, for the API, Valkey and PostgreSQL, one after another, while everybody visits."""
    site, books = now.stack.workspace("legacy", None), Visitors()
    web, calls = (now.call(site, "POST", "/v1/apps", {"name": name, "platform": "web"}) for name in ("Shop", "Blog"))
    count = FEW if now.short else VISITORS
    devices: list[Device] = []
    for n in range(count):
        if n % 3:
            devices.append(Browser(n, web["app_id"], web["sdk_key"], books, now.seed))
        else:
            devices.append(Tracker(n, calls["app_id"], calls["sdk_key"], books, now.seed))
    _found(now, site, books, count)
    crowd = Crowd(devices, now.stack.ports, now.seed, books)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        visiting = crowd.start(pool)
        _blows(now, site, crowd, visiting)
        visiting.result()
    now.notes["visits s"] = time.monotonic() - began
    _judge(now, site, crowd)


def _blows(now: Round, site: Workspace, crowd: Crowd, visiting: Future[None]) -> None:
    blows = _POSTGRESQL if now.stack.postgres is not None else _SQLITE
    if now.short:  # an API takes some seconds to start again
        blows = tuple(blow for blow in blows if blow is not _kill_api)
    order: list[Blow] = []
    for _ in range(FEW_BLOWS if now.short else BLOWS):
        order = order or now.rng.sample(blows, len(blows))
        now.pause(*(PAUSES_OF_FEW if now.short else PAUSES))
        if visiting.done():
            return
        order.pop()(now, site, crowd)


def _found(now: Round, site: Workspace, books: Visitors, count: int) -> None:
    """Every other family is known before: the API made its profile."""
    families = [family(n) for n in range(0, count, 2 * FAMILY)]
    for first in range(0, len(families), FOUNDED):
        chosen = families[first : first + FOUNDED]
        objects = [{"external_id": user, "founded": "yes"} for user in chosen]
        now.call(site, "POST", "/users/track", {"attributes": objects})
        for user in chosen:
            books.person(user).last["founded"] = "yes"
    until(lambda: now.stack.behind(site.id) == 0, PATIENCE_SECONDS, message="the families are not applied")


# -- blows -------------------------------------------------------------------------------------------------------------


def _kill_worker(now: Round, site: Workspace, _crowd: Crowd) -> None:
    with suppress(AssertionError):  # all may be applied at the moment
        until(lambda: now.stack.attempts(site.id) > 0, 5.0, 0.002)
        now.hit(now.kill_forked(jobs=False))


def _kill_api(now: Round, _site: Workspace, crowd: Crowd) -> None:
    """On SQLite that is everything."""
    api, before = now.rng.choice(now.stack.apis), crowd.failures()
    api.kill9()
    now.stack.start_one(api)
    now.stack.wait_until_ready()
    now.hit(crowd.failures() > before)


def _kill_valkey(now: Round, _site: Workspace, crowd: Crowd) -> None:
    server = now.stack.valkey
    assert server is not None
    before = crowd.accepted()
    server.kill9()
    now.pause(0.3, 1.0)
    now.hit(crowd.accepted() > before)
    server.start()


def _kill_postgresql(now: Round, _site: Workspace, crowd: Crowd) -> None:
    server, before = now.stack.postgres, crowd.failures()
    assert server is not None
    server.kill9()
    now.pause(0.3, 0.8)
    server.start()
    now.hit(crowd.failures() > before)


Blow = Callable[[Round, Workspace, Crowd], None]
_POSTGRESQL: Final[tuple[Blow, ...]] = (_kill_worker, _kill_api, _kill_valkey, _kill_postgresql)
_SQLITE: Final[tuple[Blow, ...]] = (_kill_worker, _kill_api)


# -- the verdict -------------------------------------------------------------------------------------------------------


def _judge(now: Round, site: Workspace, crowd: Crowd) -> None:
    """Every batch and call counts once: by the reference, and by the books."""
    couriers = crowd.couriers
    assert couriers is not None
    now.findings += couriers.findings[:5]
    now.notes["thousand batches"] = len(couriers.places) / 1000
    now.notes["twice"], now.notes["cut"] = couriers.twice, couriers.cut
    until(lambda: now.stack.behind(site.id) == 0, DONE_SECONDS, 0.1, "the visits are not applied")
    # Whoever has no name is asked for one by one, and 250 a minute are thousands for half an hour.
    now.call(site, "PUT", "/v1/limits", {"groups": {EXPORT_IDS: {"requests": VISITORS, "window_seconds": 1}}})
    now.findings += judge.dead(now.stack.database, site, ())
    now.findings += _inbox(now, site, couriers)
    now.findings += asyncio.run(seen(now.stack, site, crowd.books))
    now.findings += judge.reference(now.stack.database, site)


def _inbox(now: Round, site: Workspace, couriers: Couriers) -> list[str]:
    """Each 2xx has a place of its own in the inbox. What else is there was sent and its answer lost."""
    wanted = {"workspace_id": site.id, "sdk": kinds.SDK, "calls": kinds.TRACKING}
    with now.stack.database.read(now.stack.database.inbox) as connection:
        rows = {(row.stream, row.seq) for row in connection.execute(_ROWS, wanted)}
    places = {_place(request_id) for request_id in couriers.places}
    found = [] if len(places) == len(couriers.places) else ["inbox: two visits were given one place"]
    if missing := places - rows:
        found.append(f"inbox: {len(missing)} accepted visits are not there, for instance {min(missing)}")
    if len(rows - places) > couriers.doubtful:
        found.append(f"inbox: {len(rows - places)} visits without a 2xx, {couriers.doubtful} were sent")
    return found


def _place(request_id: str) -> tuple[int, int]:
    """As Call.place."""
    value = UUID(request_id).int
    return (value >> 64) & 0xFFF, value >> 80


SCENARIOS: Final = (
    Scenario(
        42,
        "10,000 visitors, 5 % of their batches twice and 1 % cut, while what serves them is killed",
        "batches got no answer or were applied when it was killed, or were taken while it was away",
        hit_visitors,
        layout=Layout(processes=2, settings={"ONEFOLD_SDK_BATCHES_PER_ADDRESS": "0"}),
        load=LoadPlan(clients=1, rate=10),
        stores=(POSTGRESQL, SQLITE),
        may_break=True,
        lag_seconds=20.0,
    ),
)
