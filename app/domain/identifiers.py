"""The identifiers of a profile, and what else leads to it."""

from typing import Any, Final

from app.domain.merging.plan import MergeRecord
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CHANNEL_FIELDS,
    CHANNEL_KINDS,
    DEPRECATED,
    DEVICE,
    EMAIL,
    EXTERNAL,
    PHONE,
    TOKEN,
    Identifier,
    Profile,
)

#: (channel, address)
ChannelAddress = tuple[int, str]

#: Kinds of which one profile of a workspace can have a value. Many may have an e-mail address or a phone number.
UNIQUE_KINDS: Final = (EXTERNAL, ALIAS, BRAZE, TOKEN, DEVICE)
#: Kinds that come and go with devices. The bound of identifiers does not count them: devices have one of their own.
DEVICE_KINDS: Final = (TOKEN, DEVICE)

#: Fields of `core` that are identifiers.
FIELD_KINDS: Final = {"email": EMAIL, "phone": PHONE}


def with_former(identifier: Identifier) -> tuple[Identifier, ...]:
    """All that has to be looked up for an identifier: a former external id leads to its profile as well.

    The former one counts only where nobody has it as the present one, so it comes second.
    """
    kind, _, value = identifier
    return (identifier, (DEPRECATED, "", value)) if kind == EXTERNAL else (identifier,)


def identifiers_of(profile: Profile) -> set[Identifier]:
    """Every identifier of a profile that is kept in the index; the profile itself is where they are stored."""
    return identifiers_from(profile.external_id, profile.core or {}, profile.devices or {})


def identifiers_from(external_id: str | None, core: dict[str, Any], devices: dict[str, Any]) -> set[Identifier]:
    """The identifiers of a profile with this external id and these sections `core` and `devices`."""
    identifiers: set[Identifier] = set()
    if external_id is not None:
        identifiers.add((EXTERNAL, "", external_id))
    identifiers.update((DEPRECATED, "", value) for value in core.get("deprecated", ()))
    identifiers.update((ALIAS, label, name) for label, name in core.get("aliases", {}).items())
    for name, kind in FIELD_KINDS.items():
        if core.get(name) is not None:
            identifiers.add((kind, "", core[name]))
    if devices:
        identifiers.update((TOKEN, "", token) for token in devices.get("tokens", ()))
        identifiers.update(
            device_key(device["app"], device["id"])
            for device in devices.get("devices", {}).values()
            if "id" in device  # those of imports from elsewhere are only described
        )
    return identifiers


def device_key(app_id: str, device_id: str) -> Identifier:
    """The identifier of a device of an app. Two apps never share a device, whatever ids they gave."""
    return (DEVICE, app_id, device_id)


def names_of(profile: Profile) -> set[str]:
    """The values of everything by which a profile is addressed."""
    return {value for _, _, value in identifiers_of(profile)} | {profile.braze_id}


def names_merged(record: MergeRecord) -> set[str]:
    """What the profile that was merged away was called, as far as the record still knows."""
    names = {record.merged_braze_id}
    if record.plan is not None:
        names |= {value for _, _, value in (*record.plan.moved, *record.plan.retired)}
    return names | names_of(record.snapshot) if record.snapshot is not None else names


def addresses_of(profile: Profile) -> set[ChannelAddress]:
    """The e-mail address and the phone number of a profile, as far as it has them."""
    core = profile.core or {}
    found = ((channel, core.get(field)) for channel, field in CHANNEL_FIELDS.items())
    return {(channel, address) for channel, address in found if isinstance(address, str)}


def addresses_merged(record: MergeRecord) -> set[ChannelAddress]:
    """What addresses the profile that was merged away had, as far as the record still knows."""
    found = set[ChannelAddress]() if record.snapshot is None else addresses_of(record.snapshot)
    if record.plan is not None:
        channels = {kind: channel for channel, kind in CHANNEL_KINDS.items()}
        names = (*record.plan.moved, *record.plan.retired)
        found |= {(channels[kind], value) for kind, _, value in names if kind in channels}
    return found
