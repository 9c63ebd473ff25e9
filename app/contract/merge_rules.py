"""Merge rules, their previews and their runs as clients see them: our own endpoints under /v1 (spec merge.md 5)."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract.body import parse_object
from app.contract.cursor import Page
from app.contract.errors import RefusedError
from app.domain.merging.match import NEWEST, PRIORITIZATIONS, TIES, UPDATED_AT, Group, MergeRule
from app.domain.profile import EMAIL, PHONE, Profile

#: What may make duplicates, and the kind of identifier.
IDENTIFIERS: Final[Mapping[str, int]] = {"email": EMAIL, "phone": PHONE}
NAMES: Final = {kind: name for name, kind in IDENTIFIERS.items()}
MAX_GROUPS: Final = 500
DEFAULT_GROUPS: Final = 50
MAX_RUNS: Final = 100
DEFAULT_RUNS: Final = 20

BAD_RULES: Final = (
    "'merge_rules' must be an array of one or two objects with 'identifier', 'resolve_ties_using' and 'prioritization'"
)
BAD_IDENTIFIER: Final = "'identifier' must be one of email, phone, and there is one rule for each"
BAD_TIES: Final = f"'resolve_ties_using' must be one of {', '.join(TIES)}"
BAD_PRIORITIZATION: Final = f"'prioritization' must be one of {', '.join(PRIORITIZATIONS)}"
NO_RULE: Final = "'identifier' must be that of one of the workspace's merge rules"
BAD_RUN: Final = "The body must be an object of at most: identifier"
BAD_PREVIEW: Final = "The body must be an object of at most: identifier, limit, cursor"
BAD_GROUPS: Final = f"'limit' must be an integer between 1 and {MAX_GROUPS}"
BAD_RUNS: Final = f"'limit' must be a number between 1 and {MAX_RUNS}"
BAD_SCHEDULE: Final = "The body must be an object of 'enabled', which is true or false"
UNKNOWN_RUN: Final = "Unknown merge run"
RUN_UNDER_WAY: Final = "A run of merge rules is under way"
UNDO_UNDER_WAY: Final = "The run is being undone already"

COLUMNS: Final = (
    "Email Address",
    "External ID",
    "Phone Number",
    "Braze ID",
    "Identifier for rule",
    "Created from",
    "Profile to keep",
    "Profile to merge",
)
#: A spreadsheet takes what begins so for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """Which groups are wanted: of the rule of a kind of identifier, None = of the first rule."""

    kind: int | None
    page: Page


def read_rules(body: bytes) -> tuple[MergeRule, ...]:
    """The body of PUT /v1/merge_rules. Raises RefusedError(400)."""
    document = parse_object(body) or {}
    array = document.get("merge_rules")
    if document.keys() != {"merge_rules"} or not isinstance(array, list) or not 0 < len(array) <= len(IDENTIFIERS):
        raise RefusedError(400, BAD_RULES)
    rules = tuple(map(_rule, array))
    if len({rule.kind for rule in rules}) < len(rules):
        raise RefusedError(400, BAD_IDENTIFIER)
    return rules


def _rule(value: object) -> MergeRule:
    if not isinstance(value, dict) or not value.keys() <= {"identifier", "resolve_ties_using", "prioritization"}:
        raise RefusedError(400, BAD_RULES)
    ties, prioritization = value.get("resolve_ties_using", UPDATED_AT), value.get("prioritization", NEWEST)
    kind = _kind(value.get("identifier"))
    if ties not in TIES:
        raise RefusedError(400, BAD_TIES)
    if prioritization not in PRIORITIZATIONS:
        raise RefusedError(400, BAD_PRIORITIZATION)
    return MergeRule(kind, ties, prioritization)


def read_run(body: bytes) -> int | None:
    """The body of POST /v1/merge_runs: the kind of the one rule that is wanted, None = all. Raises RefusedError."""
    document = _object(body, {"identifier"}, BAD_RUN)
    return _kind(document["identifier"]) if "identifier" in document else None


def read_preview(body: bytes) -> PreviewRequest:
    """The body of POST /v1/merge_previews. Raises RefusedError(400)."""
    document = _object(body, {"identifier", "limit", "cursor"}, BAD_PREVIEW)
    limit, cursor = document.get("limit", DEFAULT_GROUPS), document.get("cursor", "")
    if type(limit) is not int or not 1 <= limit <= MAX_GROUPS:
        raise RefusedError(400, BAD_GROUPS)
    if not isinstance(cursor, str):
        raise RefusedError(400, BAD_PREVIEW)
    return PreviewRequest(_kind(document["identifier"]) if "identifier" in document else None, Page(limit, cursor))


def read_schedule(body: bytes) -> bool:
    """The body of PUT /v1/merge_schedule. Raises RefusedError(400)."""
    enabled = _object(body, {"enabled"}, BAD_SCHEDULE).get("enabled")
    if not isinstance(enabled, bool):
        raise RefusedError(400, BAD_SCHEDULE)
    return enabled


def read_runs(parameters: Mapping[str, str]) -> Page:
    """The query of GET /v1/merge_runs. Raises RefusedError(400)."""
    limit = parameters.get("limit", str(DEFAULT_RUNS))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 4 and 1 <= int(limit) <= MAX_RUNS):
        raise RefusedError(400, BAD_RUNS)
    return Page(int(limit), parameters.get("cursor", ""))


def rule_of(rules: Iterable[MergeRule], kind: int | None) -> MergeRule:
    """The rule of a kind of identifier, None = the first one. Raises RefusedError(400) where there is none."""
    for rule in rules:
        if kind in (None, rule.kind):
            return rule
    raise RefusedError(400, NO_RULE)


def shown_rule(rule: MergeRule) -> dict[str, object]:
    """A rule as JSON."""
    return {
        "identifier": NAMES[rule.kind],
        "resolve_ties_using": rule.ties,
        "prioritization": rule.prioritization,
    }


def shown_group(group: Group) -> dict[str, object]:
    """A group of a preview as JSON."""
    kind, _, value = group.shared
    document: dict[str, object] = {NAMES[kind]: value, "profiles": group.size}
    if group.keep is not None:
        document["keep"] = _person(group.keep)
        document["merge"] = [_person(profile) for profile in group.merge]
    if group.alone:
        document["left_alone"] = [_person(profile) | {"reason": reason} for profile, reason in group.alone]
    return document | ({"reason": group.reason} if group.reason else {})


def csv_header() -> bytes:
    """The first line of the CSV of a preview."""
    return _csv([COLUMNS])


def csv_rows(groups: Iterable[Group]) -> bytes:
    """A line for each profile of the groups: who is kept, who is merged, and who is left alone."""
    return _csv(_row(group, profile) for group in groups for profile in group.members)


def _row(group: Group, profile: Profile) -> list[str]:
    core = profile.core or {}
    values = (
        core.get("email"),
        profile.external_id,
        core.get("phone"),
        profile.braze_id,
        NAMES[group.shared[0]],
        profile.created_from,
    )
    kept = group.keep is not None and group.keep.pid == profile.pid
    merged = any(one.pid == profile.pid for one in group.merge)
    return [*map(_cell, values), _truth(kept), _truth(merged)]


def _cell(value: object) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _truth(value: bool) -> str:
    return "TRUE" if value else "FALSE"


class _Text(list[str]):
    """What `csv` takes for a file."""

    def write(self, text: str) -> None:
        self.append(text)


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = _Text()
    csv.writer(text).writerows(rows)
    return "".join(text).encode()


def _person(profile: Profile) -> dict[str, object]:
    named: dict[str, object] = {} if profile.external_id is None else {"external_id": profile.external_id}
    return {"braze_id": profile.braze_id, **named}


def _kind(name: object) -> int:
    if not isinstance(name, str) or name not in IDENTIFIERS:
        raise RefusedError(400, BAD_IDENTIFIER)
    return IDENTIFIERS[name]


def _object(body: bytes, known: set[str], refusal: str) -> dict[str, Any]:
    """A body that may be empty. Raises RefusedError(400) for other members."""
    document = parse_object(body) if body.strip() else {}
    if document is None or not document.keys() <= known:
        raise RefusedError(400, refusal)
    return document
