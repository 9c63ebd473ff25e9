"""Exports of a segment or of the global control group to a file of JSON lines.

Each profile is shown as it is when its part is read: a part is one instant, the file is not. Who joins meanwhile behind
the place that has been reached is in it, who joins before is not.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from app.contract import exported, file_exports
from app.contract.errors import RefusedError
from app.contract.exported import View
from app.domain.jobs import SEGMENT_TOO_BROAD, TARGET_GONE
from app.domain.profile import CHANNEL_EMAIL, CUSTOM, GLOBAL_CONTROL_GROUP, Address
from app.domain.segments.model import Definition
from app.store.profiles import flagged, holders, look_up
from app.store.segments import run as segments
from app.store.segments import saved
from app.store.segments.compile import TooBroadError
from workers.jobs import parts
from workers.jobs.run import JobFailedError, Run
from workers.segments import definition_of

#: What is in memory at once: so many profiles, and so many bytes of them; one that is larger is read alone.
PORTION: Final = 250
PORTION_BYTES: Final = 4 * 1024 * 1024


def control_group(run: Run) -> None:
    """Everybody in the global control group."""
    database, workspace_id = run.parts.database, run.job.workspace_id

    def page(after: int, most: int) -> list[int]:
        with database.read() as connection:
            return flagged.page(connection, workspace_id, GLOBAL_CONTROL_GROUP, after, most)

    parts.make(run, page, lambda pids: _lines(run, pids), None)


def segment(run: Run) -> None:
    """Everybody in a segment, as it is defined, and as of the moment, when the attempt begins."""
    workspace_id, now_us = run.job.workspace_id, run.parts.now_us()

    def counted(connection: Connection) -> tuple[Definition, int]:
        kept = saved.fetch(connection, workspace_id, run.job.target)
        if kept is None:
            raise JobFailedError(TARGET_GONE)
        definition = definition_of(connection, workspace_id, kept.definition)
        return definition, segments.count(connection, workspace_id, definition, now_us, hurried=False)

    try:
        definition, total = run.read(counted)

        def page(after: int, most: int) -> list[int]:
            behind = after or None
            people = run.read(
                lambda c: segments.members(c, workspace_id, definition, now_us, behind, most, hurried=False)
            )
            return [member.pid for member in people]

        parts.make(run, page, lambda pids: _lines(run, pids), total)
    except RefusedError:  # a segment that it names is gone
        raise JobFailedError(TARGET_GONE) from None
    except TooBroadError:
        raise JobFailedError(SEGMENT_TOO_BROAD) from None


def _lines(run: Run, pids: Sequence[int]) -> Iterator[bytes]:
    parameters = run.job.parameters
    fields = frozenset(parameters["fields"]) if "fields" in parameters else None
    custom = frozenset(parameters["custom_attributes"]) if "custom_attributes" in parameters else None
    sections = exported.sections_of(fields) | (CUSTOM if custom is not None else 0)
    for start in range(0, len(pids), PORTION):
        for portion in _portions(run, pids[start : start + PORTION]):
            with run.parts.database.read() as connection:
                there = [pid for pid in portion if pid]
                views = _views(connection, run.job.workspace_id, there, sections, run.parts.now_us())
            for pid in portion:
                view = views.get(pid)
                yield b"" if view is None else msgspec.json.encode(file_exports.line(view, fields, custom))


def _portions(run: Run, pids: Sequence[int]) -> Iterator[list[int]]:
    """The profiles in their order, in portions that are small enough to be read at once."""
    with run.parts.database.read() as connection:
        size_of = holders.sizes(connection, run.job.workspace_id, [pid for pid in pids if pid])
    return holders.portions(size_of, pids, PORTION_BYTES)


def _views(connection: Connection, workspace_id: int, pids: list[int], sections: int, now_us: int) -> dict[int, View]:
    """Profiles by number with the consent of their addresses; who is gone is left out. `sections` has CORE in it."""
    profiles = look_up.fetch(connection, workspace_id, dict.fromkeys(pids, sections))
    emails: dict[int, Address] = {}
    for profile in profiles:
        email = (profile.core or {}).get("email")
        if isinstance(email, str):
            emails[profile.pid] = (CHANNEL_EMAIL, email, "")
    states = look_up.fetch_addresses(connection, workspace_id, {address[:2] for address in emails.values()})
    return {p.pid: View(p, states[emails[p.pid]] if p.pid in emails else None, now_us) for p in profiles}
