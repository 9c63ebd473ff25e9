"""The values that a user of a file gives to a profile: app.domain.imports says to whom, and by which rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.domain import activity, consent, guard, reasons, sizes, spam, times, track
from app.domain.active_days import joined
from app.domain.commands import ImportUser, TrackAttributes
from app.domain.custom_attributes import TIME
from app.domain.identifiers import device_key
from app.domain.merging.devices import MOMENTS, oldest_beyond
from app.domain.merging.leaves import Path, same
from app.domain.merging.merge import get, put
from app.domain.numbers import greatest, least
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_FIELDS,
    COMMERCE,
    CORE,
    CUSTOM,
    DEVICES,
    EVENTS,
    GROUP_FIELDS,
    MESSAGES,
    NAME_EVENT,
    NAME_PRODUCT,
    PURCHASES,
    TOKEN,
    AddressState,
    Identifier,
    Profile,
)
from app.domain.step import Step

#: Bytes of a summary, beside its name.
_SUMMARY: Final = sizes.of([0, 0, 0])
#: Fields of `core` that keep consent while a profile has no address, by channel.
_WITHOUT_ADDRESS: Final = {
    **dict.fromkeys(("email_subscribe", "marked_email_as_spam_at"), CHANNEL_EMAIL),
    **{name: channel for channel, name in GROUP_FIELDS.items()},
}


@dataclass(slots=True)
class _Attributes(TrackAttributes):
    """What is written as an object of `attributes` is."""

    input_array = "users"


@dataclass(slots=True)
class Filling:
    """A profile that is given what a file tells."""

    step: Step
    profile: Profile
    command: ImportUser
    #: Whether anything is not as it was.
    changed: bool = False

    @property
    def now_us(self) -> int:
        return self.step.request.accepted_us

    def skip(self, reason: str, field: str) -> None:
        self.step.skip(self.command, reason, field)

    def may_have(self, key: Identifier, taken: str, field: str) -> bool:
        """Whether the profile may get an identifier; if not, why is said, `taken` where somebody else has it."""
        if self.step.state.holders(key):
            self.skip(taken, field)
            return False
        if guard.is_full(self.profile, self.step.state.settings):
            self.skip(reasons.TOO_MANY_IDENTIFIERS, field)
            return False
        return True

    def past(self, us: int | None) -> int | None:
        """A moment that is told, and not one to come."""
        return None if us is None else min(us, self.now_us)

    def chosen(self, now: Any, told: Any) -> Any:
        """Of what is there and what is told."""
        return told if now is None or (self.command.overwrite and told is not None) else now

    def counted(self, now: int | None, told: int | None) -> int | None:
        """The larger count or the later moment, or what is told."""
        return told if self.command.overwrite and told is not None else greatest(now, told)

    def earlier(self, now: int | None, told: int | None) -> int | None:
        return told if self.command.overwrite and told is not None else least(now, told)

    def put(self, path: Path, value: Any) -> None:
        """Set the value at a place, if it is another one. A profile that is full stays as it is."""
        before = get(self.profile, path)
        if same(before, value):
            return
        grown = sizes.of(value) + sizes.of_name(path[-1]) - sizes.of(before)
        if not guard.has_room(self.profile, grown, self.step.state.settings):
            self.skip(reasons.PROFILE_FULL, ".".join(path))
            return
        put(self.step.state, self.profile, path, value)
        self.changed = True


def fill(filling: Filling) -> None:
    """Give the profile all values that are told."""
    _attributes(filling)
    _consent(filling)
    _row(filling)
    _summaries(filling, EVENTS, NAME_EVENT, filling.command.user.events)
    _summaries(filling, PURCHASES, NAME_PRODUCT, filling.command.user.purchases)
    _devices(filling)
    _messages(filling)
    _commerce(filling)


def _attributes(filling: Filling) -> None:
    """Reserved fields and custom attributes are written as by /users/track, with the rules of the workspace."""
    user, state, profile = filling.command.user, filling.step.state, filling.profile
    core, custom = state.section(profile, CORE), state.section(profile, CUSTOM)
    overwrite = filling.command.overwrite
    fields = {
        name: value
        for name, value in user.fields.items()
        if (name not in core or overwrite)
        and core.get(name) != value
        and (overwrite or not _goes_with(name, core, user.fields))
    }
    told = {
        name: value
        for name, value in user.custom.items()
        if name not in custom or (overwrite and plain(custom[name]) != plain(value))
    }
    if fields or told:
        command = filling.command
        before = (dict(core), dict(custom))
        track.write(
            filling.step,
            profile,
            _Attributes(
                command.index, command.identifier, update_only=None, merge_objects=False, fields=fields, custom=told
            ),
        )
        filling.changed |= before != (core, custom)


def plain(value: object) -> object:
    """A custom attribute as it is told or stored, in one form: a time is a moment, however it is written."""
    if isinstance(value, dict):
        return plain(value[TIME]) if TIME in value else {name: plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(element) for element in value]
    moment = times.parse(value) if isinstance(value, str) else None
    return value if moment is None else (TIME, moment)


def _goes_with(name: str, core: Mapping[str, Any], told: Mapping[str, object]) -> bool:
    """Whether a field belongs to an address that the profile does not get."""
    if name in ("phone", "phone_raw"):
        kept = core.get("phone") or core.get("phone_raw")
        return kept is not None and kept not in (told.get("phone"), told.get("phone_raw"))
    if name in ("email_open_tracking_disabled", "email_click_tracking_disabled"):
        return core.get("email") is not None and core.get("email") != told.get("email")
    return False


def _consent(filling: Filling) -> None:
    """What is recorded of an address that the profile has, or of a person without one. What is there already stays."""
    state, profile, user = filling.step.state, filling.profile, filling.command.user
    core = state.section(profile, CORE)
    for channel, topic, said, us in user.recorded:
        address = user.fields.get(CHANNEL_FIELDS[channel])
        if not isinstance(address, str) or core.get(CHANNEL_FIELDS[channel]) != address:
            continue
        before = state.address((channel, address, topic))
        if before is None or (filling.command.overwrite and before.state != said):
            state.set_address(
                (channel, address, topic), AddressState(said, filling.now_us if us is None else min(us, filling.now_us))
            )
            filling.changed = True
    for name, value in user.states.items():
        channel = _WITHOUT_ADDRESS.get(name, 0)
        if channel and core.get(CHANNEL_FIELDS[channel]) is not None:
            continue
        if name not in core or (filling.command.overwrite and not same(core[name], value)):
            state.set_core(profile, name, value)
            filling.changed = True
    if user.fields.get("email") is None and "email_subscribe" in user.states and core.get("email") is not None:
        _refuse(filling, user.states["email_subscribe"])


def _refuse(filling: Filling, told: Any) -> None:
    """A person without an address said something of e-mail: the address that they have here gets it if it refuses."""
    address = (CHANNEL_EMAIL, filling.step.state.section(filling.profile, CORE)["email"], "")
    before = filling.step.state.address(address)
    if before is None and consent.is_stricter(told[0], "subscribed"):
        filling.step.state.set_address(address, AddressState(told[0], told[1]))
        filling.changed = True


def _row(filling: Filling) -> None:
    """Counts and moments, and flags, which an import gives and never takes."""
    user, profile = filling.command.user, filling.profile
    bought, sessions = user.bought or (None, None, None), user.sessions or (None, None, None)
    # Who bought nothing yet has no revenue, which is not the larger one of it and a refund.
    revenue_cents = profile.revenue_cents if profile.revenue_cents or profile.purchase_count else None
    values = {
        "flags": profile.flags | user.flags,
        "revenue_cents": filling.counted(revenue_cents, user.revenue_cents) or 0,
        "purchase_count": filling.counted(profile.purchase_count, bought[0]),
        "first_purchase_us": filling.earlier(profile.first_purchase_us, filling.past(bought[1])),
        "last_purchase_us": filling.counted(profile.last_purchase_us, filling.past(bought[2])),
        "session_count": filling.counted(profile.session_count, sessions[0]),
        "first_session_us": filling.earlier(profile.first_session_us, filling.past(sessions[1])),
        "last_session_us": filling.counted(profile.last_session_us, filling.past(sessions[2])),
    }
    had_sessions = profile.session_count
    for name, value in values.items():
        if getattr(profile, name) != value:
            setattr(profile, name, value)
            filling.step.state.changed(profile, 0)
            filling.changed = True
    if profile.session_count > had_sessions:
        spam.check(filling.step, profile)


def _summaries(filling: Filling, section: int, kind: int, told: Mapping[str, list[int]]) -> None:
    """Summaries of events or products. The catalogue of the workspace counts what they add."""
    state, profile = filling.step.state, filling.profile
    settings = state.settings
    blocked = settings.blocked_events if section == EVENTS else settings.blocked_products
    summaries: dict[str, list[int]] = state.section(profile, section)
    many = len(summaries)
    for name, (count, first_us, last_us) in told.items():
        if name in blocked:
            filling.skip(reasons.BLOCKED, name)
            continue
        came = [count, min(first_us, filling.now_us), min(last_us, filling.now_us)]
        before = summaries.get(name)
        if before is None:
            grown = sizes.of_name(name) + _SUMMARY
            if not guard.has_room(profile, grown, settings):
                filling.skip(reasons.PROFILE_FULL, name)
                continue
            profile.size += grown
            after = came
        elif filling.command.overwrite:
            after = came
        else:
            after = [max(before[0], came[0]), min(before[1], came[1]), max(before[2], came[2])]
        if after != before:
            summaries[name] = after
            state.changes.written[kind, name, ""] += max(0, after[0] - (before[0] if before else 0))
            state.changed(profile, section)
            filling.changed = True
    if len(summaries) > many:
        spam.check(filling.step, profile, section)


def _devices(filling: Filling) -> None:
    """Devices and push tokens that nobody else has, use of apps, and on which days somebody was active."""
    user, state, profile = filling.command.user, filling.step.state, filling.profile
    section = state.section(profile, DEVICES)
    for name, entries in (("devices", user.devices), ("tokens", user.tokens)):
        there = section.get(name, {})
        most = state.settings.max_devices_per_profile
        beyond = frozenset(oldest_beyond({**entries, **there}, MOMENTS[name], most))
        for key, entry in entries.items():
            if key in there or key in beyond:
                continue
            found = _identifier(name, key, entry)
            if found is not None and state.holders(found):
                filling.skip(reasons.DEVICE_TAKEN, name)
                continue
            filling.put(("devices", name, key), entry)
            if found is not None and key in section.get(name, {}):
                state.add_identifier(profile, found)
        for key in oldest_beyond(section.get(name, {}), MOMENTS[name], most):
            found = _identifier(name, key, section[name][key])
            put(state, profile, ("devices", name, key), None)
            if found is not None:
                state.drop_identifier(profile, found)
    for app, use in user.apps.items():
        filling.put(("devices", "apps", app), _used(filling, section.get("apps", {}).get(app), use))
    before = activity.marks_of(profile)
    for app, mark in user.active.items():
        filling.put(("devices", "active", app), joined(before.get(app), mark))
    if user.active:
        activity.regrouped(state, [before], [activity.marks_of(profile)])
    if user.uninstalled_us is not None:
        now = section.get("uninstalled_at")
        filling.put(("devices", "uninstalled_at"), filling.chosen(now, filling.past(user.uninstalled_us)))


def _identifier(name: str, key: str, entry: Mapping[str, Any]) -> Identifier | None:
    if name == "tokens":
        return (TOKEN, "", key)
    return device_key(entry["app"], entry["id"]) if "id" in entry else None


def _used(filling: Filling, now: Mapping[str, Any] | None, told: Mapping[str, Any]) -> dict[str, Any]:
    """Use of one app: the larger count, the wider time, the rest from whoever used it last."""
    if now is None:
        return dict(told)
    later = filling.command.overwrite or (told.get("last_used") or 0) > (now.get("last_used") or 0)
    result = {**now, **told} if later else {**told, **now}
    for name, choose in (
        ("sessions", filling.counted),
        ("first_used", filling.earlier),
        ("last_used", filling.counted),
    ):
        if (value := choose(now.get(name), told.get(name))) is not None:
            result[name] = value
    return result


def _messages(filling: Filling) -> None:
    """The last moments of messages, and their history; as many as the workspace keeps, the newest ones."""
    user = filling.command.user
    section = filling.step.state.section(filling.profile, MESSAGES)
    for kind, us in user.received.items():
        filling.put(("messages", "received", kind), filling.counted(section.get("received", {}).get(kind), us))
    for name, told in (("campaigns", user.campaigns), ("canvases", user.canvases)):
        there = section.get(name, {})
        joined_ = {
            key: there.get(key, {})
            | {kind: filling.counted(there.get(key, {}).get(kind), us) for kind, us in one.items()}
            for key, one in told.items()
        }
        _newest(filling, name, joined_)
    _newest(
        filling, "history", {key: one for key, one in user.history.items() if key not in section.get("history", {})}
    )


def _newest(filling: Filling, name: str, told: Mapping[str, Any]) -> None:
    """Entries of a member that is bounded. What would have to go at once does not come."""
    section = filling.step.state.section(filling.profile, MESSAGES)
    together = {**section.get(name, {}), **told}
    most = filling.step.state.settings.message_max
    kept = frozenset(sorted(together, key=lambda key: (_moment(together[key]), key), reverse=True)[:most])
    for key, entry in told.items():
        if key in kept:
            filling.put(("messages", name, key), entry)
    for key in sorted(section.get(name, {}).keys() - kept):
        put(filling.step.state, filling.profile, ("messages", name, key), None)


def _moment(entry: Mapping[str, Any]) -> int:
    return int(entry["at"]) if "at" in entry else max(entry.values(), default=0)


def _commerce(filling: Filling) -> None:
    """Orders, carts and daily sums: the larger count, the cart that was updated last, the larger sum of each day."""
    told = filling.command.user.commerce
    section = filling.step.state.section(filling.profile, COMMERCE)
    for name in ("placed", "cancelled", "refunded", "last_order"):
        if name in told:
            filling.put(("commerce", name), filling.counted(section.get(name), told[name]))  # type: ignore[arg-type]
    carts: Any = told.get("carts", {})
    for key, cart in carts.items():
        now = section.get("carts", {}).get(key)
        if now is None or filling.command.overwrite or cart["updated"] > now["updated"]:
            filling.put(("commerce", "carts", key), cart)
    days: Any = told.get("days", {})
    for key, sums in days.items():
        now = section.get("days", {}).get(key)
        after = (
            sums if now is None or filling.command.overwrite else [max(pair) for pair in zip(now, sums, strict=True)]
        )
        filling.put(("commerce", "days", key), after)
    unbooked: Any = told.get("unbooked", {})
    for currency, amount in unbooked.items():
        filling.put(
            ("commerce", "unbooked", currency), filling.chosen(section.get("unbooked", {}).get(currency), amount)
        )
