"""Merge: two people are chosen and shown side by side with what a merge would do. Undo: what that would do."""

from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.console.people import shown
from app.console.people.shown import Listed, Shown
from app.contract import addresses, merge_records
from app.contract import people as contract
from app.contract.cursor import Page as Part
from app.contract.errors import RefusedError
from app.domain.profile import Profile
from app.services.accounts import OPERATOR
from app.services.refusals import NotUndoneError, UnknownProfileError

#: People of whom one may be chosen.
CANDIDATES: Final = 10

#: Why a merge had or would have no effect.
REASONS: Final = {
    "same_profile": "Both are the same person.",
    "profile_not_found": "One of them is not there any more.",
    "control_group": "One of them is in the global control group, and such a person is never merged.",
    "marked_for_deletion": "One of them is about to be deleted with a segment.",
    "profile_blocked": "One of them is blocked as no person's.",
    "too_many_merges": "The person would have more merges than a person may have.",
    "too_many_identifiers": "The person would have more identifiers than a person may have.",
    "profile_full": "The person would be larger than a person may be.",
}
#: No reason against it: the kept person has an alias of the same label.
_IN_PART: Final = "alias_retired"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two people: what was searched for, and who is meant or may be meant."""

    sought: str
    person: Shown | None = None
    candidates: tuple[tuple[str, str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a merge would do, or why it would have no effect."""

    changes: Listed
    lost: Listed
    moved: list[str]
    retired: list[str]
    reason: str = ""


async def choose(visit: Visit) -> Response:
    return await _choose(visit, visit.query["keep"].strip(), visit.query["merge"].strip())


async def do_merge(visit: Visit) -> Response:
    keep, merge = visit.form["keep"].strip(), visit.form["merge"].strip()
    if not keep or not merge:
        return await _choose(visit, keep, merge, "Choose two people.", 422)
    reason = await visit.services.merges.merge(visit.caller, merge, keep)
    if reason and reason != _IN_PART:
        return await _choose(visit, keep, merge, _sentence(reason), 409)
    return visit.go(f"/people/{keep}/why", "They are one person now. Here is why, and here it can be taken back.")


async def show_undo(visit: Visit) -> Response:
    return await _undo_page(visit)


async def do_undo(visit: Visit) -> Response:
    merge_id = visit.target = visit.path["merge_id"]
    try:
        undone = await visit.services.merges.undo(visit.caller, merge_id)
    except NotUndoneError:
        visit.target = ""
        raise
    said = "This person is one of their own again."
    if undone.record.unseparated:
        said += " Of the other one could not be separated for sure: " + ", ".join(
            merge_records.name_of(tuple(path.split("."))) for path in undone.record.unseparated
        )
    return visit.go(f"/people/{undone.record.merged_braze_id}", said)


async def _undo_page(visit: Visit) -> Response:
    """What an undo would do, with the button that does it."""
    seen = await visit.services.merges.undo_preview(visit.caller, visit.path["merge_id"])
    plan = seen.value
    document: Any = merge_records.undo_plan(plan)
    return visit.show(
        "merging/undo.html",
        merge_id=plan.record.id,
        braze_id=plan.root_braze_id,
        restored=plan.record.merged_braze_id,
        identifiers=[shown.identifier(each) for each in document["restored_identifiers"]],
        changes=shown.changes(document["changes"], ("now", "after")),
        unseparated=document["unseparated"],
        later=plan.later,
        stale=seen.stale,
    )


async def _choose(visit: Visit, keep: str, merge: str, wrong: str = "", status: int = 200) -> Response:
    kept, merged = await _side(visit, keep), await _side(visit, merge)
    outlook = None
    if kept.person is not None and merged.person is not None:
        outlook = await _outlook(visit, merged.person, kept.person)
    return visit.show("merging/choose.html", status, kept=kept, merged=merged, outlook=outlook, wrong=wrong)


async def _side(visit: Visit, sought: str) -> Side:
    """Who is meant by a text: the one whose braze_id it is, else the one whom a search finds alone."""
    if not sought:
        return Side("")
    try:
        query = contract.read_query(
            {"search": sought, "limit": str(CANDIDATES)}, addresses.region_of(visit.caller.options)
        )
    except RefusedError as refused:
        return Side(sought, note=refused.message)
    found = (await visit.services.people.find(visit.caller, query)).value.profiles
    exact = [profile for profile in found if profile.braze_id == sought]
    if len(exact or found) != 1:
        return Side(sought, None, tuple(map(_candidate, found)), "" if found else "Nobody is found.")
    try:
        person = await visit.services.people.show(visit.caller, (exact or found)[0].braze_id, Part(1))
    except UnknownProfileError:  # gone in between
        return Side(sought, note="Nobody is found.")
    return Side(sought, shown.person(person.value))


def _candidate(profile: Profile) -> tuple[str, str, str]:
    """(braze_id, name, what tells them from others)."""
    row = contract.row(profile)
    others = [str(row[name]) for name in ("external_id", "email", "phone") if row.get(name)]
    return profile.braze_id, shown.name_of(row), shown.text(", ".join(others))


async def _outlook(visit: Visit, merged: Shown, kept: Shown) -> Outlook:
    preview = await visit.services.merges.preview_pair(visit.caller, merged.braze_id, kept.braze_id)
    records = [record for record in preview.value.records if record.plan is not None]
    if not records or records[0].plan is None:
        reason = preview.value.problems[0].reason if preview.value.problems else "profile_not_found"
        return Outlook(Listed([], 0), Listed([], 0), [], [], _sentence(reason))
    plan: Any = merge_records.plan(records[0].plan)
    columns = ("kept", "merged", "result")
    return Outlook(
        shown.changes(plan["changes"], columns),
        shown.changes(plan["lost"], columns),
        [shown.identifier(each) for each in plan["moved_identifiers"]],
        [shown.identifier(each) for each in plan["retired_identifiers"]],
    )


def _sentence(reason: str) -> str:
    return REASONS.get(reason, f"The merge has no effect: {reason.replace('_', ' ')}.")


PAGES: Final = (
    Page(f"{WORKSPACE}/merges", choose, title="Merge"),
    Page(f"{WORKSPACE}/merges", do_merge, role=OPERATOR, method="POST", act="people.merge"),
    Page(f"{WORKSPACE}/merges/{{merge_id}}/undo", show_undo),
    Page(f"{WORKSPACE}/merges/{{merge_id}}/undo", do_undo, role=OPERATOR, method="POST", act="people.undo_merge"),
)
