"""The ledger of merges: small histories whose outcome is plain."""

import random

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


def test_nobody_shares_a_name_whatever_happens() -> None:
    rng, own = random.Random(1), own_people(3, 4000, 8)
    ledger = Ledger(own)
    for n in range(2000):
        OPERATIONS["identity"](Turn(3, n, 5, [], own, rng)).book(ledger)
        there = [person for person in own if person.exists]
        for names in ([p.external_id for p in there], [p.alias for p in there]):
            known = [name for name in names if name is not None]
            assert len(known) == len(set(known))
        assert all(person.external_id or person.alias for person in there)
    assert ledger.merges > 200
