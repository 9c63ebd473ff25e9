"""Profiles that share an e-mail address or a phone number, found page by page in the order of the identifiers."""

from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sqlalchemy import Connection, text

from app.domain.merging.match import Group, MergeRule, left_alone, match
from app.domain.profile import Identifier, Profile
from app.domain.settings import ApplySettings
from app.store.profiles import look_up

#: Identifiers that are looked at together.
PAGE: Final = 5_000

_PAGE = text(
    "select value, pid from identifier"
    " where workspace_id = :workspace_id and kind = :kind and label = '' and value > :behind"
    " order by value, pid limit :limit"
)
_COUNT = text("select count(*) from identifier where workspace_id = :workspace_id and kind = :kind")


@dataclass(frozen=True, slots=True)
class Found:
    """The groups of one page, each with what the rule says of it."""

    groups: list[Group]
    #: The last identifier that was looked at; None = there are no more.
    last: str | None
    #: How many were looked at, once for each holder.
    scanned: int


def count(connection: Connection, workspace_id: int, kind: int) -> int:
    """How many identifiers of a kind there are, counted once for each holder."""
    return int(connection.execute(_COUNT, {"workspace_id": workspace_id, "kind": kind}).scalar_one())


def page(
    connection: Connection,
    workspace_id: int,
    rule: MergeRule,
    settings: ApplySettings,
    behind: str,
    sections: int = 0,
    limit: int = PAGE,
) -> Found:
    """Groups of profiles that share an identifier behind this one, with these sections loaded.

    A group is whole, unless more than `limit` profiles are in it. Profiles of groups about which the rule says nothing,
    whoever they are, are not loaded.
    """
    values = {"workspace_id": workspace_id, "kind": rule.kind, "behind": behind, "limit": limit}
    rows = connection.execute(_PAGE, values).all()
    shared = [(value, [row.pid for row in each]) for value, each in groupby(rows, lambda row: str(row.value))]
    is_last = len(rows) < limit
    if not is_last and len(shared) > 1:
        shared.pop()  # it may go on behind the page
    several = [((rule.kind, "", value), pids) for value, pids in shared if len(pids) > 1]
    wanted = {pid: sections for key, pids in several if not left_alone(key, len(pids), settings) for pid in pids}
    profiles = {profile.pid: profile for profile in look_up.fetch(connection, workspace_id, wanted)}
    groups = [_group(rule, key, pids, settings, profiles) for key, pids in several]
    return Found(groups, None if is_last else shared[-1][0], sum(len(pids) for _, pids in shared))


def _group(
    rule: MergeRule, key: Identifier, pids: list[int], settings: ApplySettings, profiles: dict[int, Profile]
) -> Group:
    reason = left_alone(key, len(pids), settings)
    if reason:
        return Group(key, None, reason=reason, size=len(pids))
    return match(rule.ties, rule.prioritization, key, [profiles[pid] for pid in pids if pid in profiles], settings)
