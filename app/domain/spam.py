"""Profiles of nobody: one identifier that collects what thousands do, such as the same external id in every browser.

A profile that exceeds a bound is blocked: it takes no further data and is not merged (spec lifecycle.md 6, D34). What
it has stays. Its deletion ends the block, and so does an operator, who may also give it: it is a flag.
"""

from app.domain import history
from app.domain.profile import EVENTS, PURCHASES, SPAM_BLOCKED, Profile
from app.domain.settings import ApplySettings
from app.domain.step import Step


def is_blocked(profile: Profile) -> bool:
    """Whether the profile takes no further data."""
    return bool(profile.flags & SPAM_BLOCKED)


def check(step: Step, profile: Profile, section: int = 0) -> None:
    """Block the profile if it has too many sessions; or, of a section that it has just got a name in, too many names.

    Only names that are new count: whoever lifts a block is not to find it there again at the next event.
    """
    if not is_blocked(profile) and _exceeds(step, profile, section):
        profile.flags |= SPAM_BLOCKED
        step.state.changed(profile, 0)  # its row
        step.happened(profile, history.BLOCKED)
        step.state.changes.counts.blocked += 1


def check_merged(step: Step, profile: Profile) -> None:
    """The same for a profile that another one was merged into."""
    for section in (EVENTS, PURCHASES):
        check(step, profile, section)


def _exceeds(step: Step, profile: Profile, section: int) -> bool:
    settings = step.state.settings
    if 0 < settings.spam_sessions < profile.session_count:
        return True
    most = _most_names(settings, section)
    return 0 < most < len(step.state.section(profile, section)) if section else False


def _most_names(settings: ApplySettings, section: int) -> int:
    return settings.spam_event_names if section == EVENTS else settings.spam_product_ids
