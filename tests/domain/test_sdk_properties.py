"""Visitors against a plain model: random devices, people and batches; some come twice, or in another order."""

from dataclasses import asdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import sizes
from app.domain.identifiers import identifiers_of
from app.domain.profile import BRAZE, SPAM_BLOCKED
from tests.domain.builders import profile
from tests.domain.visitors import DEVICES, LOG_IN, SENDER, SIGNED, Model, Person, deliveries, reduced, shown


@settings(deadline=None, max_examples=200)
@given(deliveries(), st.booleans(), st.booleans())
def test_visitors_are_those_of_the_model(arriving: list[dict[str, Any]], signed: bool, blocked: bool) -> None:
    """`signed`: data of known people needs a signature. `blocked`: ada takes no data."""
    model = Model(signed, [Person("ada", blocked=True)] if blocked else [])
    for batch in arriving:
        model.apply(batch)
    known = [profile(1, external_id="ada", flags=SPAM_BLOCKED)] if blocked else []
    state = reduced(arriving, SIGNED if signed else SENDER, known)
    found = []
    for one in state.profiles.values():
        events = {name: count for name, (count, _, _) in (one.events or {}).items()}
        section: dict[str, Any] = one.devices or {}
        devices = {device["id"] for device in section.get("devices", {}).values()}
        found.append(shown(one.external_id, events, one.session_count, devices))
        assert one.size == sizes.of_profile(one)
    assert sorted(found) == model.shown()
    held = {key: pids for key, pids in state.index.items() if pids and key[0] != BRAZE}
    assert held == {key: {pid} for pid, one in state.profiles.items() for key in identifiers_of(one)}


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(["event", "change_user"]), min_size=2, max_size=8), st.data())
def test_a_batch_that_comes_behind_the_next_one_loses_nothing(kinds: list[str], data: st.DataObject) -> None:
    """As long as the device stays with one person, who may log in again and again."""
    made: dict[str, Any] = {"event": {"type": "event", "name": "one"}, "change_user": LOG_IN}
    batches = [
        {"device_id": DEVICES[0], "batch": n, "records": [made[kind] | {"seq": n}]} for n, kind in enumerate(kinds, 1)
    ]
    at = data.draw(st.integers(0, len(batches) - 2))
    batches[at], batches[at + 1] = batches[at + 1], batches[at]
    (person,) = reduced(batches).profiles.values()
    assert {name: count for name, (count, _, _) in (person.events or {}).items()} == (
        {"one": kinds.count("event")} if "event" in kinds else {}
    )
    assert person.external_id == ("ada" if "change_user" in kinds else None)


@settings(deadline=None, max_examples=30)
@given(deliveries())
def test_a_redo_makes_the_same(arriving: list[dict[str, Any]]) -> None:
    first, second = (reduced(arriving) for _ in range(2))
    assert {pid: asdict(one) for pid, one in first.profiles.items()} == {
        pid: asdict(one) for pid, one in second.profiles.items()
    }
