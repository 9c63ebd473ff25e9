"""Operations that make, join and remove profiles, and the register of all operations.

A client does them to people of its own: then its ledger can say what comes of each, whatever the others do meanwhile.
The rules are those of the API's contract: a merge adds up counts and revenue, fills what the kept profile lacks, and
moves an alias unless the kept profile has one of that label.
"""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlencode

from fault.ledger import Entry, Joined, Ledger, Person
from fault.operations import Operation, Sending, Turn, crush, founding, poison, track, track_by_id, track_people
from fault.subscriptions import subscribe

LABEL: Final = "crm"
Name = dict[str, Any]


def identity(turn: Turn) -> Sending:
    """Something happens to who is who among the client's own people."""
    there = [person for person in turn.own if person.exists]
    absent = [person for person in turn.own if not person.exists]
    if len(there) < 2 or (absent and turn.rng.random() < 0.3):
        return _found(turn, absent)
    kind = turn.rng.random()
    if kind < 0.45:
        return _merge(turn, there)
    if kind < 0.55:
        return _delete(turn.rng.sample(there, 1))
    nameless = [person for person in there if person.external_id is None]
    if kind < 0.65 and nameless:
        return _identify(turn, nameless)
    without = [person for person in there if person.external_id is not None and person.alias is None]
    if kind < 0.75 and without:
        return _alias(turn, without)
    return track_people(turn, there)


def _found(turn: Turn, absent: Sequence[Person]) -> Sending:
    chosen = turn.rng.sample(absent, turn.rng.randint(1, len(absent)))
    for person in chosen:
        _rename(turn, person)
    sending = founding(chosen, 0)
    marker = f"founded-{turn.client}-{turn.n}"
    for entry in sending.document["attributes"]:
        entry["founded"] = marker

    def book(ledger: Ledger) -> None:
        for person in chosen:
            person.exists = True
            ledger.entries[person.number].last["founded"] = marker

    return Sending(sending.path, sending.document, book, marker)


def _rename(turn: Turn, person: Person) -> None:
    """Names for a profile that is to be: one that somebody else has by now is replaced."""
    known = person.email.removesuffix("@example.org")
    others = [other for other in turn.own if other.exists]
    if person.number % 4 != 3:
        person.alias = None
        if person.external_id is None or any(other.external_id == person.external_id for other in others):
            person.external_id = f"{known}-{turn.n}"
    else:
        person.external_id = None
        if person.alias is None or any(other.alias == person.alias for other in others):
            person.alias = (LABEL, f"{known}-{turn.n}")


def _merge(turn: Turn, there: Sequence[Person]) -> Sending:
    document, named = _pairs(turn, there)

    def book(ledger: Ledger) -> None:
        _merged(ledger, turn.own, named)

    return Sending("/users/merge", document, book, "")


def _pairs(turn: Turn, there: Sequence[Person]) -> tuple[dict[str, Any], list[tuple[Name, Name]]]:
    """A chain, a cycle, a star, or one pair: the body, and the names of who is merged into whom."""
    some = turn.rng.sample(there, min(len(there), turn.rng.randint(2, 5)))
    shape = turn.rng.choice(("chain", "cycle", "star", "pair"))
    chain = list(pairwise(some))
    pairs = {
        "chain": chain,
        "cycle": [*chain, (some[-1], some[0])],
        "star": [(other, some[0]) for other in some[1:]],
        "pair": chain[:1],
    }[shape]
    named = [(_name(source), _name(kept)) for source, kept in pairs]
    document = {
        "merge_updates": [{"identifier_to_merge": source, "identifier_to_keep": kept} for source, kept in named]
    }
    return document, named


def _merged(ledger: Ledger, people: Sequence[Person], named: Sequence[tuple[Name, Name]]) -> list[int]:
    """Book a merge; the places of those pairs that were merged."""
    done = []
    for index, (source_name, kept_name) in enumerate(named):
        source, kept = _holder(people, source_name), _holder(people, kept_name)
        if source is not None and kept is not None and source is not kept:
            _join(ledger, source, kept)
            done.append(index)
    return done


