"""Segments: built filter by filter, counted with a sample, kept, and why somebody is in one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.console.segments import lines
from app.contract import merge_records
from app.contract import segment_requests as contract
from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError
from app.contract.segments import MEMBERS, read_definition
from app.services.accounts import OPERATOR
from app.services.previews import Preview
from app.services.refusals import SegmentTooBroadError, SegmentTooSlowError, UnknownSegmentError
from app.services.segments import Segment

_SAMPLE: Final = 10
_NO_JSON: Final = "The definition is no JSON object that can be stored."
#: What a definition says where it says nothing: a change replaces all of it.
_WHOLE: Final = {"groups": [], "join": "AND", "exclude": [], "apps": "all"}
#: By what a person is found.
_WAYS: Final = ("external_id", "braze_id", "email")


async def list_segments(visit: Visit) -> Response:
    page = visit.query["page"]
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 5 else 0
    found = await visit.services.segments.listed(visit.caller, contract.Listing(number, newest=True))
    rows = [(segment, contract.in_words(segment.definition)) for segment in found]
    return visit.show("segments/list.html", rows=rows, page=number, is_full=len(found) == contract.PAGE)


async def build(visit: Visit) -> Response:
    """The form, filled in from the address, with a part that counts; with `id`, to change a segment that is kept."""
    query, wrong = visit.query, ""
    segment = await _named(visit, query["id"])
    definition: dict[str, Any] | None = None
    filled = lines.read(query)
    try:
        if query["definition"].strip():
            definition = _json(query["definition"])
        elif segment is not None and "field" not in query:
            definition = dict(segment.definition)
        else:
            definition = lines.definition_of(filled)
        if definition is not None:
            from_definition = _filled(definition)
            filled = filled if "field" in query else from_definition or filled
    except RefusedError as refused:
        wrong, definition = refused.message, None
    return _built(visit, _Built(segment, filled, definition, query["definition"]), wrong)


async def count(visit: Visit) -> Response:
    """A part of a page: how many people are in a definition, or a segment, and some of them."""
    try:
        definition = _json(visit.query["definition"]) if visit.query["definition"] else {}
        found = await visit.services.previews.of(visit.caller, {**definition, "sample": _SAMPLE})
    except RefusedError as refused:
        return visit.show("segments/count.html", found=None, job=None, wrong=refused.message)
    except SegmentTooBroadError:
        return visit.show("segments/count.html", found=None, job=None, wrong=contract.TOO_BROAD)
    except SegmentTooSlowError:
        return visit.show("segments/count.html", found=None, job=None, wrong=contract.TOO_SLOW)
    if isinstance(found, Preview):
        return visit.show("segments/count.html", found=found, job=None, wrong="")
    return visit.show("segments/count.html", found=None, job=found, wrong="", again=_query(definition))


async def keep_segment(visit: Visit) -> Response:
    """Keep a new segment, or with `id` change one."""
    form, segments = visit.form, visit.services.segments
    name = visit.target = form["name"].strip()
    segment = await _named(visit, form["id"])
    tracked = form["tracked"] == "yes"
    definition: dict[str, Any] | None = None
    filled = lines.blank()
    try:
        definition = _json(form["definition"])
        filled = _filled(definition) or filled
        document = {"name": name, "analytics_tracking_enabled": tracked}
        if segment is None:
            kept = await segments.add(visit.caller, {**document, **definition})
        else:
            kept = await segments.change(visit.caller, segment.id, {**document, **_WHOLE, **definition})
    except RefusedError as refused:
        built = _Built(segment, filled, definition, form["definition"], name=name, tracked=tracked)
        return _built(visit, built, refused.message)
    return visit.go(f"/segments/{kept.id}", f"The segment {name} is {'kept' if segment is None else 'changed'}.")


async def one(visit: Visit) -> Response:
    """A segment; with `by` and `who`, why that person is in it or not."""
    segment = await visit.services.segments.one(visit.caller, visit.path["segment_id"])
    by, who, wrong = visit.query["by"], visit.query["who"].strip(), ""
    why, stale = None, False
    if who:
        try:
            key = merge_records.whose({by if by in _WAYS else _WAYS[0]: who})
            why, stale = await visit.services.segments.why(visit.caller, segment.id, key)
        except RefusedError as refused:
            wrong = refused.message
        except (SegmentTooBroadError, SegmentTooSlowError):
            wrong = contract.TOO_SLOW
    return visit.show(
        "segments/one.html",
        422 if wrong else 200,
        segment=segment,
        words=contract.in_words(segment.definition),
        definition=_shown(segment.definition),
        query=_query(segment.definition),
        why=why,
        stale=stale,
        by=by,
        who=who,
        ways=_WAYS,
        wrong=wrong,
    )


async def remove_segment(visit: Visit) -> Response:
    segment_id = visit.target = visit.form["id"]
    try:
        await visit.services.segments.remove(visit.caller, segment_id)
    except RefusedError as refused:
        return visit.go("/segments", refused.message)
    except UnknownSegmentError:
        return visit.go("/segments", contract.UNKNOWN)
    return visit.go("/segments", "The segment is deleted. The people who were in it stay.")


@dataclass(frozen=True, slots=True)
class _Built:
    """What the page of the form shows."""

    #: The one that is changed; None = a new one is built.
    segment: Segment | None
    filled: lines.Lines
    definition: Mapping[str, Any] | None
    #: The definition as it was typed; "" = it was not.
    text: str
    name: str | None = None
    tracked: bool | None = None


def _built(visit: Visit, built: _Built, wrong: str = "") -> Response:
    segment, definition = built.segment, built.definition
    return visit.show(
        "segments/build.html",
        422 if wrong else 200,
        segment=segment,
        lines=built.filled,
        fields=lines.PLAIN_FIELDS,
        operators=lines.PLAIN_OPERATORS,
        new_group=lines.NEW_GROUP,
        text=built.text or (_shown(definition) if definition else ""),
        definition=_compact(definition) if definition else "",
        words=contract.in_words(dict(definition)) if definition and not wrong else "",
        count=_query(definition) if definition else "",
        is_only_json=definition is not None and not wrong and lines.lines_of(definition) is None,
        wrong=wrong,
        name=built.name if built.name is not None else segment.name if segment else "",
        tracked=built.tracked if built.tracked is not None else segment.tracked if segment else False,
    )


async def _named(visit: Visit, segment_id: str) -> Segment | None:
    """The segment that is to be changed; None for a new one. Raises UnknownSegmentError."""
    return await visit.services.segments.one(visit.caller, segment_id) if segment_id else None


def _filled(definition: dict[str, Any]) -> lines.Lines | None:
    """The definition as lines, where lines can say it. Raises RefusedError for what is none.

    What nobody knows here, the names of segments and what is a pattern, is looked at when it is counted.
    """
    read_definition(definition, lambda _pattern: True, lambda _segment: {})
    return lines.lines_of(definition)


def _json(text: str) -> dict[str, Any]:
    """Raises RefusedError(400)."""
    document = parse_object(text.encode("utf-8", "replace"))
    if document is None or unsound(document) is not None or document.keys() - set(MEMBERS):
        raise RefusedError(400, _NO_JSON)
    return document


def _shown(definition: Mapping[str, Any]) -> str:
    return json.dumps(definition, ensure_ascii=False, indent=2)


def _compact(definition: Mapping[str, Any]) -> str:
    return json.dumps(definition, ensure_ascii=False, separators=(",", ":"))


def _query(definition: Mapping[str, Any]) -> str:
    """The definition as a query of an address."""
    return urlencode({"definition": _compact(definition)})


PAGES: Final = (
    Page(f"{WORKSPACE}/segments", list_segments, title="Segments"),
    Page(f"{WORKSPACE}/segments/build", build),
    Page(f"{WORKSPACE}/segments/count", count),
    Page(f"{WORKSPACE}/segments", keep_segment, role=OPERATOR, method="POST", act="segments.keep"),
    Page(f"{WORKSPACE}/segments/delete", remove_segment, role=OPERATOR, method="POST", act="segments.delete"),
    Page(f"{WORKSPACE}/segments/{{segment_id}}", one),
)
