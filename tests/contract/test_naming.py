"""Whether a stored request names a person: what erasing their dead letters goes by."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.contract import addresses
from app.contract.naming import names_anybody, parts_naming
from app.contract.track import CODEC_AS_SENT, CODEC_VALID_REST, Limits, check

ANY = Limits(None, None)
PERSON = frozenset(("ada", "ada@example.org", "+4930123456"))


@pytest.mark.parametrize(
    ("codec", "body", "named"),
    [
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"ada"}]}', True),
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"bob","friend":" Ada@Example.org"}]}', True),
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"bob","phone":"+49 30 123456"}]}', True),
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"bob","phone":"030 123456"}]}', False),
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"bob"}]}', False),
        (CODEC_AS_SENT, b'{"attributes":[', True),
    ],
)
def test_who_is_named(codec: int, body: bytes, named: bool) -> None:
    assert names_anybody(codec, body, PERSON) is named


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (
            {
                "attributes": [{"external_id": "bob"}, {"external_id": "ada", "n": 1.0}],
                "events": [{"external_id": "bob"}],
            },
            {"attributes": [{"external_id": "ada", "n": 1.0}]},
        ),
        ([["merge", "bob"], ["delete", {"email": "Ada@example.org"}]], [["delete", {"email": "Ada@example.org"}]]),
        (
            {"region": "DE", "events": [["030 123456", 7], ["030 123457"]]},
            {"region": "DE", "events": [["030 123456", 7]]},
        ),
        ({"attributes": [{"external_id": "bob"}]}, None),
        ({"name": "ada", "attributes": []}, None),
        ([], None),
        ("ada", None),
    ],
)
def test_what_is_said_of_others_is_left_out(body: object, left: object) -> None:
    assert parts_naming(CODEC_AS_SENT, json.dumps(body).encode(), PERSON) == left


def test_what_cannot_be_read_may_be_about_others() -> None:
    assert parts_naming(CODEC_AS_SENT, b'{"attributes":["ada"', PERSON) is None


def test_a_number_is_read_in_the_region_it_was_meant_for() -> None:
    checked = check(b'{"attributes":[{"external_id":"bob","phone":"030 123456"}]}', ANY, "DE")
    assert checked.codec == CODEC_VALID_REST
    assert names_anybody(checked.codec, checked.body, PERSON)


NUMBERS = ["+4930123456", "+16502530000", "+5492966123456", "+390612345678", "+12"]
_marks = st.sampled_from(["", " ", "-", "(", ")", ".", "\u2011", "tel:", "x", "\u0661", "@x.org"])
_spellings = st.one_of(
    st.builds(
        lambda number, start, marks: "".join(c + m for c, m in zip(number[start:], marks, strict=False)),
        st.sampled_from(NUMBERS), st.integers(0, 2), st.lists(_marks, min_size=14, max_size=14),
    ),
    st.sampled_from(["02966 15 123456", "(650) 253-0000", "030 123456", "+49 30 123456@x.org", "\uff0b4930123456"]),
    st.builds(
        lambda local, at, domain: local + at + domain,
        st.sampled_from(["Ada", "ada", " ADA", "a\u030ada", "\u00e5da", "A\u030aDA", "ada@b"]),
        st.sampled_from(["@", "\uff20", ""]),
        st.sampled_from(["example.org", "EXAMPLE.org ", "b\u00fccher.example", "xn--bcher-kva.example"]),
    ),
    st.text(max_size=8),
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(_spellings, st.sampled_from(["US", "DE", "AR", "IT"]))
@example("02966 15 123456", "AR")
def test_whoever_a_text_addresses_is_found_by_it(text: str, region: str) -> None:
    """The quick look before an address or a number is read leaves nobody out."""
    document: dict[str, Any] = {"region": region, "events": [{"p": [text]}]}
    known = frozenset([*NUMBERS, "ada@example.org", "\u00e5da@xn--bcher-kva.example", "ada"])
    for name in known:
        named = name in (text, text.strip(), addresses.email(text), addresses.phone(text, region))
        assert names_anybody(CODEC_AS_SENT, json.dumps(document).encode(), frozenset([name])) == named
