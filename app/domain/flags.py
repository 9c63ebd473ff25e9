"""Flags that operators give to people: test users, the global control group, and blocked ones (spec README.md 6,
merge.md 1.3, lifecycle.md 6).

Whoever is in the global control group is never merged with anybody: see app.domain.guard. A profile may also be blocked
by what it has: see app.domain.spam.
"""

from app.domain import history, resolve
from app.domain.commands import ChangeFlags, Selector
from app.domain.step import Step


def change(step: Step, command: ChangeFlags) -> None:
    """Where several have an e-mail address or a phone number, nobody is meant.

    The profile does not become the most recently updated one by it, since nobody wrote to it (spec README.md 6).
    """
    profile, reason = resolve.select(step.state, Selector(command.identifier))
    if profile is None:
        step.refuse(command, reason)
        return
    flags = (profile.flags | command.on) & ~command.off
    if flags != profile.flags:
        profile.flags = flags
        step.state.changed(profile, 0)  # its row, and no section
        step.happened(profile, history.FLAGGED)
        step.state.changes.counts.flagged += 1
