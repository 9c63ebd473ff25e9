"""What devices of apps send (spec lifecycle.md 4): sessions, what a device is, log-in and log-out.

An unknown device is that of a new anonymous profile. A device belongs to one profile at a time, and moves when somebody
else logs in or the person logs out; data never moves with it, save that of an anonymous profile whose person logs in.
"""

from collections.abc import Callable
from typing import Any, Final

from app.domain import activity, guard, history, reasons, series, spam, times
from app.domain.batches import Batches
from app.domain.commands import Selector
from app.domain.device_commands import AddAlias, ChangeUser, DescribeDevice, EndSession, LogOut, SdkBatch, StartSession
from app.domain.devices import bound_tokens, take_token, tokens_of
from app.domain.identifiers import device_key
from app.domain.identity import combine
from app.domain.merging.devices import key_in_section, oldest_beyond
from app.domain.merging.merge import MERGE, put
from app.domain.numbers import clamped, greatest, least
from app.domain.profile import (
    ALIAS,
    CORE,
    DEVICES,
    EXTERNAL,
    NAME_SESSION,
    NAME_SESSION_END,
    TOKEN,
    Identifier,
    Occurrence,
    Profile,
)
from app.domain.state import State
from app.domain.step import Step

#: Profile.created_from of a visitor.
SDK: Final = "sdk"


def begin(step: Step, command: SdkBatch) -> None:
    """Find the device or make a profile for it. A batch that was applied before ends the request here.

    Records from before the device changed hands have no effect: they are of somebody who has it no more. A batch that
    somebody else has signed, or nobody, may say who has the device from now on, and nothing before that.
    """
    state, key = step.state, command.identifier
    profile = state.owner(key)
    if profile is None:
        profile = anonymous(step)
        give(step, profile, key, {"app": key[1], "id": key[2]})
    elif command.signed and profile.external_id is not None and not is_person(state, profile, command.signed_by):
        step.withheld = (None, reasons.NOT_SIGNED)
    batches = _batches(state, profile, key)
    if batches.knows(command.number):
        step.end_here(command, reasons.BATCH_KNOWN)
        return
    batches = batches.with_batch(command.number)
    set_members(state, profile, key, {"batches": batches.stored(), "last_seen": step.request.accepted_us})
    touch(step, profile)
    step.late = batches.late(command)


def timely(apply: Callable[[Step, Any], None]) -> Callable[[Step, Any], None]:
    """What a command does, unless it was recorded before the device changed hands, and arrived afterwards."""

    def apply_timely(step: Step, command: Any) -> None:
        if command.index in step.late:
            step.refuse(command, reasons.BATCH_LATE)
        else:
            apply(step, command)

    return apply_timely


def told(apply: Callable[[Step, Any], None]) -> Callable[[Step, Any], None]:
    """What a command does that tells of the person who has a device, where that may be said and the profile takes data.

    All that devices tell goes through here, so it is the same in one batch and in many.
    """

    def apply_told(step: Step, command: Any) -> None:
        withheld, profile = step.withheld, step.state.owner(command.identifier)
        if withheld is not None and withheld[0] in (None, command.index):
            step.end_object(command, withheld[1])
        elif profile is not None and spam.is_blocked(profile):
            step.end_object(command, reasons.PROFILE_BLOCKED)
        else:
            apply(step, command)

    return timely(apply_told)


def is_person(state: State, profile: Profile, external_id: str | None) -> bool:
    """Whether the profile is that of an external id, or of a former one."""
    former: list[str] = state.section(profile, CORE).get("deprecated", [])
    return external_id is not None and external_id in (profile.external_id, *former)


def start_session(step: Step, command: StartSession) -> None:
    """Count a session of the person and of the app."""
    state = step.state
    profile = owner_of(step, command.identifier)
    us = min(command.time_us, step.request.accepted_us)
    begun: dict[str, Any] = {"session_at": us}
    if command.session_id:
        if _device(state, profile, command.identifier).get("session") == command.session_id:
            step.refuse(command, reasons.SESSION_KNOWN)
            return
        begun["session"] = command.session_id
    set_members(state, profile, command.identifier, begun)
    profile.session_count = clamped(profile.session_count + 1)
    profile.first_session_us = least(profile.first_session_us, us)
    profile.last_session_us = greatest(profile.last_session_us, us)
    app_id = command.identifier[1]
    before: dict[str, Any] = state.section(profile, DEVICES).get("apps", {}).get(app_id, {})
    newest = us >= before.get("last_used", us)
    told = {"name": command.name, "platform": command.platform}
    if command.version:
        told["version"] = command.version
    app = before | told if newest else told | before
    app["sessions"] = before.get("sessions", 0) + 1
    app["first_used"] = least(before.get("first_used"), us)
    app["last_used"] = greatest(before.get("last_used"), us)
    put(state, profile, ("devices", "apps", app_id), app)
    for active, mark in activity.began(state, profile, app_id, us):
        put(state, profile, ("devices", "active", active), mark)
    series.book(state, series.SESSIONS, "", app_id, us, 1)
    _occurred(step, profile, NAME_SESSION, app_id, us, 1)
    touch(step, profile)
    spam.check(step, profile)


