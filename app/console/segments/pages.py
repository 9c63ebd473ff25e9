"""Segments: built filter by filter, counted with a sample, kept, and why somebody is in one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from app.console.forms import Form
from app.console.page import WORKSPACE, Page, Visit
from app.contract import merge_records
from app.contract import segment_requests as contract
from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError
from app.contract.segment_filters import NAME_KEYS
from app.contract.segments import MEMBERS
from app.domain.numbers import integer
from app.domain.segments.fields import FIELDS, OPERANDS, OPERATORS, Kind, Operand
from app.services.accounts import OPERATOR
from app.services.previews import Preview
from app.services.refusals import SegmentTooBroadError, SegmentTooSlowError, UnknownSegmentError

#: Filters that the form shows at first, and at most; more go as JSON.
_ROWS: Final = 3
_MOST_ROWS: Final = 20
_SAMPLE: Final = 10
_NO_JSON: Final = "The definition is no JSON object that can be stored."
#: By what a person is found.
_WAYS: Final = ("external_id", "braze_id", "email")
#: Fields that one line of the form can say all of.
_PLAIN: Final = tuple(name for name, field in FIELDS.items() if field.kind not in (Kind.SAME, Kind.CIRCLE))
_OPERATORS: Final = tuple(
    op for op in OPERANDS if op != "any_element" and any(op in OPERATORS[FIELDS[name].kind] for name in _PLAIN)
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the form, as it was filled in."""

    field: str = ""
    name: str = ""
    op: str = ""
    value: str = ""
    days: str = ""


async def list_segments(visit: Visit) -> Response:
    page = visit.query["page"]
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 5 else 0
    found = await visit.services.segments.listed(visit.caller, contract.Listing(number, newest=True))
    rows = [(segment, contract.in_words(segment.definition)) for segment in found]
    return visit.show("segments/list.html", rows=rows, page=number, is_full=len(found) == contract.PAGE)


async def build(visit: Visit) -> Response:
    """The form, filled in from the address, with a part that counts."""
    query, wrong = visit.query, ""
    definition: dict[str, Any] | None = None
    try:
        definition = _definition(query)
    except RefusedError as refused:
        wrong = refused.message
    return _built(visit, query, definition, wrong)


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
    form = visit.form
    name = visit.target = form["name"].strip()
    definition: dict[str, Any] | None = None
    try:
        definition = _json(form["definition"])
        document = {"name": name, "analytics_tracking_enabled": form["tracked"] == "yes", **definition}
        made = await visit.services.segments.add(visit.caller, document)
    except RefusedError as refused:
        return _built(visit, Form({"definition": [form["definition"]]}), definition, refused.message, name)
    return visit.go(f"/segments/{made.id}", f"The segment {name} is kept.")


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


def _built(
    visit: Visit, query: Form, definition: Mapping[str, Any] | None, wrong: str = "", name: str = ""
) -> Response:
    rows = _rows(query)
    return visit.show(
        "segments/build.html",
        422 if wrong else 200,
        rows=rows,
        more=min(len(rows) + 1, _MOST_ROWS),
        join=query["join"] or "AND",
        fields=_PLAIN,
        operators=_OPERATORS,
        text=query["definition"] or (_shown(definition) if definition else ""),
        definition=_compact(definition) if definition else "",
        words=contract.in_words(dict(definition)) if definition and not wrong else "",
        count=_query(definition) if definition else "",
        wrong=wrong,
        name=name,
    )


def _rows(query: Form) -> list[Row]:
    wanted = query["rows"]
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 4 else _ROWS
    sent = [query.all(name) for name in ("field", "name", "op", "value", "days")]
    filled = max(map(len, sent))
    number = max(1, min(max(number, filled), _MOST_ROWS))
    cells = [values + [""] * (number - len(values)) for values in sent]
    return [Row(*row) for row in zip(*(column[:number] for column in cells), strict=True)]


def _definition(query: Form) -> dict[str, Any] | None:
    """What the form says; None while nothing is filled in. Raises RefusedError."""
    if query["definition"].strip():
        return _json(query["definition"])
    filters = [_filter(row) for row in _rows(query) if row.field]
    if not filters:
        return None
    return {"groups": [{"op": "OR" if query["join"] == "OR" else "AND", "filters": filters}]}


def _filter(row: Row) -> dict[str, Any]:
    """A filter as a client would send it; what is wrong with it is said by the contract."""
    field = FIELDS.get(row.field)
    document: dict[str, Any] = {"field": row.field, "op": row.op}
    if row.name.strip():
        document[NAME_KEYS.get(row.field, "name")] = row.name.strip()
    operand = OPERANDS.get(row.op, Operand.NONE)
    if field is not None and field.kind == Kind.WINDOW:
        document |= {"x": _number(row.value), "y": _number(row.days)}
    elif operand != Operand.NONE:
        document["value"] = _value(row.value, operand, field.kind if field is not None else Kind.ANY)
    return document


def _value(text: str, operand: Operand, kind: Kind) -> object:
    if operand in (Operand.NUMBER, Operand.DAYS, Operand.HOURS):
        return _number(text) if kind != Kind.VERSION else text
    if operand == Operand.TEXTS:
        return _parts(text)
    if operand == Operand.SCALARS:
        return [_scalar(part) for part in _parts(text)]
    if operand == Operand.SCALAR or (operand == Operand.TEXT_OR_NUMBER and kind != Kind.TEXT):
        return _scalar(text)
    return text


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _scalar(text: str) -> object:
    """A number or a truth where the text is one."""
    if text.strip() in ("true", "false"):
        return text.strip() == "true"
    found = _number(text)
    return text if found is None else found


def _number(text: str) -> int | float | None:
    try:
        found = float(text.strip())
    except ValueError:
        return None
    if found != found or found in (float("inf"), float("-inf")):
        return None
    whole = integer(found)
    return found if whole is None else whole


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
