"""POST /users/track/sync: one object in, the values that it led to out (spec track.md 7)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec

from app.contract import addresses, identifiers, track
from app.contract.checked import Checked
from app.contract.errors import RefusedError
from app.domain import custom_attributes, times
from app.domain.commands import Track, TrackAttributes, TrackEvent, Unreadable
from app.domain.profile import ALIAS, BRAZE, CUSTOM, EMAIL, EVENTS, EXTERNAL, PHONE, PURCHASES, Identifier, Profile
from app.domain.reasons import PROFILE_NOT_FOUND

_LIMITS: Final = track.Limits(combined=1, per_array=None)
_FIELDS: Final = {EXTERNAL: "external_id", ALIAS: "user_alias", BRAZE: "braze_id", EMAIL: "email", PHONE: "phone"}


@dataclass(frozen=True, slots=True)
class Asked:
    """The one object of a request: what it addresses, as it was sent, and what is asked about it."""

    command: Track
    sent: dict[str, object]

    @property
    def identifier(self) -> Identifier:
        return self.command.identifier

    @property
    def sections(self) -> int:
        """The section of the profile that the answer shows."""
        if isinstance(self.command, TrackAttributes):
            return CUSTOM
        return EVENTS if isinstance(self.command, TrackEvent) else PURCHASES

    def met_nobody(self, problems: Iterable[tuple[str, int, str, str]]) -> bool:
        """Whether (input_array, index, field, reason) say that nobody has the identifier and nobody was to be made."""
        return any(reason == PROFILE_NOT_FOUND for _, _, _, reason in problems)

    def answer(self, profile: Profile | None) -> dict[str, object]:
        """The answer; without a profile nobody was addressed."""
        users = [] if profile is None else [self.sent | self._values(profile)]
        return {"users": users, "message": "success"}

    def _values(self, profile: Profile) -> dict[str, object]:
        command = self.command
        if isinstance(command, TrackAttributes):
            if not command.custom:
                return {}
            stored = profile.custom or {}
            names = dict.fromkeys(custom_attributes.valid_name(name) for name in command.custom)
            return {
                "custom_attributes": {
                    name: custom_attributes.exported(stored[name]) for name in names if name in stored
                }
            }
        if isinstance(command, TrackEvent):
            return {"custom_events": _summary("name", command.name, profile.events)}
        return {"purchase_events": _summary("product_id", command.product_id, profile.purchases)}


def check(
    body: bytes,
    region: str = addresses.DEFAULT_REGION,
    *,
    ecommerce_events: bool = False,
    groups: Mapping[str, int] = MappingProxyType({}),
    blocked: Collection[str] = (),
    platforms: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Checked, Asked]:
    """Check a request. Raises RefusedError: whatever is wrong with the object is wrong with the request."""
    checked = track.check(
        body,
        _LIMITS,
        region,
        ecommerce_events=ecommerce_events,
        groups=groups,
        blocked=blocked,
        platforms=platforms,
    )
    commands = track.decode(checked.codec, checked.body)
    if len(commands) > 1:  # an import of several push tokens, each of which makes a profile
        raise RefusedError(400, track.TOO_MANY)
    (command,) = commands
    if isinstance(command, Unreadable):
        raise AssertionError("what was checked a moment ago can be read")
    return checked, Asked(command, _identifier(command.identifier, _object(checked)))


def _object(checked: Checked) -> dict[str, Any]:
    document = msgspec.json.decode(checked.body)
    (found,) = (entries[0] for name in track.ARRAYS if (entries := document.get(name)))
    obj: dict[str, Any] = found if checked.codec & ~track.ECOMMERCE == track.CODEC_AS_SENT else found[1]
    return obj


def _identifier(key: Identifier, obj: dict[str, Any]) -> dict[str, object]:
    """The identifier that was chosen, as it was sent; numbers as the text that they stand for."""
    name = _FIELDS.get(key[0])
    if name is None:  # an imported push token is not given back
        return {}
    sent = obj[name]
    if isinstance(sent, dict):
        return {name: {part: identifiers.text(sent[part]) for part in ("alias_name", "alias_label")}}
    return {name: identifiers.text(sent)}


def _summary(title: str, name: str, summaries: Mapping[str, list[int]] | None) -> list[dict[str, object]]:
    summary = (summaries or {}).get(name)
    if summary is None:
        return []
    count, first, last = summary
    return [{title: name, "first": times.iso(first), "last": times.iso(last), "count": count}]
