"""Who is in the segments of webhooks, as far as it was told: a row for each webhook and member.

A watch is a webhook's, and begins with everybody who is inside already, of whom nothing is told (FILLING). Then events
of the webhook, which wait as `held` messages, are decided by who is inside now and who was: they become due, or go.
Where time alone lets people in or out, all profiles are looked at again, some at a time (SWEEPING). When the webhook is
disabled, deleted, or gets another segment, the members go first (EMPTYING). Whoever changes anything here holds
`webhook_events.lock`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text

from app.domain.segments.model import Definition
from app.domain.webhooks import SEGMENT_TOO_LARGE
from app.store import everything, webhook_events, webhooks
from app.store.bulk import EACH_POSTGRESQL, EACH_SQLITE, BulkWrite, encode
from app.store.segments import run
from app.store.tables import WebhookMember

EMPTYING: Final = 0
FILLING: Final = 1
WATCHING: Final = 2
SWEEPING: Final = 3
#: Profiles that are looked at in one transaction, and members that one deletes.
CHUNK: Final = 5_000

_ADD: Final = BulkWrite(WebhookMember)
_FIELDS: Final = "workspace_id, webhook_id, phase, definition, pid, swept_us, members"
_LISTED: Final = text(
    f"select {_FIELDS}, exists (select 1 from webhook_message m where m.workspace_id = w.workspace_id"
    " and m.webhook_id = w.webhook_id and m.state = 'held' /*here m.workspace_id*/) as waits from webhook_watch w"
    " where true /*here w.workspace_id*/"
    " order by workspace_id, webhook_id"
)
_KEY: Final = "workspace_id = :workspace_id and webhook_id = :webhook_id"
_ONE: Final = text(f"select {_FIELDS}, false as waits from webhook_watch where {_KEY}")
_SAVE: Final = text(
    "update webhook_watch set phase = :phase, definition = :definition, pid = :pid, swept_us = :swept_us,"
    f" members = :members where {_KEY}"
)
_FORGET: Final = text(f"delete from webhook_watch where {_KEY}")
_SIZE: Final = text("select coalesce(sum(members), 0) from webhook_watch where workspace_id = :workspace_id")
_OF: Final = "select pid from webhook_member where workspace_id = :workspace_id and webhook_id = :webhook_id"
_AMONG: Final = {
    is_postgresql: text(f"{_OF} and pid in (select cast(value as bigint) from {each})")
    for is_postgresql, each in ((True, EACH_POSTGRESQL), (False, EACH_SQLITE))
}
_BETWEEN: Final = text(f"{_OF} and pid > :after and pid <= :to")
_NEXT: Final = text(f"{_OF} and pid > :after order by pid limit :limit")
_HELD_PIDS: Final = text(f"select distinct pid from webhook_message where {_KEY} and state = 'held'")
_REMOVE: Final = {
    is_postgresql: text(
        f"delete from webhook_member where {_KEY} and pid in (select cast(value as bigint) from {each})"
    )
    for is_postgresql, each in ((True, EACH_POSTGRESQL), (False, EACH_SQLITE))
}
_MEMBERSHIPS: Final = text(
    "select webhook_id, pid from webhook_member where workspace_id = :workspace_id and pid in :pids"
).bindparams(bindparam("pids", expanding=True))
_ERASE: Final = text("delete from webhook_member where workspace_id = :workspace_id and pid in :pids").bindparams(
    bindparam("pids", expanding=True)
)
_LESS: Final = text(f"update webhook_watch set members = members - :number where {_KEY}")
#: No profile has a larger number.
_END: Final = 2**63 - 1


@dataclass(slots=True)
class Watch:
    """How far a webhook's segment is watched."""

    workspace_id: int
    webhook_id: str
    phase: int
    #: JSON text of what the segment said when everybody was looked at last, with the segments that it names.
    definition: str
    #: Profiles up to this number were looked at, or emptied, in this round.
    pid: int
    #: When the last round of looking at everybody began.
    swept_us: int
    #: How many are inside.
    members: int
    #: Whether events wait to be decided.
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Some profiles in the order of their numbers: who was inside, and who is."""

    before: set[int]
    now: set[int]


def listed(connection: Connection) -> list[Watch]:
    """All of them."""
    return [_watch(row) for row in connection.execute(_LISTED)]


def find(connection: Connection, workspace_id: int, webhook_id: str) -> Watch | None:
    """That of a webhook. Whether events wait is not looked at."""
    row = connection.execute(_ONE, {"workspace_id": workspace_id, "webhook_id": webhook_id}).one_or_none()
    return None if row is None else _watch(row)


def save(connection: Connection, watch: Watch) -> None:
    """Write down how far it is."""
    names = ("workspace_id", "webhook_id", "phase", "definition", "pid", "swept_us", "members")
    connection.execute(_SAVE, {name: getattr(watch, name) for name in names})


def forget(connection: Connection, watch: Watch) -> None:
    """Remove a watch that has no members any more."""
    connection.execute(_FORGET, _key(watch))


def size(connection: Connection, workspace_id: int) -> int:
    """Members of all watches of a workspace."""
    return int(connection.execute(_SIZE, {"workspace_id": workspace_id}).scalar_one())


def empty(connection: Connection, watch: Watch) -> bool:
    """Remove some members. True when none is left."""
    values = {**_key(watch), "after": watch.pid, "limit": CHUNK}
    pids = list(connection.execute(_NEXT, values).scalars())
    _remove(connection, watch, pids)
    watch.pid = pids[-1] if pids else watch.pid
    return len(pids) < CHUNK


def look(connection: Connection, watch: Watch, definition: Definition, now_us: int) -> Look:
    """Look at the next profiles of the round, and move its place on: to the end behind the last of them.

    Whoever has events that are not decided is left out: these come first. Raises TooBroadError.
    """
    pids = everything.page(connection, watch.workspace_id, watch.pid, CHUNK)
    now = run.matches(connection, watch.workspace_id, pids, definition, now_us)
    to = pids[-1] if len(pids) == CHUNK else _END
    before = set(connection.execute(_BETWEEN, {**_key(watch), "after": watch.pid, "to": to}).scalars())
    # Behind the evaluation, which may have seen what these events are about.
    undecided = webhook_events.waiting(connection, watch.workspace_id)
    undecided |= set(connection.execute(_HELD_PIDS, _key(watch)).scalars())
    watch.pid = to
    return Look(before - undecided, now - undecided)


def is_over(watch: Watch) -> bool:
    """Whether the round has seen everybody."""
    return watch.pid == _END


def among(connection: Connection, watch: Watch, pids: Collection[int]) -> set[int]:
    """Which of these profiles are members."""
    statement = _AMONG[connection.dialect.name == "postgresql"]
    return set(connection.execute(statement, {**_key(watch), "pids": encode(sorted(pids))}).scalars())


def change(connection: Connection, watch: Watch, entered: Collection[int], left: Collection[int], most: int) -> bool:
    """Write down who is inside now, and was not, and the other way round, and how far the watch is.

    True where the workspace has more than `most` members then: the webhook is switched off.
    """
    _ADD.run(connection, watch.workspace_id, [{"pid": pid, "webhook_id": watch.webhook_id} for pid in sorted(entered)])
    _remove(connection, watch, sorted(left))
    watch.members += len(entered)
    save(connection, watch)
    if not entered or size(connection, watch.workspace_id) <= most:
        return False
    webhooks.stop(connection, watch.workspace_id, watch.webhook_id, SEGMENT_TOO_LARGE)
    return True


def fill(connection: Connection, watch: Watch, definition: Definition, now_us: int, most: int) -> bool:
    """A step of the first round: whoever is inside already is a member, and nothing is told. As `change`."""
    if watch.pid == -1:
        watch.swept_us, watch.definition = now_us, encode(definition)
    seen = look(connection, watch, definition, now_us)
    if is_over(watch):
        watch.phase, watch.pid = WATCHING, -1
    return change(connection, watch, seen.now - seen.before, (), most)


def erase(connection: Connection, workspace_id: int, pids: Collection[int]) -> dict[int, list[str]]:
    """Forget deleted people. Returns in whose segments they were: ids of webhooks by number of the profile."""
    values = {"workspace_id": workspace_id, "pids": sorted(pids)}
    found: dict[int, list[str]] = {}
    number: dict[str, int] = {}
    for webhook_id, pid in connection.execute(_MEMBERSHIPS, values).all():
        found.setdefault(pid, []).append(webhook_id)
        number[webhook_id] = number.get(webhook_id, 0) + 1
    if found:
        connection.execute(_ERASE, values)
        less = [{"workspace_id": workspace_id, "webhook_id": one, "number": n} for one, n in sorted(number.items())]
        connection.execute(_LESS, less)
    return found


def _remove(connection: Connection, watch: Watch, pids: Sequence[int]) -> None:
    if pids:
        statement = _REMOVE[connection.dialect.name == "postgresql"]
        watch.members -= connection.execute(statement, {**_key(watch), "pids": encode(pids)}).rowcount


def _key(watch: Watch) -> dict[str, Any]:
    return {"workspace_id": watch.workspace_id, "webhook_id": watch.webhook_id}


def _watch(row: Any) -> Watch:
    return Watch(
        row.workspace_id,
        row.webhook_id,
        row.phase,
        row.definition,
        row.pid,
        row.swept_us,
        row.members,
        bool(row.waits),
    )
