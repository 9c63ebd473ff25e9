"""What is told of messages: when a person got them, and what the person did with them (spec merge.md 3).

The section `messages` of a profile has four parts:

* `received`: {kind: last moment}, a kind being a channel and what happened, such as `email_opened`.
* `campaigns` and `canvases`: {id: {kind: last moment}}. A canvas is a workflow.
* `history`: {id: the message or the engagement}, the newest ones.
"""

from typing import Any, Final

from app.domain import guard, resolve, sizes, spam
from app.domain.commands import RecordMessage
from app.domain.numbers import greatest
from app.domain.profile import MESSAGES
from app.domain.reasons import PROFILE_BLOCKED, PROFILE_FULL, PROFILE_NOT_FOUND
from app.domain.step import Step

#: By what messages go.
CHANNELS: Final = ("email", "push", "sms", "whatsapp", "in_app_message", "content_card", "webhook")
#: What happens to a message.
ENGAGEMENTS: Final = ("received", "opened", "clicked", "converted")
#: What happens in a canvas without a message.
CANVAS_STEPS: Final = ("entered", "exited")


def record(step: Step, command: RecordMessage) -> None:
    """Record a message or an engagement of a person who is there. The same id again changes nothing but dates."""
    profile = resolve.find(step.state, command.identifier)
    if profile is None:
        step.refuse(command, PROFILE_NOT_FOUND)
        return
    if spam.is_blocked(profile):
        step.refuse(command, PROFILE_BLOCKED)
        return
    us = step.request.accepted_us if command.time_us is None else min(command.time_us, step.request.accepted_us)
    before = step.state.section(profile, MESSAGES)
    after = _recorded(step, before, command, us)
    grown = sizes.growth(before, after)
    if not guard.has_room(profile, grown, step.state.settings):
        step.refuse(command, PROFILE_FULL)
        return
    profile.messages = after
    profile.size += grown
    step.state.touch(profile, step.request.accepted_us, step.ordinal)
    step.state.changed(profile, MESSAGES)


def _recorded(step: Step, before: dict[str, Any], command: RecordMessage, us: int) -> dict[str, Any]:
    """The section with the message. Nothing is changed in place: plans of merges may hold what there is."""
    section, most = dict(before), step.state.settings.message_max
    if command.kind not in CANVAS_STEPS:
        section["received"] = dict(section.get("received", {}))
        _note(section["received"], command.kind, us)
    for name, found in (("campaigns", command.campaign_id), ("canvases", command.canvas_id)):
        if found is not None:
            summaries = section[name] = dict(section.get(name, {}))
            summaries[found] = dict(summaries.get(found, {}))
            _note(summaries[found], command.kind, us)
            _keep_newest(summaries, most, lambda summary: max(summary.values()))
    history = section["history"] = dict(section.get("history", {}))
    history[command.message_id or _place(step)] = _entry(command, us)
    _keep_newest(history, most, lambda entry: int(entry["at"]))
    return section


def _note(moments: dict[str, Any], kind: str, us: int) -> None:
    moments[kind] = greatest(moments.get(kind), us)


def _place(step: Step) -> str:
    """The id of an entry whose sender gave none."""
    return f"{step.request.stream}.{step.request.seq}.{step.ordinal}"


def _entry(command: RecordMessage, us: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"at": us, "kind": command.kind}
    for name in ("campaign_id", "canvas_id"):
        value = getattr(command, name)
        if value is not None:
            entry[name] = value
    return entry


def _keep_newest(entries: dict[str, Any], most: int, moment: Any) -> None:
    """Drop the oldest entries beyond `most`."""
    while len(entries) > most:
        del entries[min(entries, key=lambda name: (moment(entries[name]), name))]