def _join(ledger: Ledger, source: Person, kept: Person) -> None:
    before = ledger.page(source), ledger.page(kept)
    mine, theirs = ledger.entries[kept.number], ledger.entries[source.number]
    known = mine.sums.keys() | mine.last.keys()
    mine.sums.update({name: value for name, value in theirs.sums.items() if name not in known})
    mine.last |= {name: value for name, value in theirs.last.items() if name not in known}
    mine.events.update(theirs.events)
    mine.purchases.update(theirs.purchases)
    mine.cents += theirs.cents
    mine.joins += 1
    kept.external_id = kept.external_id or source.external_id
    kept.alias = kept.alias or source.alias
    _remove(ledger, source)
    ledger.merges += 1
    ledger.joined.append(Joined(*before, ledger.page(kept)))


def undo(turn: Turn) -> Sending:
    """Take back the last merge of people to whom nothing happened since: both have to be as they were before it. Or the
    merge before that one: then everybody has to be as if it alone had not been done.

    What an undo leaves where there were writes in between is a matter of the rules of the fields, which the books do
    not repeat; the comparison with the reference covers it.
    """
    if turn.rng.random() < 0.5 and (sending := _take_out(turn)) is not None:
        return sending
    people = {person.number: person for person in turn.own}
    while turn.ledger.joined:
        joined = turn.ledger.joined[-1]
        source, kept = people[joined.source.person.number], people[joined.kept.person.number]
        if source.exists or turn.ledger.page(kept) != joined.after or _taken(joined.source.person, kept, turn.own):
            turn.ledger.joined.pop()
        elif (merge_id := _last_merge(turn, kept)) is not None:
            return _separated(merge_id, joined, source, kept)
        else:
            break
    return identity(turn)


def _take_out(turn: Turn) -> Sending | None:
    """Undo the merge on which the last one stands. None: the last two are not of that kind, or something happened."""
    if len(turn.ledger.joined) < 2:
        return None
    people = {person.number: person for person in turn.own}
    lower, upper = turn.ledger.joined[-2:]
    gone, away, kept = (people[page.person.number] for page in (lower.source, upper.source, upper.kept))
    stands = lower.after in (upper.kept, upper.source)
    if not stands or gone.exists or away.exists or turn.ledger.page(kept) != upper.after:
        return None
    if any(_taken(page.person, kept, turn.own) for page in (lower.source, upper.source)):
        return None
    merge_id = _merge_of(turn, kept, lower.source.person)
    if merge_id is None:
        return None

    def book(ledger: Ledger) -> None:
        del ledger.joined[-2:]
        for person, page in ((away, upper.source), (kept, upper.kept), (gone, lower.source)):
            ledger.restore(person, page)
        ledger.restore(people[lower.kept.person.number], lower.kept)
        _join(ledger, away, kept)
        ledger.merges -= 1
        ledger.undone += 1
        ledger.taken_out += 1

    return Sending(f"/v1/merges/{merge_id}/undo", {}, book, "")


def _taken(merged: Person, kept: Person, people: Sequence[Person]) -> bool:
    """Whether a name that somebody had before a merge belongs to a third person now: somebody of that name was made
    again, and merged into one who had none. An undo is refused then."""
    return any(
        person.exists
        and person is not kept
        and (
            (merged.external_id is not None and person.external_id == merged.external_id)
            or (merged.alias is not None and person.alias == merged.alias)
        )
        for person in people
    )


def _separated(merge_id: str, joined: Joined, source: Person, kept: Person) -> Sending:
    def book(ledger: Ledger) -> None:
        ledger.joined.pop()
        ledger.restore(source, joined.source)
        ledger.restore(kept, joined.kept)
        ledger.undone += 1

    return Sending(f"/v1/merges/{merge_id}/undo", {}, book, "")


def _last_merge(turn: Turn, kept: Person) -> str | None:
    """The id of the last merge into a profile, as the API lists it: the newest one comes first."""
    merges = _merges(turn, kept)
    return str(merges[0]["id"]) if merges else None


def _merge_of(turn: Turn, kept: Person, merged: Person) -> str | None:
    """The id of the merge below the last one that took somebody away, and is inside a profile. The last one may have
    moved the names on, so it names them too."""
    name = _name(merged)
    for merge in _merges(turn, kept)[1:]:
        if name in (*merge["moved_identifiers"], *merge["retired_identifiers"]):
            return str(merge["id"])
    return None


