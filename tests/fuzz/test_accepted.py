"""Random requests of /users/track. What the first tier calls clean has no error in the exact walk; whatever is accepted
is stored in SQLite and in PostgreSQL, applied, and comes back from both alike, as the reducer alone would have it.

Hypothesis makes the requests, some hundred of which go into one transaction of each store. When the stores differ, the
requests that make them differ are searched for by halves.
"""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from sqlalchemy import text

from app.contract import kinds, track
from app.contract.checked import Checked
from app.contract.errors import RefusedError
from app.contract.track import CODEC_AS_SENT, CODEC_VALID_REST, ECOMMERCE, Limits
from app.domain.commands import Unreadable
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests.api.harness import Service, times_now
from tests.api.reference import check_reference, exact
from tests.fuzz.hostile import FAMILY, family
from tests.fuzz.size import SEED, cases

LEGACY: Final = Limits(None, 75)
#: Requests in one transaction, and requests of one run of Hypothesis, which gets slower with its length.
BATCH: Final = 250
RUN: Final = 6000
#: Of all requests of a workspace at once: by request it would be thousands of statements.
_PROBLEMS: Final = text("select seq, doc from problem where workspace_id = :workspace_id order by seq")
_DEAD: Final = text("select seq, reason from dead where workspace_id = :workspace_id")


def taken(body: bytes) -> Checked | None:
    """What is to be stored of a request; None when nothing is."""
    try:
        return track.check(body, LEGACY, ecommerce_events=True)
    except RefusedError as refused:
        if refused.status != 400:
            raise
        return None


def check_tiers(body: bytes) -> bool:
    """Whether the first tier is sure; then the second one has to see the same."""
    readers = track._ECOMMERCE_READERS
    try:
        clean = track._clean(body, LEGACY, readers=readers)
    except RefusedError:
        return False  # too many objects
    if clean is None:
        return False
    quick, exact_walk = track.check(body, LEGACY, ecommerce_events=True), track._walk(body, LEGACY, readers=readers)
    mark = ECOMMERCE if clean.recommended else 0
    assert (quick.codec, exact_walk.codec) == (CODEC_AS_SENT | mark, CODEC_VALID_REST | mark)
    assert quick.answer == exact_walk.answer
    assert known(quick) == known(exact_walk)
    return True


def known(accepted: Checked) -> list[str]:
    """Commands as they compare: repr tells 1 from 1.0 and true, and -0.0 from 0.0. What was accepted can be read."""
    commands = track.decode(accepted.codec, accepted.body)
    assert not any(isinstance(command, Unreadable) for command in commands)
    return [repr(command) for command in commands]


class Counts:
    def __init__(self) -> None:
        self.cases = self.clean = self.accepted = self.batches = self.occurrences = self.long = self.recommended = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in vars(self).items())


def test_accepted(on_sqlite: Service, on_postgres: Service) -> None:
    services, counts, wanted = (on_sqlite, on_postgres), Counts(), cases(600)
    print(f"seed {SEED}")
    batch: list[Checked] = []

    def one(body: bytes) -> None:
        counts.cases += 1
        counts.clean += check_tiers(body)
        accepted = taken(body)
        if accepted is not None:
            counts.accepted += 1
            counts.recommended += bool(accepted.codec & ECOMMERCE)
            counts.long += len(body) > 10_000
            assert len(known(accepted)) >= 1
            batch.append(accepted)

    for number in range(-(-wanted // RUN)):
        run(one, SEED + number, min(RUN, wanted) // FAMILY)
        while batch:
            counts.occurrences += compare(services, batch[:BATCH])
            del batch[:BATCH]
            counts.batches += 1
        print(counts, flush=True)
    assert counts.accepted > counts.cases // 4
    assert counts.clean > counts.cases // 40
    assert counts.occurrences > counts.cases // 20
    assert counts.long > counts.cases // 200
    assert counts.recommended > counts.cases // 200


def run(one: Callable[[bytes], None], number: int, count: int) -> None:
    """`count` families of requests of one seed. What fails is made smaller, and shown."""

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(family())
    def each(bodies: list[bytes]) -> None:
        for body in bodies:
            one(body)

    each()


def compare(services: tuple[Service, Service], batch: list[Checked]) -> int:
    """Number of occurrences that both stores have. Fails with as few requests as make the stores differ."""
    problem, occurrences = difference(services, batch)
    while problem is not None and len(batch) > 1:
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            smaller, _ = difference(services, half)
            if smaller is not None:
                batch, problem = half, smaller
                break
        else:
            break  # it takes requests of both halves
    assert problem is None, f"{problem}\n{[accepted.body for accepted in batch]}"
    return occurrences


def difference(services: tuple[Service, Service], batch: list[Checked]) -> tuple[str | None, int]:
    """What these requests do to the stores that they should not, and the number of occurrences."""
    now_us = times_now()
    try:
        first, second = (_everything(service, batch, now_us) for service in services)
    except Exception as error:  # noqa: BLE001 - whatever it is, the requests that bring it about are wanted
        return f"{type(error).__name__}: {error}", 0
    differing = (f"{name}: {value} != {second[name]}" for name, value in first.items() if value != second[name])
    return next(differing, None), len(first["occurrences"])


def _everything(service: Service, batch: list[Checked], now_us: int) -> dict[str, Any]:
    """What a store has after these requests, all of which it took in one transaction."""
    workspace = service.workspace("legacy")
    database = service.database
    entries = [Entry(kinds.TRACK, accepted.codec, accepted.body) for accepted in batch]
    with database.write(database.inbox) as connection:
        places = inbox.append(connection, workspace.id, 0, entries, now_us)
    while service.drain(workspace.id).behind:
        pass
    with database.read(database.inbox) as connection:
        log = inbox.read(connection, workspace.id, 0, 0, 0, len(batch))
    assert [(request.codec, request.body) for request in log] == [(entry.codec, entry.body) for entry in entries]
    check_reference(workspace)
    with database.read() as connection:
        assert connection.execute(_DEAD, {"workspace_id": workspace.id}).all() == []
        problems = [tuple(row) for row in connection.execute(_PROBLEMS, {"workspace_id": workspace.id})]
    return {
        "stored": exact(workspace.stored()),
        "occurrences": [exact([*occurrence]) for occurrence in workspace.occurrences()],
        "problems": problems,
        "accepted": [place.accepted_us for place in places],
    }
