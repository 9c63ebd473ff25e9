"""Archival: profiles that nobody has heard of for long, and that no message reaches, are deleted (spec lifecycle.md 5).

*Dormant* is who has had no session, message or update for a year. *Inactive* is who has had none for half a year and is
unreachable on every channel. Whoever comes again afterwards is a new profile.
"""

from collections.abc import Callable, Mapping
from typing import Final

from app.domain import reasons
from app.domain.commands import Archive
from app.domain.profile import (
    BRAZE,
    CHANNEL_EMAIL,
    CHANNEL_PHONE,
    GLOBAL_CONTROL_GROUP,
    HARD_BOUNCED,
    INVALID,
    SPAM,
    TEST_USER,
    UNSUBSCRIBED,
    AddressState,
    Profile,
    is_group,
)
from app.domain.step import Step
from app.domain.times import DAY

#: Half a year, and a year.
INACTIVE_US: Final = 183 * DAY
DORMANT_US: Final = 365 * DAY
#: Never archived, whatever they do.
KEPT: Final = TEST_USER | GLOBAL_CONTROL_GROUP

Topics = Callable[[int, str], Mapping[str, AddressState]]
"""(channel, address) -> what is recorded of it, by topic."""


def archive(step: Step, command: Archive) -> None:
    """Delete a profile if all of that is so now: some time has passed since somebody looked."""
    profile = step.state.owner((BRAZE, "", command.braze_id))
    if profile is None:
        step.refuse(command, reasons.PROFILE_NOT_FOUND)
    elif not is_over(profile, step.state.topics, command.us):
        step.refuse(command, reasons.STILL_ACTIVE)
    else:
        step.state.remove(profile, step.erased_id(profile), step.origin())
        step.state.changes.counts.deleted += 1


def is_over(profile: Profile, topics: Topics, us: int) -> bool:
    """Whether a profile with all sections is dormant or inactive at a moment."""
    if profile.flags & KEPT:
        return False
    last = last_activity(profile)
    return last < us - DORMANT_US or (last < us - INACTIVE_US and not is_reachable(profile, topics))


def last_activity(profile: Profile) -> int:
    """The last session, message or update."""
    received = (profile.messages or {}).get("received")
    messages = received.values() if isinstance(received, dict) else ()
    return max(profile.updated_us, profile.last_session_us or 0, *messages)


def is_reachable(profile: Profile, topics: Topics) -> bool:
    """Whether a message of any channel could reach the person: a push token, an e-mail address that did not bounce or
    unsubscribe, a valid number in a subscription group."""
    core, devices = profile.core or {}, profile.devices or {}
    push = core.get("push_subscribe")
    if devices.get("tokens") and not (isinstance(push, list) and push[0] == UNSUBSCRIBED):
        return True
    email, phone = core.get("email"), core.get("phone")
    if isinstance(email, str):
        known = topics(CHANNEL_EMAIL, email)
        state = known.get("")
        if not (known.keys() & {HARD_BOUNCED, SPAM}) and (state is None or state.state != UNSUBSCRIBED):
            return True
    if isinstance(phone, str):
        known = topics(CHANNEL_PHONE, phone)
        groups = [state for topic, state in known.items() if is_group(topic)]
        return INVALID not in known and any(state.state != UNSUBSCRIBED for state in groups)
    return False
