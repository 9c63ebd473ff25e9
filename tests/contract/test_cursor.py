"""Cursors: what was made is read, and nothing else is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract.cursor import BAD_CURSOR, MAX_LENGTH, Cursors
from app.contract.errors import RefusedError

SECRET = b"s" * 32
QUESTION = ("export", 4, "", "a@example.org")
POSITION: list[int | str] = [2**53 + 1, 0, -5, "f" * 24]

numbers = st.integers(-(2**63), 2**63 - 1)
positions = st.lists(numbers | st.text(max_size=20), max_size=6)
questions = st.lists(st.text(max_size=5) | numbers, min_size=1, max_size=4).map(tuple)


@given(positions, questions, st.binary(min_size=1, max_size=64), st.integers(1, 2**31))
def test_what_was_made_is_read(
    position: list[int | str], question: tuple[int | str, ...], secret: bytes, workspace_id: int
) -> None:
    cursors = Cursors(workspace_id, secret)
    assert cursors.read(question, cursors.make(question, position)) == position


@pytest.mark.parametrize(
    ("cursors", "question"),
    [
        (Cursors(2, SECRET), QUESTION),
        (Cursors(1, b"t" * 32), QUESTION),
        (Cursors(1, SECRET), ("export", 4, "", "b@example.org")),
        (Cursors(1, SECRET), ("export", 5, "", "a@example.org")),
        (Cursors(1, SECRET), ("merges", 4, "", "a@example.org")),
        (Cursors(1, SECRET), ("export", 4, "a@example.org")),
    ],
    ids=["workspace", "secret", "address", "kind", "list", "shape"],
)
def test_it_belongs_to_its_question(cursors: Cursors, question: tuple[int | str, ...]) -> None:
    text = Cursors(1, SECRET).make(QUESTION, POSITION)
    with pytest.raises(RefusedError):
        cursors.read(question, text)


def test_no_letter_of_it_can_be_changed_or_added() -> None:
    cursors = Cursors(1, SECRET)
    text = cursors.make(QUESTION, POSITION)
    chance = random.Random(1)
    changed = [text[:n] + other + text[n + 1 :] for n in range(len(text)) for other in chance.sample("abXY01-_ ", 3)]
    added = [text[:n] + other + text[n:] for n in range(len(text) + 1) for other in "!= \nA"]
    for wrong in {*changed, *added, text[:-1], text[1:]} - {text}:
        with pytest.raises(RefusedError):
            cursors.read(QUESTION, wrong)


@pytest.mark.parametrize(
    "sent",
    ["x", "=", "====", "é", "\0", "a b", "A" * 20, "A" * MAX_LENGTH, "A" * 100_000, 5, True, 1.5, [], ["x"], {"a": 1}],
    ids=lambda value: str(value)[:10],
)
def test_what_is_none(sent: object) -> None:
    with pytest.raises(RefusedError) as refused:
        Cursors(1, SECRET).read(QUESTION, sent)
    assert (refused.value.status, refused.value.message) == (400, BAD_CURSOR)
