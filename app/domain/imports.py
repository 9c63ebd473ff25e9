"""What a user of a file does to a profile: makes it, or fills what it lacks. The same user again changes nothing.

Of an existing profile `braze_id`, `created_at` and `random_bucket` stay. Otherwise what is told fills what is missing,
and of counts the larger one stays; with `overwrite` what is told goes before. Nothing is taken from other profiles: an
identifier that somebody else has is left out, with a reason. Values are in app.domain.import_values.
"""

from collections.abc import Iterable

from app.domain import history, reasons, spam
from app.domain.commands import ImportUser, Selector
from app.domain.identifiers import ChannelAddress, addresses_of, device_key
from app.domain.import_values import Filling, fill
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CHANNEL_FIELDS,
    CHANNEL_KINDS,
    CORE,
    DEPRECATED,
    EXTERNAL,
    TOKEN,
    Identifier,
    Profile,
)
from app.domain.state import State
from app.domain.step import Step


def keys(command: ImportUser) -> list[Identifier]:
    """By what a profile is looked for, in this order: the external id, the braze_id, the first alias."""
    user = command.user
    found: list[Identifier] = []
    if user.external_id is not None:
        found.append((EXTERNAL, "", user.external_id))
    if user.braze_id is not None:
        found.append((BRAZE, "", user.braze_id))
    if user.aliases:
        label = min(user.aliases)
        found.append((ALIAS, label, user.aliases[label]))
    return found


def apply(step: Step, command: ImportUser) -> None:
    """Give a profile what is told of a user. One that nobody has is made."""
    for name, reason in command.ignored:
        step.skip(command, reason, name)
    profile = _found(step.state, command)
    if profile is not None and spam.is_blocked(profile):
        step.refuse(command, reasons.PROFILE_BLOCKED)
        return
    is_new = profile is None
    if profile is None:
        profile = _made(step, command)
    filling = Filling(step, profile, command)
    _identify(filling, is_new=is_new)
    fill(filling)
    if filling.changed or is_new:
        step.state.touch(profile, step.request.accepted_us, step.ordinal)
        step.state.changes.counts.attributes += 1


def _found(state: State, command: ImportUser) -> Profile | None:
    """Whom the file means. An alias alone finds nobody who has another external id."""
    for key in keys(command):
        profile = state.owner(key)
        if profile is None:
            continue
        sent = command.user.external_id
        if key[0] == ALIAS and sent is not None and profile.external_id not in (None, sent):
            continue
        return profile
    return None


def _made(step: Step, command: ImportUser) -> Profile:
    user, now_us = command.user, step.request.accepted_us
    created_us = now_us if user.created_us is None else min(user.created_us, now_us)
    profile = step.new_profile(braze_id=user.braze_id, created_us=created_us)
    if user.random_bucket is not None:
        profile.random_bucket = user.random_bucket
    if user.created_from is not None:
        profile.created_from = user.created_from
    return profile


def _identify(filling: Filling, *, is_new: bool) -> None:
    """Give the profile the external id, the former ones and the aliases that it lacks and nobody else has."""
    step, profile, user = filling.step, filling.profile, filling.command.user
    state = step.state
    if user.external_id is not None and profile.external_id != user.external_id:
        key: Identifier = (EXTERNAL, "", user.external_id)
        if user.external_id in state.section(profile, CORE).get("deprecated", ()):
            pass  # it was renamed since
        elif profile.external_id is not None:
            filling.skip(reasons.IDENTIFIED_OTHERWISE, "external_id")
        elif filling.may_have(key, reasons.EXTERNAL_ID_TAKEN, "external_id"):
            profile.external_id = user.external_id
            state.add_identifier(profile, key)
            state.changed(profile, 0)
            filling.changed = True
            if not is_new:
                step.happened(profile, history.IDENTIFIED)
            state.changes.counts.identified += 1
    for former in user.former:
        had: list[str] = state.section(profile, CORE).get("deprecated", [])
        if former in had or former == profile.external_id:
            continue
        if state.holders((EXTERNAL, "", former)):
            filling.skip(reasons.EXTERNAL_ID_TAKEN, "former_external_ids")
        elif filling.may_have((DEPRECATED, "", former), reasons.EXTERNAL_ID_TAKEN, "former_external_ids"):
            state.set_core(profile, "deprecated", [*had, former])
            state.add_identifier(profile, (DEPRECATED, "", former))
            filling.changed = True
    for label, name in sorted(user.aliases.items()):
        aliases: dict[str, str] = state.section(profile, CORE).get("aliases", {})
        if aliases.get(label) == name:
            continue
        if label in aliases:
            filling.skip(reasons.LABEL_TAKEN, label)
        elif filling.may_have((ALIAS, label, name), reasons.ALIAS_TAKEN, label):
            state.add_alias(profile, label, name)
            state.changes.counts.aliases += 1
            filling.changed = True


# What has to be loaded.


def selectors(command: ImportUser) -> list[Selector]:
    """Who else the file may mean."""
    return [Selector(key) for key in keys(command) if key != command.identifier]


def taken(command: ImportUser) -> Iterable[Identifier]:
    """What the profile gets if nobody has it."""
    user = command.user
    found: list[Identifier] = [(ALIAS, label, name) for label, name in user.aliases.items()]
    found += [(kind, "", value) for value in user.former for kind in (EXTERNAL, DEPRECATED)]
    found += [(TOKEN, "", token) for token in user.tokens]
    found += [device_key(str(device["app"]), str(device["id"])) for device in user.devices.values() if "id" in device]
    return found


def addresses_given(command: ImportUser) -> list[Identifier]:
    """The e-mail address and the phone number that are told."""
    given = ((CHANNEL_KINDS[channel], command.user.fields.get(field)) for channel, field in CHANNEL_FIELDS.items())
    return [(kind, "", value) for kind, value in given if isinstance(value, str)]


def addresses(command: ImportUser, state: State, _moving: bool) -> set[ChannelAddress]:
    """Those, and what whoever may be meant has now."""
    channels = {kind: channel for channel, kind in CHANNEL_KINDS.items()}
    found = {(channels[kind], value) for kind, _, value in addresses_given(command)}
    for key in keys(command):
        for profile in state.found_by(key):
            found |= addresses_of(profile)
    return found
