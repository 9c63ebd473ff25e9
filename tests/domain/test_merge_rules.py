"""Each rule is held by a row of the tables in test_merge.py: with any other rule in its place a row fails."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.merging.leaves import ByKey, Keep, Leaf, Members, Pair, Rule
from app.domain.merging.rules import KEEP, RULES
from tests.domain.merge_table import TABLE, TOGETHER, check_row, check_together


class Swapped(Leaf):
    """The merged profile's value wins."""

    loses = True

    def join(self, kept: Any, merged: Any, pair: Pair) -> Any:
        del pair
        return kept if merged is None else merged


def mutants(rule: Rule, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Rule]]:
    """(what was changed, the rule with one leaf changed) for each leaf and each way to change it."""
    if isinstance(rule, ByKey):
        yield from ((name, ByKey(changed)) for name, changed in mutants(rule.rule, path))
    elif isinstance(rule, Members):
        for key, member in rule.rules.items():
            yield from (
                (name, Members({**rule.rules, key: changed})) for name, changed in mutants(member, (*path, key))
            )
    elif isinstance(rule, Leaf):
        place = ".".join(path)
        yield f"{place} the other one wins", Swapped(always=rule.always)
        if not isinstance(rule, Keep):
            yield f"{place} kept", KEEP
            yield f"{place} under the other policy", type(rule)(always=not rule.always)
    else:
        raise TypeError(rule)


MUTANTS = [(field, name, changed) for field, rule in RULES.items() for name, changed in mutants(rule)]


def fails(field: str) -> bool:
    """Whether a row about the field fails."""
    together = [row for row in TOGETHER if field in row[0] or field in row[1]]
    rows = [row for row in TABLE if row[0] == field]
    for check, found in ((check_row, rows), (check_together, together)):
        for row in found:
            try:
                check(*row)
            except (AssertionError, TypeError, KeyError, AttributeError):
                return True
    return False


def test_every_entry_has_a_row() -> None:
    rows = {row[0] for row in TABLE} | {name for kept, other, _ in TOGETHER for name in (*kept, *other)}
    assert RULES.keys() <= rows


@pytest.mark.parametrize(("field", "name", "changed"), MUTANTS, ids=[f"{field} {name}" for field, name, _ in MUTANTS])
def test_another_rule_is_noticed(field: str, name: str, changed: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not fails(field)
    monkeypatch.setitem(RULES, field, changed)
    assert fails(field), f"no row notices: {field} {name}"
