"""Calls of tracking SDKs (DECISIONS.md D74): the anonymous id of a call is a device of the app.

A call that names a device and a person is a log-in, as in app.domain.sdk. Other calls of the same visitor may arrive in
any order: what a call with both ids says goes to the person, whoever had the device before.
"""

from app.domain import reasons, sdk
from app.domain.commands import Selector
from app.domain.device_commands import AliasUser, CallUser, DropCall, Visit
from app.domain.profile import EXTERNAL
from app.domain.step import Step


def visit(step: Step, command: Visit) -> None:
    """Find the device of a call, or make an anonymous profile for it."""
    state, key = step.state, command.identifier
    profile = state.owner(key)
    step.withheld = None
    if profile is None:
        profile = sdk.anonymous(step)
        sdk.give(step, profile, key, {"app": key[1], "id": key[2]})
    elif command.signed and profile.external_id is not None and not sdk.is_person(state, profile, command.signed_by):
        step.withheld = (command.index, reasons.NOT_SIGNED)
    else:
        sdk.set_members(state, profile, key, {"last_seen": step.request.accepted_us})
    sdk.touch(step, profile)


def call_user(step: Step, command: CallUser) -> None:
    """Log in whom the call names. Nearly always that is who has the device."""
    profile = sdk.owner_of(step, command.identifier)
    if not sdk.is_person(step.state, profile, command.external_id):
        sdk.change_user(step, command)


def alias_user(step: Step, command: AliasUser) -> None:
    """Identify an anonymous visitor. Two people who are known are never merged.

    A device that nobody has yet is given to the person: what it did may still be on its way.
    """
    state, key = step.state, command.identifier
    previous = state.owner(key)
    if previous is None:
        previous = state.owner((EXTERNAL, "", key[2]))
    if previous is not None and previous.external_id is not None:
        known = sdk.is_person(state, previous, command.external_id)
        step.refuse(command, reasons.ALREADY_IDENTIFIED if known else reasons.IDENTIFIED_OTHERWISE)
        return
    if previous is None:
        sdk.give(step, sdk.anonymous(step), key, {"app": key[1], "id": key[2]})
    sdk.change_user(step, command)


def drop(step: Step, command: DropCall) -> None:
    """Say why the call has no effect."""
    step.refuse(command, command.reason)


def selectors_of_alias(command: AliasUser) -> tuple[Selector, ...]:
    """The device, who it may be instead, and who the visitor is."""
    return (
        Selector(command.identifier),
        Selector((EXTERNAL, "", command.identifier[2])),
        Selector((EXTERNAL, "", command.external_id)),
    )
