"""What is counted in documents: never too little, and exactly where texts have no commas and brackets."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.store.profiles.known import values_inside


def inside(value: object) -> int:
    """How many values an array or object has inside, at any depth."""
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return len(members) + sum(map(inside, members))


def documents(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    scalars = st.none() | st.booleans() | st.integers(-9, 9) | texts
    values = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
    )
    return st.dictionaries(texts, values, max_size=6)


@given(documents(st.text('ab"\\\u00e9', max_size=3)))
def test_values_are_counted(document: dict[str, Any]) -> None:
    exact = sum(map(inside, document.values()))
    brackets = sum(isinstance(value, (list, dict)) and not value for value in every(document))
    # An empty array or object has a bracket, and nothing behind it.
    assert values_inside(msgspec.json.encode(document), len(document)) == exact + brackets + (0 if document else 1)


@given(documents(st.text("a,[{", max_size=3)))
def test_never_too_few(document: dict[str, Any]) -> None:
    assert values_inside(msgspec.json.encode(document), len(document)) >= sum(map(inside, document.values()))


def every(value: object) -> list[object]:
    """All that is inside, at any depth."""
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [*members, *(deeper for member in members for deeper in every(member))]
