"""How many devices and push tokens a profile has: of too many those go that were heard of longest ago."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.domain.identifiers import device_key
from app.domain.merging.leaves import Path
from app.domain.merging.plan import MergePlan
from app.domain.profile import TOKEN, Identifier

#: Members of the section `devices` that are bounded, and the member of an entry that says when it was heard of.
MOMENTS: Final = {"devices": "last_seen", "tokens": "at"}


def oldest_beyond(entries: Mapping[str, Any], moment: str, most: int) -> list[str]:
    """The keys of those that are too many, the oldest first."""
    if len(entries) <= most:
        return []
    return sorted(entries, key=lambda key: (entries[key].get(moment, 0), key))[: len(entries) - most]


def key_in_section(app_id: str, device_id: str) -> str:
    """Under which key a device lies in the section."""
    return f"{app_id}/{device_id}"


def beyond(section: Mapping[str, Any], most: int, in_hand: Identifier | None = None) -> Iterator[Path]:
    """The places of devices and push tokens that are too many. The device in hand always stays."""
    staying = None if in_hand is None else key_in_section(*in_hand[1:])
    for name, moment in MOMENTS.items():
        entries = section.get(name, {})
        others = {key: entry for key, entry in entries.items() if name != "devices" or key != staying}
        for key in oldest_beyond(others, moment, most - (len(entries) - len(others))):
            yield ("devices", name, key)


def identifier_at(path: Path, entry: Mapping[str, Any]) -> Identifier | None:
    """By what a device or a push token at a place is found. None for a device that was only described."""
    if path[1] == "tokens":
        return (TOKEN, "", path[2])
    return device_key(entry["app"], entry["id"]) if "id" in entry else None


def given_up(plan: MergePlan) -> set[Identifier]:
    """Identifiers of devices and push tokens that the kept profile had, and lost by the merge as too many."""
    lost = (change for change in plan.changes if change.path[0] == "devices" and change.path[1] in MOMENTS)
    found = (identifier_at(change.path, change.kept) for change in lost if change.kept is not None)
    return {identifier for identifier in found if identifier is not None}