def end_session(step: Step, command: EndSession) -> None:
    """The app was in use until then, and the session of the device, if one goes on, took that long."""
    profile = owner_of(step, command.identifier)
    us = min(command.time_us, step.request.accepted_us)
    app_id = command.identifier[1]
    begun: int | None = _device(step.state, profile, command.identifier).get("session_at")
    if begun is not None:
        set_members(step.state, profile, command.identifier, {"session_at": None})
        _occurred(step, profile, NAME_SESSION_END, app_id, us, max(0, us - begun) // times.SECOND)
        touch(step, profile)
    app: dict[str, Any] | None = step.state.section(profile, DEVICES).get("apps", {}).get(app_id)
    if app is not None and us > app.get("last_used", 0):
        put(step.state, profile, ("devices", "apps", app_id), app | {"last_used": us})
        touch(step, profile)


def describe(step: Step, command: DescribeDevice) -> None:
    """Keep what a device is. What is guessed from it goes behind what anybody said."""
    state = step.state
    for name, reason in command.ignored:
        step.skip(command, reason, name)
    profile = owner_of(step, command.identifier)
    guessed: dict[str, str] = _device(state, profile, command.identifier).get("detected", {})
    core = state.section(profile, CORE)
    for name, value in command.detected.items():
        if core.get(name) in (None, guessed.get(name)):
            state.set_core(profile, name, value)
    members: dict[str, object] = dict(command.members)
    if command.detected:
        members["detected"] = guessed | command.detected
    set_members(state, profile, command.identifier, members)
    touch(step, profile)


def add_alias(step: Step, command: AddAlias) -> None:
    """Another name for the person."""
    state = step.state
    profile = owner_of(step, command.identifier)
    aliases: dict[str, str] = state.section(profile, CORE).get("aliases", {})
    if aliases.get(command.label) == command.name:
        return
    if state.holders((ALIAS, command.label, command.name)):
        step.refuse(command, reasons.ALIAS_TAKEN)
    elif command.label in aliases:
        step.refuse(command, reasons.LABEL_TAKEN)
    elif guard.is_full(profile, state.settings):
        step.refuse(command, reasons.TOO_MANY_IDENTIFIERS)
    else:
        state.add_alias(profile, command.label, command.name)
        step.happened(profile, history.ALIAS_ADDED)
        state.changes.counts.aliases += 1
        touch(step, profile)


def change_user(step: Step, command: ChangeUser) -> None:
    """Somebody logs in: an anonymous profile becomes the person's, or goes into it; from a known person the device goes
    to the other one alone."""
    state, key = step.state, command.identifier
    external: Identifier = (EXTERNAL, "", command.external_id)
    profile = owner_of(step, key)
    owner = state.owner(external)
    if guard.is_junk(external, state.settings):
        step.refuse(command, reasons.JUNK_IDENTIFIER)
        return
    if owner is None and profile.external_id is None:
        if guard.is_full(profile, state.settings):
            step.refuse(command, reasons.TOO_MANY_IDENTIFIERS)
            return
        _identify(step, profile, external)
        owner = profile
    elif owner is None:
        owner = anonymous(step)
        _identify(step, owner, external)
    is_moved = owner is not profile
    if is_moved and profile.external_id is None and combine(step, command, owner, profile, MERGE, key):
        state.changes.counts.identified += 1
        is_moved = False
    if is_moved:  # nothing but the device moves; an anonymous profile that may not be merged stays as it is
        _move(step, key, profile, owner)
    _said(step, owner, command, moved=is_moved)
    step.withheld = None  # who has the device was said by right
    touch(step, owner)


def log_out(step: Step, command: LogOut) -> None:
    """Whoever comes next is somebody new. An anonymous visitor stays who it is."""
    profile = owner_of(step, command.identifier)
    if profile.external_id is None:
        _said(step, profile, command, moved=False)
        return
    visitor = anonymous(step)
    _move(step, command.identifier, profile, visitor)
    _said(step, visitor, command, moved=True)
    step.withheld = None


def selectors_of_change(command: ChangeUser) -> tuple[Selector, ...]:
    """The device, and who logs in."""
    return Selector(command.identifier), Selector((EXTERNAL, "", command.external_id))


def selectors_of_alias(command: AddAlias) -> tuple[Selector, ...]:
    """Who may have the name already."""
    return Selector(command.identifier), Selector((ALIAS, command.label, command.name))


def anonymous(step: Step) -> Profile:
    """The new profile of a visitor."""
    profile = step.new_profile()
    profile.created_from = SDK
    return profile


def _identify(step: Step, profile: Profile, external: Identifier) -> None:
    profile.external_id = external[2]
    step.state.add_identifier(profile, external)
    step.state.changed(profile, 0)
    step.happened(profile, history.IDENTIFIED)
    step.state.changes.counts.identified += 1


def owner_of(step: Step, key: Identifier) -> Profile:
    """Whose the device is: the batch has begun, so it is somebody's."""
    profile = step.state.owner(key)
    assert profile is not None  # noqa: S101 - `begin` made one, or ended the request
    return profile


def _occurred(step: Step, profile: Profile, kind: int, app_id: str, us: int, quantity: int) -> None:
    """The beginning or the end of a session, one by one."""
    request, changes = step.request, step.state.changes
    changes.written[kind, "", ""] += 1
    changes.occurrences.append(
        Occurrence(request.stream, request.seq, step.ordinal, profile.pid, kind, "", us, app_id, None, quantity)
    )


def _device(state: State, profile: Profile, key: Identifier) -> dict[str, Any]:
    devices: dict[str, Any] = state.section(profile, DEVICES).get("devices", {})
    found: dict[str, Any] = devices[key_in_section(key[1], key[2])]
    return found


def _batches(state: State, profile: Profile, key: Identifier) -> Batches:
    return Batches.read(_device(state, profile, key).get("batches", ()))


def set_members(state: State, profile: Profile, key: Identifier, members: dict[str, Any]) -> None:
    """Set members of a device; None removes one."""
    described = {**_device(state, profile, key), **members}
    kept = {name: value for name, value in described.items() if value is not None}
    put(state, profile, ("devices", "devices", key_in_section(key[1], key[2])), kept)


def give(step: Step, profile: Profile, key: Identifier, device: dict[str, Any]) -> None:
    """Give a profile a device. Of too many those go that were heard of longest ago."""
    state = step.state
    entry = device | {"last_seen": step.request.accepted_us}
    put(state, profile, ("devices", "devices", key_in_section(key[1], key[2])), entry)
    state.add_identifier(profile, key)
    devices: dict[str, Any] = state.section(profile, DEVICES)["devices"]
    # A request may give somebody many devices at the same moment: the one in hand stays.
    others = {name: one for name, one in devices.items() if name != key_in_section(key[1], key[2])}
    for oldest in oldest_beyond(others, "last_seen", state.settings.max_devices_per_profile - 1):
        _take(state, profile, oldest, others[oldest])


def _take(state: State, profile: Profile, key: str, device: dict[str, Any]) -> None:
    put(state, profile, ("devices", "devices", key), None)
    if "id" in device:
        state.drop_identifier(profile, device_key(device["app"], device["id"]))


def _move(step: Step, key: Identifier, source: Profile, target: Profile) -> None:
    """Move a device, with its push tokens, to another profile."""
    state = step.state
    device = _device(state, source, key)
    device = {name: value for name, value in device.items() if name != "session_at"}  # it was the other person's
    tokens = {
        token: entry
        for token, entry in tokens_of(state.section(source, DEVICES)).items()
        if (entry.get("app"), entry.get("device_id")) == key[1:]
    }
    _take(state, source, key_in_section(key[1], key[2]), device)
    give(step, target, key, device)
    for token, entry in tokens.items():
        take_token(state, source, token)
        put(state, target, ("devices", "tokens", token), entry)
        state.add_identifier(target, (TOKEN, "", token))
    if tokens:
        bound_tokens(state, target, tokens)
    touch(step, source)
    touch(step, target)


def _said(step: Step, profile: Profile, command: ChangeUser | LogOut, *, moved: bool) -> None:
    """Remember that somebody logged in or out. A call of a tracking SDK has no place among the records."""
    if command.sequence:
        batches = _batches(step.state, profile, command.identifier).after(command.sequence, moved=moved)
        set_members(step.state, profile, command.identifier, {"batches": batches.stored()})


def touch(step: Step, profile: Profile) -> None:
    """The profile was written by the command in hand."""
    step.state.touch(profile, step.request.accepted_us, step.ordinal)
