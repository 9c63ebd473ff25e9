"""Any calls of tracking SDKs, by any path, some of them again, against a plain model: the whole state, and why some
have no effect.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contract.tracking.calls import TYPES
from tests.api.harness import Json, Service
from tests.api.reference import equal
from tests.api.sdk import Site

DEVICES: Final = ("device-1", "device-2")
PEOPLE: Final = ("ada", "bob")
KNOWN: Final = "message_known"


@dataclass
class Person:
    who: str | None = None
    events: Counter[str] = field(default_factory=Counter)
    devices: set[str] = field(default_factory=set)
    custom: dict[str, Any] = field(default_factory=dict)


@dataclass
class Model:
    """What docs/tracking.md says, without anything else."""

    people: list[Person] = field(default_factory=list)
    messages: set[str] = field(default_factory=set)

    def request(self, calls: list[Json]) -> tuple[list[int], list[tuple[int, str]]]:
        """(calls that are refused, (call, reason) of those without effect)."""
        refused = [n for n, call in enumerate(calls) if not is_sound(call)]
        skipped: list[tuple[int, str]] = []
        for n, call in enumerate(calls):
            if n in refused:
                continue
            message = call.get("messageId") or ""
            if message in self.messages:
                skipped.append((n, KNOWN))
                continue
            self.messages |= {message} - {""}
            reason = self.apply(call)
            skipped += [(n, reason)] if reason else []
        everything = len(refused) == len(calls)
        return refused, [] if everything else [*skipped, *((n, "call_refused") for n in refused)]

    def apply(self, call: Json) -> str:
        device, user, kind = call.get("anonymousId"), call.get("userId"), call["type"]
        if kind == "alias":
            return self.alias(call.get("previousId") or device, user)
        person = self.found(device, user)
        if kind == "identify":
            person.custom |= call["traits"]
        elif kind == "group":
            person.custom["group_id"] = call["groupId"]
        else:
            person.events[event_of(call)] += 1
        return ""

    def alias(self, previous: Any, user: Any) -> str:
        was = self.owner(previous) or self.who(previous)
        if was is not None and was.who is not None:
            return "already_identified" if was.who == user else "identified_otherwise"
        self.found(previous, user)
        return ""

    def found(self, device: str | None, user: str | None) -> Person:
        """Whom a call is about."""
        if device is None:
            return self.who(user) or self.new(who=user)
        person = self.owner(device) or self.new(devices={device})
        if user is None or person.who == user:
            return person
        known = self.who(user)
        if person.who is None and known is None:
            person.who = user
            return person
        if person.who is None and known is not None:
            self.people.remove(person)
            known.events += person.events
            known.devices |= person.devices
            known.custom = person.custom | known.custom
            return known
        known = known or self.new(who=user)
        person.devices.discard(device)
        known.devices.add(device)
        return known

    def new(self, **values: Any) -> Person:
        self.people.append(Person(**values))
        return self.people[-1]

    def owner(self, device: str) -> Person | None:
        return next((one for one in self.people if device in one.devices), None)

    def who(self, user: str | None) -> Person | None:
        return next((one for one in self.people if user is not None and one.who == user), None)

    def shown(self) -> list[str]:
        return sorted(shown(one.who, one.events, one.devices, one.custom) for one in self.people)


def shown(who: str | None, events: dict[str, int], devices: set[str], custom: Json) -> str:
    return json.dumps([who, sorted(events.items()), sorted(devices), sorted(custom.items())])


def event_of(call: Json) -> str:
    if call["type"] == "track":
        return str(call["event"])
    what = call["type"].capitalize()
    return f"Viewed {call['name']} {what}" if call.get("name") else f"Loaded a {what}"


def is_sound(call: Json) -> bool:
    """Whether a call can be read."""
    kind, device, user = call["type"], call.get("anonymousId"), call.get("userId")
    if kind == "alias":
        previous = call.get("previousId") or device
        return bool(user and previous and previous != user)
    missing = {"track": "event", "group": "groupId"}.get(kind)
    return bool(user or device) and (missing is None or bool(call.get(missing)))


def some(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), strategy)


_SAID: Final[dict[str, st.SearchStrategy[Json]]] = {
    "identify": st.fixed_dictionaries(
        {"traits": st.dictionaries(st.sampled_from("ab"), st.integers(1, 3), min_size=1)}
    ),
    "track": st.fixed_dictionaries({"event": st.sampled_from(["one", "two", ""])}),
    "page": st.fixed_dictionaries({"name": st.sampled_from(["Home", ""])}),
    "screen": st.fixed_dictionaries({"name": st.sampled_from(["Home", ""])}),
    "group": st.fixed_dictionaries({"groupId": st.sampled_from(["g", "h", ""])}),
    "alias": st.fixed_dictionaries({"previousId": some(st.sampled_from([*DEVICES, *PEOPLE]))}),
}


@st.composite
def calls(draw: st.DrawFn) -> Json:
    kind = draw(st.sampled_from(sorted(TYPES)))
    whom = {
        "anonymousId": draw(some(st.sampled_from(DEVICES))),
        "userId": draw(some(st.sampled_from(PEOPLE))),
        "messageId": draw(some(st.sampled_from("mno"))),
    }
    sent = {name: value for name, value in (whom | draw(_SAID[kind])).items() if value is not None}
    return {"type": kind, **sent}


#: How requests are sent: a path for each call, or one for many.
_ALONE: Final = ("/v1/{}", "/v1/{:.1}", "/api/s/{}", "/api/s/s2s/{}")
_TOGETHER: Final = ("/v1/batch", "/v1/b", "/beacon/v1/batch")
_requests = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(_ALONE), st.lists(calls(), min_size=1, max_size=1)),
        st.tuples(st.sampled_from(_TOGETHER), st.lists(calls(), min_size=1, max_size=6)),
    ),
    min_size=1,
    max_size=6,
)


def check(service: Service, requests: list[tuple[str, list[Json]]], *, twice: bool) -> None:
    workspace = service.workspace("legacy")
    site, model = Site(workspace), Model()
    for path, sent in requests * (2 if twice else 1):
        refused, skipped = model.request(sent)
        body = {"batch": sent} if path in _TOGETHER else sent[0]
        answer = site.send_to(path.format(sent[0]["type"]), body)
        assert answer.status == (400 if len(refused) == len(sent) else 200), answer.text
        if path in _TOGETHER:
            assert [index for _, index in answer.errors] == refused
        if answer.status == 200:
            found = [(index, reason) for _, index, _, reason in workspace.skipped(answer.request_id)]
            assert found == skipped
    people = []
    for one in workspace.state().profiles.values():
        held: Json = one.devices or {}
        events = {name: count for name, (count, _, _) in (one.events or {}).items()}
        devices = {device["id"] for device in held.get("devices", {}).values()}
        people.append(shown(one.external_id, events, devices, dict(one.custom or {})))
    assert sorted(people) == model.shown()
    assert equal(workspace)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_requests, st.booleans())
def test_calls_are_those_of_the_model(on_sqlite: Service, requests: list[tuple[str, list[Json]]], twice: bool) -> None:
    check(on_sqlite, requests, twice=twice)


@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_requests, st.booleans())
def test_on_the_other_store_too(on_postgres: Service, requests: list[tuple[str, list[Json]]], twice: bool) -> None:
    check(on_postgres, requests, twice=twice)
