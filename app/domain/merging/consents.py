"""What a merge does to the consent of addresses (spec merge.md 3, DECISIONS D11). It never makes one more permissive.

States belong to addresses, so nothing happens to those of an address that stays, or that moves to the kept profile. A
profile without an address keeps its own states: they join those of the address that it is merged with.
"""

from collections.abc import Callable, Iterator
from typing import Any

from app.domain.address_book import NotLoadedError
from app.domain.merging.leaves import stricter
from app.domain.merging.plan import Consent, MergePlan
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_FIELDS,
    GROUP_FIELDS,
    SUBSCRIBED,
    SUBSCRIPTION_STATES,
    AddressState,
    Profile,
    is_group,
)

TopicsOf = Callable[[int, str], dict[str, AddressState]]
"""(channel, address) -> what is recorded of it, by topic."""


def email_consent(kept: Profile, merged: Profile, email: object, topics_of: TopicsOf) -> Consent | None:
    """A profile without e-mail address may have refused e-mail. The kept profile's address then gets that state, and
    never a more permissive one. `email` is the one that it has afterwards."""
    if not isinstance(email, str):
        return None
    own = None
    for profile in (kept, merged):
        if "email" not in _core(profile):
            own = stricter(own, _core(profile).get("email_subscribe"))
    if own is None:
        return None
    recorded = topics_of(CHANNEL_EMAIL, email).get("")
    effective = SUBSCRIBED if recorded is None else recorded.state
    if SUBSCRIPTION_STATES.index(own[0]) >= SUBSCRIPTION_STATES.index(effective):
        return None
    return Consent((CHANNEL_EMAIL, email, ""), recorded, AddressState(own[0], own[1]))


def group_consents(
    kept: Profile, merged: Profile, afterwards: dict[str, Any], topics_of: TopicsOf
) -> tuple[Consent, ...]:
    """States of groups that the addresses get which the kept profile has `afterwards`.

    Where the merged profile has another address, its states count for groups of which the kept one's has none.
    """
    changes = []
    for channel, field in CHANNEL_FIELDS.items():
        address = afterwards.get(field)
        if not isinstance(address, str):
            continue
        recorded = topics_of(channel, address)
        for profile in (kept, merged):
            had = _core(profile).get(field)
            if had == address:
                continue
            for group, (state, changed_us) in _states(profile, channel, topics_of).items():
                before = recorded.get(group)
                after = AddressState(state, changed_us)
                if before is None or (had is None and is_refusal(after, before)):
                    recorded[group] = after
        before_all = topics_of(channel, address)
        changes += [
            Consent((channel, address, group), before_all.get(group), after)
            for group, after in recorded.items()
            if after != before_all.get(group)
        ]
    return tuple(changes)


def consents(plan: MergePlan) -> Iterator[Consent]:
    """All states of addresses that a merge changes."""
    if plan.consent is not None:
        yield plan.consent
    yield from plan.groups


def is_refusal(one: AddressState, other: AddressState | None) -> bool:
    """Whether a state is more restrictive than another one; None counts as subscribed, as it does for e-mail."""
    effective = SUBSCRIBED if other is None else other.state
    return SUBSCRIPTION_STATES.index(one.state) < SUBSCRIPTION_STATES.index(effective)


def _states(profile: Profile, channel: int, topics_of: TopicsOf) -> dict[str, Any]:
    address = _core(profile).get(CHANNEL_FIELDS[channel])
    if not isinstance(address, str):
        own: dict[str, Any] = _core(profile).get(GROUP_FIELDS[channel], {})
        return own
    topics = topics_of(channel, address)
    return {topic: (found.state, found.changed_us) for topic, found in topics.items() if is_group(topic)}


def _core(profile: Profile) -> dict[str, Any]:
    if profile.core is None:
        raise NotLoadedError("section")
    return profile.core
