"""Summaries that are not decoded are told apart from a dict by nothing but what they cost."""

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store.profiles.summaries import Summaries
from tests.fuzz.size import cases

#: Names that look like the JSON around them.
_HOSTILE: Final = (
    "",
    ":",
    ":[",
    ":[1,2,3],",
    "],",
    "foo],",
    '"',
    '],"',
    '],"a":[',
    '{"a":[',
    "\\",
    '\\"',
    "a",
    "aa",
    "a]",
    "é",
    "\U0001f600",
    "\n",
    "\x00",
    "},{",
)
_NAMES: Final = st.one_of(
    st.sampled_from(_HOSTILE), st.text(alphabet=':[]{},"\\1a\u00e9', max_size=8), st.text(max_size=4)
)
_VALUES: Final = st.lists(st.integers(-(2**53), 2**53), min_size=3, max_size=3)
_KNOWN: Final = st.dictionaries(_NAMES, st.one_of(st.just([1, 2, 3]), _VALUES), max_size=12)
_ACTS: Final = st.lists(
    st.tuples(st.sampled_from(["get", "set", "in", "document"]), _NAMES, _VALUES)
    | st.tuples(st.sampled_from(["list", "count", "delete"]), _NAMES, _VALUES),
    max_size=12,
)  # fmt: skip


def _act(content: Any, what: str, name: str, values: list[int]) -> Any:
    if what == "get":
        return content.get(name)
    if what == "set":
        content[name] = values
        return None
    if what == "in":
        return name in content
    if what == "list":
        return list(content.items())
    if what == "count":
        return len(content)
    if what == "delete":
        return content.pop(name, None)
    return msgspec.json.decode(content.document() if isinstance(content, Summaries) else msgspec.json.encode(content))


@settings(deadline=None, max_examples=cases(400))
@given(_KNOWN, st.data(), st.sampled_from(["ours", "spaced", "ascii"]))
def test_they_are_as_a_dict(known: dict[str, list[int]], data: st.DataObject, written: str) -> None:
    """Also where somebody else wrote them, with spaces or other escapes."""
    if written == "ours":
        text = msgspec.json.encode(known)
    else:
        text = json.dumps(known, separators=None if written == "spaced" else (",", ":")).encode()
    content, expected = Summaries(text), dict(known)
    names = st.sampled_from(sorted(known)) if known else _NAMES
    for what, other, values in data.draw(_ACTS):
        name = data.draw(st.one_of(names, st.just(other)))
        assert _act(content, what, name, values) == _act(expected, what, name, values), (what, name)
    assert msgspec.json.decode(content.document()) == expected
    assert list(msgspec.json.decode(content.document())) == list(expected)  # the order as well
    assert content == expected


@pytest.mark.parametrize(("first", "second"), [("foo],", ":[zzz"), ("],", ":[")])
def test_no_name_is_taken_for_the_json_around_it(first: str, second: str) -> None:
    """What stands between the two is a name that is not there."""
    known = {"x": [0, 0, 0], first: [1, 2, 3], second: [4, 5, 6]}
    assert Summaries(msgspec.json.encode(known)).get(":[1,2,3],") is None


def test_what_is_asked_for_is_all_that_is_decoded() -> None:
    content = Summaries(msgspec.json.encode({f"name {n}": [n, n, n] for n in range(90)}))
    content["name 7"] = [8, 7, 70_000]
    content["name 0"] = [1, 0, 0]
    content["name 89"] = [90, 1, 2]
    document = content.document()
    assert content.text_bytes == len(document)
    assert msgspec.json.decode(document) == {f"name {n}": [n, n, n] for n in range(90)} | {
        "name 7": [8, 7, 70_000],
        "name 0": [1, 0, 0],
        "name 89": [90, 1, 2],
    }
    content["a new one"] = [1, 1, 1]
    assert content.text_bytes == 0
