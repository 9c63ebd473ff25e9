"""The reference: what the profiles must be, made from the inbox alone, in memory, one request after another.

Used to prove the stored profiles right: by tests, by benches, and by `onefold verify`.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import text

from app.adapters import rates
from app.domain import spam
from app.domain.apply import VERSION, reduce, reduce_part
from app.domain.history import Happening, Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.plan import MergeRecord
from app.domain.profile import BRAZE, OWN_NAMES, Address, AddressState, Profile
from app.domain.series import NO_HOUR, Key
from app.domain.state import State
from app.domain.times import DAY, EARLIEST
from app.store import lane, merges, names, series
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.partitions import OCCURRENCE_DAYS
from app.store.profiles import lineage
from app.store.profiles.catalogue import MAX_NAMES
from app.store.profiles.dump import dump, occurrences
from app.store.retained import LEAST_LINES, Keeping
from app.store.segments import values
from workers.ahead import decoded

_ALL: Final = Keeping()
#: Versions of the reducer: from the first on all is compared, from the second on any merge is undone.
_COMPARED_WHOLE: Final = 2
_ANY_UNDONE: Final = 3
_NOTHING: Final[Mapping[str, MergeRecord]] = MappingProxyType({})
#: Where the time of an occurrence stands in what is stored.
_TIME_US: Final = 6

_DEAD = text("select stream, seq, done from dead where workspace_id = :workspace_id")


def reference(database: Database, workspace_id: int, secret: bytes, state: State | None = None) -> State:
    """Replay the recorded order over the inbox, which must still hold every request. `state` is what was there before.

    Raises LookupError when requests have aged out.
    """
    state = state or State(complete=True)
    state.reference_rates = rates.usd
    with database.read() as connection:
        ranges = lane.ranges(connection, workspace_id)
        dead = {(row.stream, row.seq): row.done for row in connection.execute(_DEAD, {"workspace_id": workspace_id})}
        at_the_end = lane.read(connection, workspace_id)
    firsts = {stream: first for stream, first, *_ in reversed(ranges)}
    if any(first != 1 for first in firsts.values()):
        raise LookupError("the record of what was applied no longer goes back to the first request")
    for stream, first, last, version in ranges:
        state.undoes_last_only = version < _ANY_UNDONE
        at = first - 1
        while at < last:
            with database.read(database.inbox) as connection:  # not around reducing, which may take long
                batch = inbox.read(connection, workspace_id, stream, at, 0, min(500, last - at))
            if not batch:
                raise LookupError("the inbox no longer holds every applied request")
            for found in batch:
                done = dead.get((stream, found.seq))
                if done is None:
                    reduce([decoded(found)], state, workspace_id, secret)
                elif done:  # it was applied in parts, and died in one of them
                    reduce_part(decoded(found), done, state, workspace_id, secret)
            at = batch[-1].seq
    state.undoes_last_only = False
    if at_the_end is not None and at_the_end.begun is not None:
        stream, done = at_the_end.begun
        with database.read(database.inbox) as connection:
            batch = inbox.read(connection, workspace_id, stream, at_the_end.cursors[stream], 0, 1)
        for found in batch:
            reduce_part(decoded(found), done, state, workspace_id, secret)
    return state


def differences(
    database: Database,
    workspace_id: int,
    secret: bytes,
    most: int = 20,
    state: State | None = None,
    most_names: int = MAX_NAMES,
    most_series: int = series.MAX_SERIES,
    now_us: int | None = None,
    keeping: Keeping = _ALL,
) -> list[str]:
    """How the stored workspace differs from the reference; empty when they are equal. Names no value of a client.

    `now_us`: what has aged out by then is not looked at, of series and occurrences, nor missed, of records of merges
    and deletions, which are kept as long as `keeping` says. Nor is looked at what `not_compared` says.
    """
    expected = reference(database, workspace_id, secret, state)
    as_before = bool(not_compared(database, workspace_id))
    # Nobody waits for a comparison, and a large workspace takes long to decode.
    with database.snapshot() as connection:
        stored_occurrences = occurrences(connection, workspace_id)
        stored_counts = names.counts(connection, workspace_id)
        listed = names.listed(connection, workspace_id)
        stored_series = series.everything(connection, workspace_id)
        listed_series = series.listed(connection, workspace_id)
        stored_lineage = lineage.everything(connection, workspace_id)
        stored_merges, stored_history, stored_deletions = merges.everything(connection, workspace_id)
        applied = dump(connection, workspace_id)
        unlike = values.different(connection, workspace_id, most)
    problems = [f"profile {pid:x} is missing" for pid in sorted(expected.profiles.keys() - applied.profiles.keys())]
    problems += [
        f"profile {pid:x} should not exist" for pid in sorted(applied.profiles.keys() - expected.profiles.keys())
    ]
    blocked_since: set[int] = set()
    for pid in sorted(expected.profiles.keys() & applied.profiles.keys()):
        wanted, stored = expected.profiles[pid], applied.profiles[pid]
        if as_before:
            if spam.is_blocked(wanted) and not spam.is_blocked(stored):
                blocked_since.add(pid)
                continue
            wanted, stored = _without_activity(wanted), _without_activity(stored)
        problems += [
            f"profile {pid:x} differs in {item.name}"
            for item in fields(Profile)
            if _canonical(getattr(wanted, item.name)) != _canonical(getattr(stored, item.name))
        ]
    wanted_keys = {(key, profile.pid) for profile in expected.profiles.values() for key in identifiers_of(profile)}
    # The id that Onefold makes is in the profile alone, and in the index of a state.
    stored_keys = {(key, pid) for key, pids in applied.index.items() if key[0] != BRAZE for pid in pids}
    problems += [f"identifier of kind {key[0]} of profile {pid:x} is missing" for key, pid in wanted_keys - stored_keys]
    problems += [f"identifier of kind {key[0]} of profile {pid:x} is stale" for key, pid in stored_keys - wanted_keys]
    forgotten = _forgotten(expected, stored_merges, now_us, keeping)
    if stored_lineage != expected_lineage(expected, forgotten):
        problems.append("lineage differs")
    if _canonical(stored_merges) != _canonical(expected_merges(expected, stored_merges, forgotten)):
        problems.append("records of merges differ")
    if stored_history != expected_history(expected, stored_history, forgotten):
        problems.append("history differs")
    if stored_deletions != _expected_deletions(expected, stored_deletions, now_us, keeping):
        problems.append("deletions differ")
    if expected_consent(expected, applied) != applied.addresses:
        problems.append("consent of addresses differs")
    # A full catalogue may have had another bound when its last names came in.
    is_full = len(listed) >= most_names
    first_us = EARLIEST if now_us is None else (now_us // DAY - OCCURRENCE_DAYS) * DAY
    if as_before:
        stored_occurrences = [o for o in stored_occurrences if o[4] not in OWN_NAMES and o[3] not in blocked_since]
        stored_counts = {key: count for key, count in stored_counts.items() if key[0] not in OWN_NAMES}
    wanted_occurrences = [
        _canonical(_occurrence(o))
        for o in expected_occurrences(expected)
        if o.time_us >= first_us
        and (not is_full or (o.name_kind, o.name) in listed)
        and not (as_before and (o.name_kind in OWN_NAMES or o.pid in blocked_since))
    ]
    if wanted_occurrences != [_canonical(o) for o in stored_occurrences if o[_TIME_US] >= first_us]:
        problems.append("occurrences differ")
    wanted_counts = {
        key: count
        for key, count in expected.changes.written.items()
        if (not is_full or key[:2] in listed) and not (as_before and key[0] in OWN_NAMES)
    }
    if stored_counts != wanted_counts and not blocked_since:
        problems.append("counts of names differ")
    kept = (0, 0) if now_us is None else series.oldest(now_us)
    wanted_series = expected_series(expected, listed_series, most_series)
    if not as_before and _since(wanted_series, kept) != _since(stored_series, kept):
        problems.append("series differ")
    problems += [f"values for segments of profile {pid:x} differ" for pid in unlike]
    return problems[:most]


def not_compared(database: Database, workspace_id: int) -> str:
    """What cannot be compared, since some of the requests were applied by an earlier version, to which it was not
    known; "" for nothing."""
    with database.read() as connection:
        if min(lane.versions(connection, workspace_id), default=VERSION) >= _COMPARED_WHOLE:
            return ""
    return (
        "series, single sessions and active days, which batches of devices arrived, and profiles that would be blocked"
        " today"
    )


def _without_activity(profile: Profile) -> Profile:
    """A profile without what only this version knows of sessions and batches."""
    section: dict[str, Any] = profile.devices or {}
    kept = {name: value for name, value in section.items() if name != "active"}
    if "devices" in kept:
        kept["devices"] = {
            key: {name: value for name, value in device.items() if name not in ("session_at", "batches")}
            for key, device in kept["devices"].items()
        }
    return replace(profile, devices=kept, size=0)


def expected_occurrences(state: State) -> list[Any]:
    """Of everybody who is there: what belongs to nobody any more is invisible at once, and deleted some time later."""
    visible = (o for o in state.changes.occurrences if state.root(o.pid) in state.profiles)
    return sorted(visible, key=lambda o: (o.stream, o.seq, o.ordinal))


def expected_series(state: State, listed: set[Key], most: int) -> dict[tuple[Key, str, int], tuple[int, int]]:
    """Series as app.store.series has them. Which came in before there was no room is taken from `listed`."""
    sums: dict[tuple[Key, str, int], tuple[int, int]] = {}
    for (kind, name, app, day, hour), (count, amount) in state.changes.series.items():
        key = (kind, name, app)
        if key not in listed and app and len(listed) >= most // 2:
            key = (kind, name, "")
        if key not in listed and len(listed) >= most:
            continue
        for unit, at in (("day", day), ("hour", hour)):
            if at != NO_HOUR:
                before = sums.get((key, unit, at), (0, 0))
                sums[key, unit, at] = (before[0] + count, before[1] + amount)
    return sums


def _since(sums: dict[tuple[Key, str, int], tuple[int, int]], kept: tuple[int, int]) -> dict[Any, Any]:
    first = {"day": kept[0], "hour": kept[1]}
    return {place: found for place, found in sums.items() if place[2] >= first[place[1]]}


def _forgotten(
    state: State, stored: dict[str, MergeRecord], now_us: int | None, keeping: Keeping
) -> dict[str, MergeRecord]:
    """The records that are gone, of those that are old enough for it: see app.store.retained."""
    if now_us is None:
        return {}
    before_us = now_us - keeping.merge_days * DAY
    missing = ((merge_id, record) for merge_id, record in state.records.items() if merge_id not in stored)
    return {merge_id: record for merge_id, record in missing if record is not None and record.origin.us < before_us}


def _expected_deletions(
    state: State, stored: dict[str, Origin], now_us: int | None, keeping: Keeping
) -> dict[str, Origin]:
    """{erased id: where it was deleted}, without those that are gone and old enough for it."""
    before_us = EARLIEST if now_us is None else now_us - keeping.deletion_days * DAY
    return {
        erased_id: origin
        for erased_id, origin in state.changes.deleted
        if erased_id in stored or origin.us >= before_us
    }


def expected_lineage(state: State, forgotten: Mapping[str, MergeRecord] = _NOTHING) -> dict[int, tuple[int, int]]:
    """{member: (parent, root)} as app.store.profiles.lineage has it."""
    gone = {record.merged_pid for record in forgotten.values() if record.undone is None}
    return {
        member: (link.parent_pid, state.root(member)) for member, link in state.lineage.items() if member not in gone
    }


def expected_consent(expected: State, applied: State) -> dict[Address, AddressState]:
    """What is recorded of addresses, without what has aged out of the stored ones."""
    return {
        address: state
        for address, state in expected.addresses.items()
        if state is not None and (state.forget_us is None or address in applied.addresses)
    }


def expected_merges(
    state: State, stored: dict[str, MergeRecord], forgotten: Mapping[str, MergeRecord] = _NOTHING
) -> dict[str, MergeRecord]:
    """The records, without the values of those that have aged out of the stored ones."""
    expected = {}
    for merge_id, record in state.records.items():
        if record is None or merge_id in forgotten:
            continue
        if merge_id in stored and stored[merge_id].plan is None:
            record = replace(record, plan=None, snapshot=None)  # noqa: PLW2901 - the reference keeps its own
        expected[merge_id] = record
    return expected


def expected_history(
    state: State, stored: dict[int, list[Happening]], forgotten: Mapping[str, MergeRecord] = _NOTHING
) -> dict[int, list[Happening]]:
    """Lines by pid, without the oldest ones of a profile of which only the newest are kept."""
    gone = {record.merged_pid for record in forgotten.values() if record.undone is None}
    expected = {
        pid: left
        for pid, lines in state.changes.history.items()
        if pid not in gone and (left := sorted((line for line in lines if line.merge_id not in forgotten), key=_line))
    }
    return {
        pid: lines[-len(stored[pid]) :] if len(stored.get(pid, ())) >= LEAST_LINES else lines
        for pid, lines in expected.items()
    }


def _line(line: Happening) -> tuple[int, int, str]:
    return (line.origin.us, line.origin.ordinal, line.what)


def _occurrence(o: Any) -> tuple[Any, ...]:
    return (
        o.stream,
        o.seq,
        o.ordinal,
        o.pid,
        o.name_kind,
        o.name,
        o.time_us,
        o.app_id,
        o.properties,
        o.quantity,
        o.cents,
    )


def _canonical(value: object) -> object:
    """A value in which 1 and 1.0, true and 1 differ, and the order of keys does not matter."""
    if is_dataclass(value) and not isinstance(value, type):
        return _canonical(asdict(value))
    if isinstance(value, dict):
        return {name: _canonical(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(member) for member in value]
    return (type(value).__name__, value)
