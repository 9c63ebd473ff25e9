"""Nulls inside a value (DECISIONS D15, D62): what is stored is what would be stored of the value without them.

The model is a plain walk that drops nulls and names where they were, and a plain deep merge in which they delete.
"""

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.domain.custom_attributes import MISSING, Options, Skip, updated
from app.domain.nested_nulls import MAX_NAMED

KEYS = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.sampled_from([None, None, True, 0, 1, 1.5, "x", "", "y"])


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(KEYS, inner, max_size=4)


#: Objects with scalars, objects and arrays inside; arrays hold no arrays.
VALUES = st.recursive(
    objects(SCALARS),
    lambda inner: objects(
        st.one_of(SCALARS, inner, st.lists(SCALARS, max_size=3), st.lists(st.one_of(inner, SCALARS), max_size=3))
    ),
    max_leaves=12,
)
Path = tuple[str, ...]


def pruned(value: Any, path: Path, paths: list[str], *, members: bool = True) -> Any:
    """The value without null elements, and without null members of objects where `members`; where they were."""
    if isinstance(value, dict):
        kept = {}
        for key, member in value.items():
            if member is None and members:
                paths.append(".".join((*path, key)))
            else:
                kept[key] = pruned(member, (*path, key), paths, members=members)
        return kept
    if isinstance(value, list):
        found = []
        for position, element in enumerate(value):
            if element is None:
                paths.append(".".join((*path, str(position))))
            else:
                found.append(pruned(element, (*path, str(position)), paths, members=members))
        return found
    return value


def merged(base: Any, patch: Any) -> Any:
    """A deep merge in which null members delete."""
    result = dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(result[key] if isinstance(result.get(key), dict) else {}, value)
        elif isinstance(value, list):
            result[key] = [merged({}, element) if isinstance(element, dict) else element for element in value]
        else:
            result[key] = value
    return result


def done(current: object, raw: object, options: Options) -> tuple[Any, list[str]]:
    left_out: list[tuple[str, str]] = []
    value = updated(current, raw, options, None, left_out)
    assert all(reason == "nested_null" for _, reason in left_out)
    return value, [path for path, _ in left_out]


def same(one: object, other: object) -> bool:
    return json.dumps(one) == json.dumps(other)


@given(VALUES, st.one_of(st.just(MISSING), VALUES.map(lambda value: pruned(value, (), []))), st.booleans())
def test_an_object(raw: dict[str, Any], current: object, deletes: bool) -> None:
    """Whatever is there: a set replaces it. Where a workspace's nulls delete nothing, merging names them too."""
    paths: list[str] = []
    without = pruned(raw, (), paths)
    value, named = done(current, raw, Options(nested_null_deletes=deletes))
    assert same(value, without)
    assert named == paths
    value, named = done(current, raw, Options(merge_objects=True, nested_null_deletes=False))
    assert same(value, merged(current if isinstance(current, dict) else {}, without))
    assert named == paths


@given(VALUES, VALUES.map(lambda value: pruned(value, (), [])))
def test_where_nulls_delete(raw: dict[str, Any], current: dict[str, Any]) -> None:
    """Members delete; elements, which have no name, are left out."""
    paths: list[str] = []
    without = pruned(raw, (), paths, members=False)
    value, named = done(current, raw, Options(merge_objects=True))
    assert same(value, merged(current, without))
    assert named == paths


@given(st.lists(st.one_of(VALUES, SCALARS), min_size=1, max_size=5))
def test_an_array_of_objects(raw: list[Any]) -> None:
    """One with an object in it; a null in an array of scalars is invalid, and nothing of it is stored."""
    paths: list[str] = []
    without = pruned(raw, (), paths)
    left_out: list[tuple[str, str]] = []
    value = updated(MISSING, raw, Options(), None, left_out)
    if any(isinstance(element, dict) for element in raw):
        assert same(value, without)
        assert [path for path, _ in left_out] == paths
    elif None in raw:
        assert (value, left_out) == (Skip("nested_null"), [])
    else:
        assert left_out == []


@given(st.lists(VALUES, min_size=1, max_size=3))
def test_operations(entries: list[dict[str, Any]]) -> None:
    """Nulls of new elements are left out as those of a set are."""
    paths: list[str] = []
    without = pruned(entries, ("$add",), paths)
    value, named = done(MISSING, {"$add": entries}, Options())
    assert same(value, without)
    assert named == paths


def test_a_huge_value_costs_what_it_is_long() -> None:
    """A hundred thousand nulls, wide and nested: all are left out, so many are named, in less than linear patience."""
    wide = [{"k": None, "n": 1} for _ in range(9_000)]
    nested: Any = None
    for _ in range(14):
        nested = {"a": nested, "b": None}
    deep = {f"k{n}": nested for n in range(1_500)}
    only: dict[str, Any] = {f"k{n}": None for n in range(100_000)}
    for raw, wanted in ((wide, [{"n": 1}] * 9_000), (only, {})):
        began = time.process_time()
        value, named = done(MISSING, raw, Options())
        assert same(value, wanted)
        assert len(named) == MAX_NAMED
        assert time.process_time() - began < 5
    value, named = done(MISSING, {"k": deep}, Options())
    assert len(named) == MAX_NAMED or isinstance(value, Skip)
