"""Counting the values of a JSON text without decoding it."""

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.body import has_more_values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a,[{"\\}:é') | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='b,[{"\\'), inner),
    max_leaves=40,
)


def count(value: Any) -> int:
    """Commas, brackets and braces of a text: every value but the first member of each container, and containers."""
    if isinstance(value, dict):
        return 1 + max(0, len(value) - 1) + sum(map(count, value.values()))
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(count, value))
    return 0


@given(JSON, st.booleans())
def test_any_json(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert has_more_values(body, count(value) + 1) is False
    assert has_more_values(body, count(value)) is True


@pytest.mark.parametrize(
    "body",
    [
        b"{}," * 1_300_000,
        b'"",' * 1_300_000,
        b'"' * 4_000_000,
        b"\\" * 4_000_000,
        b'"' + b"," * 4_000_000 + b'"',
        b"[" * 4_000_000,
        random.Random(1).randbytes(4_000_000),
    ],
    ids=["objects", "texts", "quotes", "backslashes", "one text", "brackets", "noise"],
)
def test_the_worst_bodies_are_counted_quickly(body: bytes) -> None:
    began = time.process_time()
    has_more_values(body, 250_000)
    assert time.process_time() - began < 0.5


def test_a_long_text_is_one_value() -> None:
    assert not has_more_values(b'{"a":"' + b"," * 1_000_000 + b'"}', 250_000)
