"""Devices of apps, and push tokens: parts of the section `devices` (spec attributes.md 7, lifecycle.md 4).

A device and a push token belong to one profile of the workspace each, so both are identifiers. A profile has at most
`max_devices_per_profile` of either: those that were heard of longest ago go.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

from app.domain import ids, reasons
from app.domain.commands import CleanUpImport, Command, Selector, TrackTokens
from app.domain.identifiers import identifiers_of
from app.domain.identity import combine
from app.domain.merging.devices import oldest_beyond
from app.domain.merging.merge import MERGE, put
from app.domain.profile import BRAZE, DEVICES, GLOBAL_CONTROL_GROUP, TEST_USER, TOKEN, Profile
from app.domain.state import State
from app.domain.step import Step

#: Profile.created_from of whoever is known by an imported push token alone.
IMPORTED: Final = "pti"


def tokens_of(section: dict[str, Any]) -> dict[str, Any]:
    """{push token: what is known of it}."""
    found: dict[str, Any] = section.get("tokens", {})
    return found


def selectors_of_tokens(command: TrackTokens) -> Iterable[Selector]:
    """Who may lose a push token, or be merged because of it."""
    tokens: Any = command.fields["push_tokens"]
    return [Selector((TOKEN, "", token)) for _, _, token, _ in tokens]


def set_tokens(step: Step, profile: Profile, command: Command, tokens: Any) -> None:
    """Give a profile push tokens: [[app, platform, token, device or None], …]. Whoever had one has it no more."""
    for n, (app_id, platform, token, device_id) in enumerate(tokens):
        set_token(step, profile, command, token, {"app": app_id, "platform": platform, "device_id": device_id}, n)


def set_token(step: Step, profile: Profile, command: Command, token: str, entry: dict[str, Any], n: int = 0) -> None:
    """As `set_tokens`, for one. A temporary profile, which was known by nothing else, is merged into the new owner."""
    state, request = step.state, step.request
    known = tokens_of(state.section(profile, DEVICES)).get(token, {})
    if entry["device_id"] is None:
        made = ids.device_id(step.secret, step.workspace_id, request.stream, request.seq, step.ordinal, n)
        entry["device_id"] = known.get("device_id", made)
    owner = state.owner((TOKEN, "", token))
    if owner is not None and owner is not profile:
        take_token(state, owner, token)
        if is_temporary(owner) and not tokens_of(state.section(owner, DEVICES)):
            combine(step, command, profile, owner, MERGE)
    if owner is not profile:
        state.add_identifier(profile, (TOKEN, "", token))
    put(state, profile, ("devices", "tokens", token), entry | {"at": request.accepted_us})
    bound_tokens(state, profile, {token})


def bound_tokens(state: State, profile: Profile, in_hand: Collection[str]) -> None:
    """Of too many push tokens those go that were heard of longest ago. A request may give somebody many at the same
    moment: those in hand stay."""
    others = {name: one for name, one in tokens_of(state.section(profile, DEVICES)).items() if name not in in_hand}
    for oldest in oldest_beyond(others, "at", max(0, state.settings.max_devices_per_profile - len(in_hand))):
        take_token(state, profile, oldest)


def take_token(state: State, profile: Profile, token: str) -> None:
    """Take a push token away from its owner."""
    put(state, profile, ("devices", "tokens", token), None)
    state.drop_identifier(profile, (TOKEN, "", token))


def is_temporary(profile: Profile) -> bool:
    """Whether nobody knows more of a profile than a push token that was imported."""
    return profile.created_from == IMPORTED and profile.external_id is None


def is_left(profile: Profile) -> bool:
    """Whether nobody can address a temporary profile any more, since its push token is gone. Needs `core` and
    `devices`."""
    kept = profile.flags & (TEST_USER | GLOBAL_CONTROL_GROUP)
    return is_temporary(profile) and not kept and not identifiers_of(profile)


def clean_up(step: Step, command: CleanUpImport) -> None:
    """Delete a profile if it is left: some time has passed since somebody looked (spec lifecycle.md 5)."""
    profile = step.state.owner((BRAZE, "", command.braze_id))
    if profile is None:
        step.refuse(command, reasons.PROFILE_NOT_FOUND)
    elif not is_left(profile):
        step.refuse(command, reasons.STILL_KNOWN)
    else:
        step.state.remove(profile, step.erased_id(profile), step.origin())
        step.state.changes.counts.deleted += 1


def uninstalled(state: State, profile: Profile, app_id: str | None, us: int) -> None:
    """An app is gone, any of them for None: its push tokens that were not registered since reach nobody."""
    for token, entry in list(tokens_of(state.section(profile, DEVICES)).items()):
        if (app_id is None or entry.get("app") == app_id) and entry.get("at", 0) <= us:
            take_token(state, profile, token)
