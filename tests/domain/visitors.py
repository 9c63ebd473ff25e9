"""Visitors at random, whose batches come twice or in another order, and a plain model of who they are."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from app.contract import sdk
from app.contract.sdk_records import Sender
from app.domain.apply import reduce
from app.domain.commands import Request
from app.domain.profile import Profile
from app.domain.state import State
from tests.domain.builders import state_of

DEVICES = ("device-a", "device-b", "device-c")


PEOPLE = ("ada", "bob")


SENDER = Sender("app", "Shop", "web")


#: Where data of known people needs a signature: here that is a person's name.
SIGNED = Sender("app", "Shop", "web", verify=lambda token: token if token in PEOPLE else None)


LOG_IN = {"type": "change_user", "user_id": "ada", "signature": "ada"}


_records = st.lists(
    st.one_of(
        st.sampled_from(["one", "two"]).map(lambda name: {"type": "event", "name": name}),
        st.just({"type": "session_start"}),
        st.sampled_from(PEOPLE).map(lambda user: {"type": "change_user", "user_id": user, "signature": user}),
        st.just({"type": "logout"}),
    ),
    min_size=1,
    max_size=4,
)


@dataclass
class Person:
    who: str | None = None
    events: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    devices: set[str] = field(default_factory=set)
    blocked: bool = False


@dataclass
class Model:
    """What docs/sdk.md says, without anything else."""

    needs_signature: bool = False
    people: list[Person] = field(default_factory=list)
    arrived: dict[str, set[int]] = field(default_factory=dict)
    changed: Counter[str] = field(default_factory=Counter)
    #: Of the last log-in or log-out: its sequence number, and the greatest number of a batch then.
    said: dict[str, tuple[int, int]] = field(default_factory=dict)

    def owner(self, device: str) -> Person:
        return next(one for one in self.people if device in one.devices)

    def give(self, device: str, person: Person) -> None:
        for one in self.people:
            one.devices.discard(device)
        person.devices.add(device)

    def late(self, batch: dict[str, Any]) -> int:
        """Records with a lower number than this come too late."""
        device = batch["device_id"]
        said, said_at = self.said.get(device, (0, 0))
        told = [record["seq"] for record in batch["records"] if record["type"] in ("change_user", "logout")]
        missing = set(range(batch["batch"] + 1, said_at)) - self.arrived[device]
        return said if missing or any(sequence < said for sequence in told) else self.changed[device]

    def apply(self, batch: dict[str, Any]) -> None:
        device, number = batch["device_id"], batch["batch"]
        if device not in self.arrived:
            self.arrived[device] = set()
            self.people.append(Person(devices={device}))
        if number in self.arrived[device]:
            return
        self.arrived[device].add(number)
        who, late = self.owner(device).who, self.late(batch)
        may_tell = not self.needs_signature or who in (None, batch.get("signature"))
        for record in batch["records"]:
            if record["seq"] >= late:
                may_tell = self.record(device, record, may_tell=may_tell)

    def record(self, device: str, record: dict[str, Any], *, may_tell: bool) -> bool:
        """Whether the next record of the batch may tell something of whoever has the device then."""
        person = self.owner(device)
        if record["type"] in ("event", "session_start"):
            if may_tell and not person.blocked:
                person.events[record.get("name", "")] += "name" in record
                person.sessions += "name" not in record
            return may_tell
        if record["type"] == "change_user":
            moved = self.log_in(device, person, record["user_id"])
        elif moved := person.who is not None:
            self.people.append(Person())
            self.give(device, self.people[-1])
        if moved:
            self.changed[device] = record["seq"]
        self.said[device] = record["seq"], max(self.arrived[device])
        return True

    def log_in(self, device: str, person: Person, who: str) -> bool:
        """Whether somebody else has the device since."""
        known = next((one for one in self.people if one.who == who), None)
        if person.who is None and known is None:
            person.who = who
            return False
        if person is known:
            return False
        if person.who is None and known is not None and not known.blocked:
            self.people.remove(person)
            known.events += person.events
            known.sessions += person.sessions
            known.devices |= person.devices
            return False
        if known is None:
            known = Person(who)
            self.people.append(known)
        self.give(device, known)
        return True

    def shown(self) -> list[str]:
        return sorted(shown(one.who, one.events, one.sessions, one.devices) for one in self.people)


def shown(who: str | None, events: dict[str, int], sessions: int, devices: set[str]) -> str:
    return repr(
        (who or "", sorted((name, count) for name, count in events.items() if count), sessions, sorted(devices))
    )


@st.composite
def deliveries(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Batches as they arrive: those of a device are numbered, some come again, and some come late."""
    batches: list[dict[str, Any]] = []
    numbers, sequences = Counter[str](), Counter[str]()
    for _ in range(draw(st.integers(1, 12))):
        device = draw(st.sampled_from(DEVICES))
        numbers[device] += 1
        records = []
        for record in draw(_records):
            sequences[device] += 1
            records.append(record | {"seq": sequences[device], "ago": 0})
        signature = draw(st.sampled_from([{}, *({"signature": who} for who in PEOPLE)]))
        batches.append({"device_id": device, "batch": numbers[device], "records": records, **signature})
    arriving = list(batches)
    for _ in range(draw(st.integers(0, 5))):
        arriving.insert(draw(st.integers(0, len(arriving))), draw(st.sampled_from(batches)))
    for _ in range(draw(st.integers(0, 3))):
        arriving.append(arriving.pop(draw(st.integers(0, len(arriving) - 1))))
    return arriving


def reduced(arriving: list[dict[str, Any]], sender: Sender = SENDER, known: Sequence[Profile] = ()) -> State:
    state = state_of(*(replace(one) for one in known))
    requests = []
    for seq, batch in enumerate(arriving, 1):
        checked = sdk.check(json.dumps(batch).encode(), sender, seq * 1_000_000)
        requests.append(Request(0, seq, seq * 1_000_000, sdk.decode(checked.body)))
    reduce(requests, state, 1, b"secret")
    return state
