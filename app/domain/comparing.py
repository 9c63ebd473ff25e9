"""A user of a file beside the same user here: what differs, field by field. Both are read as an import reads them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.domain.import_values import plain
from app.domain.imported import ImportedUser

#: (field, what the file tells, what is here). None: nothing is told there.
Pair = tuple[str, Any, Any]

#: Members of a user by the names that an export gives them.
_MEMBERS: Final = {
    "external_id": "external_id",
    "braze_id": "braze_id",
    "created_us": "created_at",
    "random_bucket": "random_bucket",
    "aliases": "user_aliases",
    "revenue_cents": "total_revenue",
    "uninstalled_us": "uninstalled_at",
    "devices": "devices",
    "apps": "apps",
    "campaigns": "campaigns_received",
    "canvases": "canvases_received",
    "commerce": "commerce",
}
#: Each entry of these is a field of its own.
_ENTRIES: Final = {"fields": "", "custom": "custom_attributes.", "events": "custom_events.", "purchases": "purchases."}
_CHANNELS: Final = {1: "email", 2: "phone"}
#: What a push token is of which nothing else is told.
_UNTOLD: Final[dict[str, object]] = {"enabled": True, "provisional": False}
#: A number has one form as it was sent, and another one as it is read.
_TOLD_TWICE: Final = ("phone_raw",)


def pairs(told: ImportedUser, here: ImportedUser) -> Iterator[Pair]:
    """What either side has of the user, beside each other."""
    for member, name in _MEMBERS.items():
        yield name, getattr(told, member) or None, getattr(here, member) or None
    for member, prefix in _ENTRIES.items():
        there, ours = getattr(told, member), getattr(here, member)
        for name in sorted({*there, *ours}.difference(_TOLD_TWICE)):
            yield f"{prefix}{name}", there.get(name), ours.get(name)
    yield "push_tokens", _tokens(told), _tokens(here)
    there, ours = _consent(told), _consent(here)
    for name in sorted({*there, *ours}):
        yield name, there.get(name), ours.get(name)


def alike(told: object, here: object) -> bool:
    """Whether two values are the same: a time however it is written, a number with or without a fraction of zero."""
    return _alike(plain(told), plain(here))


def _alike(told: object, here: object) -> bool:
    if isinstance(told, dict) and isinstance(here, dict):
        return told.keys() == here.keys() and all(_alike(value, here[name]) for name, value in told.items())
    if isinstance(told, (list, tuple)) and isinstance(here, (list, tuple)):
        return len(told) == len(here) and all(map(_alike, told, here))
    return isinstance(told, bool) is isinstance(here, bool) and told == here


def _tokens(user: ImportedUser) -> Mapping[str, object] | None:
    """Push tokens without when each was heard of, which no file of Braze tells."""
    found = {
        token: {name: value for name, value in (_UNTOLD | entry).items() if name != "at"}
        for token, entry in user.tokens.items()
    }
    return found or None


def _consent(user: ImportedUser) -> dict[str, str]:
    """States by the name of their field; who said nothing is subscribed. When it was said is not compared."""
    found = {"email_subscribe": "subscribed", "push_subscribe": "subscribed"}
    for channel, topic, state, _ in user.recorded:
        found[f"{_CHANNELS[channel]}_subscribe" if not topic else f"{_CHANNELS[channel]}.{topic}"] = state
    for name, said in user.states.items():
        if isinstance(said, (list, tuple)):
            found[name] = str(said[0])
    return found