def _merges(turn: Turn, kept: Person) -> list[dict[str, Any]]:
    """Merges inside a profile that were not undone, the newest first."""
    alias = kept.alias or ("", "")
    name = {"external_id": kept.external_id} if kept.external_id else {"alias_label": alias[0], "alias_name": alias[1]}
    found = turn.ask("/v1/merges?" + urlencode(name))
    return [] if found is None else [merge for merge in found["merges"] if merge["status"] == "merged"]


def preview(turn: Turn) -> Sending:
    """Ask what a merge would do. Nothing changes, and the answer has a plan for each pair that can be merged."""
    there = [person for person in turn.own if person.exists]
    if len(there) < 2:
        return identity(turn)
    document, named = _pairs(turn, there)
    copies = deepcopy((turn.own, turn.ledger.entries))
    scratch = Ledger(copies[0])
    scratch.entries = copies[1]
    expected = _merged(scratch, copies[0], named)

    def wrong(answer: dict[str, Any]) -> str:
        planned = [plan["index"] for plan in answer["plans"]]
        return "" if planned == expected else f"preview: plans for the pairs {planned}, not {expected}"

    return Sending("/v1/merges/preview", document, lambda _ledger: None, "", reads=True, wrong=wrong)


def flags(turn: Turn) -> Sending:
    """Some of the client's own people become test users, or stop being some. Only the reference knows of it."""
    there = [person for person in turn.own if person.exists]
    if not there:
        return identity(turn)
    chosen = turn.rng.sample(there, turn.rng.randint(1, len(there)))
    document = {"flags": [{**_name(person), "test_user": turn.rng.random() < 0.6} for person in chosen]}
    return Sending("/v1/flags", document, lambda _ledger: None, "")


def _delete(people: Sequence[Person]) -> Sending:
    names = [_name(person) for person in people]
    document: dict[str, list[Any]] = {}
    for name in names:
        array, value = (
            ("external_ids", name["external_id"]) if "external_id" in name else ("user_aliases", name["user_alias"])
        )
        document.setdefault(array, []).append(value)

    def book(ledger: Ledger) -> None:
        for person in people:
            _remove(ledger, person)

    return Sending("/users/delete", document, book, "")


def _remove(ledger: Ledger, person: Person) -> None:
    person.exists = False
    ledger.entries[person.number] = Entry()


def _identify(turn: Turn, nameless: Sequence[Person]) -> Sending:
    """An alias-only profile gets an external id that nobody has."""
    person = turn.rng.choice(nameless)
    external_id = f"identified-{turn.client}-{turn.n}"
    document = {"aliases_to_identify": [{"external_id": external_id, **_name(person)}]}

    def book(_ledger: Ledger) -> None:
        person.external_id = external_id

    return Sending("/users/identify", document, book, external_id)


def _alias(turn: Turn, without: Sequence[Person]) -> Sending:
    """A profile with an external id gets an alias."""
    person = turn.rng.choice(without)
    name = f"alias-{turn.client}-{turn.n}"
    alias = {"external_id": person.external_id, "alias_label": LABEL, "alias_name": name}

    def book(_ledger: Ledger) -> None:
        person.alias = (LABEL, name)

    return Sending("/users/alias/new", {"user_aliases": [alias]}, book, name)


def _name(person: Person) -> Name:
    if person.external_id is not None:
        return {"external_id": person.external_id}
    assert person.alias is not None
    return {"user_alias": {"alias_label": person.alias[0], "alias_name": person.alias[1]}}


def _holder(people: Sequence[Person], name: Name) -> Person | None:
    """Who has this name now."""
    alias = name.get("user_alias", {})
    for person in people:
        if person.exists and (
            person.external_id == name["external_id"]
            if "external_id" in name
            else person.alias == (alias["alias_label"], alias["alias_name"])
        ):
            return person
    return None


#: Name -> how to make one. Scenarios name those that they want, with weights.
OPERATIONS: Final[dict[str, Operation]] = {
    "track": track,
    "track by id": track_by_id,
    "crush": crush,
    "poison": poison,
    "identity": identity,
    "undo": undo,
    "flags": flags,
    "preview": preview,
    "subscriptions": subscribe,
}
