"""The ledger of merges: small histories whose outcome is plain."""

import random
from typing import Any

import pytest

from fault.identity import OPERATIONS, _join
from fault.ledger import Entry, Ledger, own_people
from fault.operations import Turn


def test_a_merge_adds_up_and_fills_what_is_missing() -> None:
    kept, source = own_people(0, 1000, 2)
    ledger = Ledger([kept, source])
    for person, entry in (
        (kept, Entry(sums={"logins": 2}, last={"a": 1}, events={"e": 1}, purchases={"p": 1}, cents=5)),  # type: ignore[arg-type]
        (source, Entry(sums={"logins": 7}, last={"a": 2, "b": 3}, events={"e": 2, "f": 1}, cents=6)),  # type: ignore[arg-type]
    ):
        person.exists = True
        for name in ("sums", "events", "purchases"):
            getattr(ledger.entries[person.number], name).update(getattr(entry, name))
        ledger.entries[person.number].last |= entry.last
        ledger.entries[person.number].cents = entry.cents
    source.alias = ("crm", "theirs")
    _join(ledger, source, kept)
    assert ledger.expected(source) == []
    assert ledger.expected(kept) == [
        {
            "external_id": "own-0-0",
            "aliases": [("crm", "theirs")],
            "email": "own-0-0@example.org",
            "phone": "+4915220001000",
            "custom": {"a": 1, "b": 3, "logins": 2},
            "events": {"e": 3, "f": 1},
            "purchases": {"p": 1},
            "cents": 11,
        }
    ]
    assert ledger.merges == 1


def test_an_undo_in_the_books_gives_both_sides_back() -> None:
    kept, source = own_people(0, 1000, 2)
    ledger = Ledger([kept, source])
    for person, sign in ((kept, "a"), (source, "b")):
        person.exists = True
        ledger.entries[person.number].last[sign] = 1
    source.alias = ("crm", "theirs")
    before = [ledger.expected(person) for person in (kept, source)]
    _join(ledger, source, kept)
    asked = list[str]()

    def ask(path: str) -> dict[str, Any]:
        asked.append(path)
        return {"merges": [{"id": "older", "status": "undone"}, {"id": "this", "status": "merged"}]}

    turn = Turn(0, 1, 5, [], [kept, source], ledger, random.Random(1), ask)
    sending = OPERATIONS["undo"](turn)
    assert (sending.path, asked) == ("/v1/merges/this/undo", ["/v1/merges?external_id=own-0-0"])
    sending.book(ledger)
    assert [ledger.expected(person) for person in (kept, source)] == before
    assert (ledger.undone, ledger.joined) == (1, [])


def test_a_merge_is_not_undone_once_the_kept_person_was_written_about() -> None:
    kept, source = own_people(0, 1000, 2)
    ledger = Ledger([kept, source])
    kept.exists = source.exists = True
    _join(ledger, source, kept)
    ledger.entries[kept.number].events["later"] += 1
    sending = OPERATIONS["undo"](Turn(0, 1, 5, [], [kept, source], ledger, random.Random(1), lambda _path: None))
    assert "undo" not in sending.path
    assert ledger.joined == []


def test_the_last_merge_is_undone_first_even_if_it_left_no_trace() -> None:
    kept, source, later = own_people(0, 1000, 3)
    ledger = Ledger([kept, source, later])
    kept.exists = source.exists = later.exists = True
    _join(ledger, source, kept)
    _join(ledger, later, kept)
    later.exists = True  # made again, so that its merge cannot be undone
    sending = OPERATIONS["undo"](Turn(0, 1, 5, [], [kept, source, later], ledger, random.Random(1), lambda _path: None))
    assert "undo" not in sending.path
    assert ledger.joined == []


@pytest.mark.parametrize("into_another", [False, True])
def test_the_books_of_a_merge_that_is_taken_out_from_under_another(into_another: bool) -> None:
    first, second, third = own_people(0, 1000, 3)
    ledger = Ledger([first, second, third])
    for n, person in enumerate((first, second, third)):
        person.exists = True
        entry = ledger.entries[person.number]
        entry.last |= {"of": person.number, f"of-{person.number}": 1}
        entry.events["e"] = 10**n
    second.alias, third.alias = ("crm", "second"), ("crm", "third")
    before = [ledger.expected(person) for person in (first, second, third)]
    _join(ledger, second, first)
    source, kept = (first, third) if into_another else (third, first)
    _join(ledger, source, kept)

    def ask(_path: str) -> dict[str, Any]:
        names = [{"external_id": "own-0-2"}, {"external_id": "own-0-1"}]
        merge = {"status": "merged", "retired_identifiers": []}
        return {"merges": [{"id": str(n), "moved_identifiers": [name], **merge} for n, name in enumerate(names)]}

    sending = OPERATIONS["undo"](Turn(0, 1, 5, [], [first, second, third], ledger, random.Random(1), ask))
    assert sending.path == "/v1/merges/1/undo"
    sending.book(ledger)
    assert ledger.expected(second) == before[1]
    assert ledger.expected(source) == []
    (shown,) = ledger.expected(kept)
    assert (shown["events"], shown["custom"]["of"]) == ({"e": 101}, kept.number)
    assert (shown["aliases"], "of-1001" in shown["custom"]) == ([("crm", "third")], False)
    assert (ledger.merges, ledger.undone, ledger.taken_out, len(ledger.joined)) == (2, 1, 1, 1)


def test_a_merge_is_not_undone_once_a_third_person_has_a_name_of_the_merged_one() -> None:
    kept, source, other = own_people(0, 1000, 3)
    ledger = Ledger([kept, source, other])
    kept.exists = source.exists = other.exists = True
    _join(ledger, source, kept)
    other.external_id = source.external_id
    sending = OPERATIONS["undo"](Turn(0, 1, 5, [], [kept, source, other], ledger, random.Random(1), lambda _path: None))
    assert "undo" not in sending.path
    assert ledger.joined == []


def test_a_preview_expects_the_pairs_that_can_be_merged_and_books_nothing() -> None:
    own = own_people(0, 1000, 6)
    ledger, rng = Ledger(own), random.Random(4)
    for person in own:
        person.exists = True
    kinds = set[tuple[int, ...]]()
    for n in range(60):
        before = [ledger.expected(person) for person in own]
        sending = OPERATIONS["preview"](Turn(0, n, 5, [], own, ledger, rng, lambda _path: None))
        pairs = len(sending.document["merge_updates"])
        fits = [
            planned
            for planned in (range(pairs), range(pairs - 1))
            if not sending.wrong({"plans": [{"index": index} for index in planned]})
        ]
        assert (len(fits), sending.reads) == (1, True)
        kinds.add((pairs, len(fits[0])))
        sending.book(ledger)
        assert [ledger.expected(person) for person in own] == before
    assert any(pairs > planned for pairs, planned in kinds)  # the last pair of a cycle has become one person


def test_nobody_shares_a_name_whatever_happens() -> None:
    rng, own = random.Random(1), own_people(3, 4000, 8)
    ledger = Ledger(own)
    for n in range(2000):
        OPERATIONS["identity"](Turn(3, n, 5, [], own, ledger, rng, lambda _path: None)).book(ledger)
        there = [person for person in own if person.exists]
        for names in ([p.external_id for p in there], [p.alias for p in there]):
            known = [name for name in names if name is not None]
            assert len(known) == len(set(known))
        assert all(person.external_id or person.alias for person in there)
    assert ledger.merges > 200
