"""A whole workspace in memory, to which requests are applied as they come."""

from typing import Any

from app.contract import stored
from app.domain.apply import reduce
from app.domain.commands import Request
from app.domain.profile import (
    ALIAS,
    EXTERNAL,
    Profile,
)
from app.domain.state import State
from tests.accepting import entry

Json = dict[str, Any]


START = 1_795_000_000_000_000


NOTHING: list[tuple[str, int, str, str]] = []


class World:
    """A whole workspace in memory, to which requests are applied as they come."""

    def __init__(self) -> None:
        self.state = State(complete=True)
        self.seq = 0

    def do(self, path: str, body: Json) -> list[tuple[str, int, str, str]]:
        """Apply a request; what of it had no effect: (input_array, index, field, reason)."""
        found = entry(path, body)
        assert found is not None, "refused"
        self.seq += 1
        commands = stored.commands(found.kind, found.codec, found.body)
        before = len(self.state.changes.problems)
        reduce([Request(0, self.seq, START + 2 * self.seq, commands)], self.state, 1, b"k")
        return [(p.input_array, p.index, p.field, p.reason) for p in self.state.changes.problems[before:]]

    def track(self, **fields: Any) -> None:
        assert self.do("/users/track", {"attributes": [{"_update_existing_only": False, **fields}]}) == NOTHING

    def alias(self, name: str, label: str = "web", **fields: Any) -> None:
        self.track(user_alias={"alias_label": label, "alias_name": name}, **fields)

    def identify(self, external_id: str, name: str, label: str = "web", **more: Any) -> list[str]:
        """Reasons."""
        one = {"external_id": external_id, "user_alias": {"alias_label": label, "alias_name": name}}
        return [p[3] for p in self.do("/users/identify", {"aliases_to_identify": [one], **more})]

    def merge(self, merged: Json, kept: Json) -> list[tuple[str, str]]:
        """(field, reason)."""
        pair = {"identifier_to_merge": merged, "identifier_to_keep": kept}
        return [(p[2], p[3]) for p in self.do("/users/merge", {"merge_updates": [pair]})]

    def facts(self) -> object:
        """All that a request may change, without problems and counts."""
        return (
            {pid: repr(profile) for pid, profile in self.state.profiles.items()},
            {key: set(pids) for key, pids in self.state.index.items() if pids},
            {address: consent for address, consent in self.state.addresses.items() if consent is not None},
        )

    def of(self, external_id: str) -> Profile:
        found = self.state.owner((EXTERNAL, "", external_id))
        assert found is not None
        return found

    def of_alias(self, name: str, label: str = "web") -> Profile | None:
        return self.state.owner((ALIAS, label, name))

    def custom(self) -> dict[str | None, dict[str, object]]:
        """{external id: custom attributes}; at most one profile may have none."""
        found = {p.external_id: p.custom or {} for p in self.state.profiles.values()}
        assert len(found) == len(self.state.profiles)
        return found
