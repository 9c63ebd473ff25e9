"""Any merge of any history is taken out: what is left is the history in which it never was.

What was written since the merge was written to the kept profile there. Values that the record names could not be
separated for sure: they are left out of the comparison. Nobody is deleted, and nobody is chosen by recency. A number or
an array that came with the merge and was changed since, rather than set, stays as it is, so no write does that.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from app.domain import sizes
from app.domain.apply import reduce
from app.domain.commands import Command, Request, TrackAttributes, TrackEvent, TrackPurchase
from app.domain.history import Origin
from app.domain.merging.merge import MERGE, NONE, perform, place, plan_merge, put, rekeyed
from app.domain.merging.undo import UndoPlan, perform_undo, plan_undo
from app.domain.profile import BRAZE, CHANNEL_EMAIL, SUBSCRIPTION_STATES, Address, AddressState, Profile
from app.domain.state import State
from tests.domain.builders import profile, state_of
from tests.domain.people import NAMES, TIMES, strict

PEOPLE = 5
#: Fields that are identifiers, or that go with an address.
OF_IDENTITY = ("external_id", "aliases", "deprecated", "email", "phone")
#: What is one thing with an address: a write to it counts where the address is.
OF_ADDRESS = (
    "email_subscribe",
    "email_groups",
    "phone_groups",
    "email_open_tracking_disabled",
    "email_click_tracking_disabled",
    "marked_email_as_spam_at",
)


def email_of(pid: int) -> str:
    """Nobody shares an address: consent that a merge gave it would reach others, and go on from there."""
    return f"p{pid}@example.org"


def person(pid: int, random: Random) -> Profile:
    """Somebody with a few values that others have as well, and a few of their own."""

    def some(values: Callable[[], Any]) -> dict[str, Any]:
        return {name: values() for name in "abc" if random.random() < 0.5}

    def moment() -> int:
        return random.randint(1, 50)

    def summary() -> list[int]:
        return [random.randint(1, 9), *sorted((moment(), moment()))]

    def maybe(**values: Any) -> dict[str, Any]:
        return {name: value for name, value in values.items() if random.random() < 0.4 and value != {}}

    def consent() -> list[Any]:
        return [random.choice(SUBSCRIPTION_STATES), moment()]

    def app() -> dict[str, Any]:
        return {"sessions": random.randint(1, 5), **maybe(first_used=moment(), last_used=moment(), version="a")}

    values: dict[str, Any] = {
        "custom": some(lambda: random.choice([True, 1, 1.0, "v", ["a"], {"k": 1}])),
        "events": some(summary),
        "purchases": some(summary),
        "revenue_cents": random.randint(-5, 500),
        "purchase_count": random.randint(0, 5),
        "session_count": random.randint(0, 5),
        "flags": random.randint(0, 1),
        "devices": maybe(
            devices=some(lambda: {"os": "1"}), tokens={f"token{pid}": {"app": "Shop"}}, apps=some(app), uninstalled_at=3
        ),
        "messages": maybe(received=some(moment), campaigns={"a": {"b": moment()}}, history=some(lambda: {"at": 1})),
        "commerce": maybe(
            placed=random.randint(1, 3),
            last_order=moment(),
            carts=some(lambda: {"updated": moment()}),
            days=some(lambda: [random.randint(0, 3), 1, 2]),
            unbooked=some(lambda: f"{random.randint(1, 9)}.5"),
        ),
    }
    values |= maybe(first_purchase_us=moment(), last_purchase_us=moment(), first_session_us=moment())
    values |= maybe(external_id=f"u{pid}", aliases=some(lambda: f"n{pid}"), deprecated=[f"old{pid}"])
    values |= maybe(first_name=random.choice(["", "Ana", "Bo"]), current_location=[1, 2.5], push_subscribe=consent())
    values |= maybe(email_open_tracking_disabled=random.random() < 0.5, marked_email_as_spam_at=moment())
    values |= random.choice([{"email": email_of(pid)}, maybe(email_subscribe=consent())])
    if "email" not in values:
        values |= maybe(email_groups=some(consent))
    values |= random.choice([{}, {"phone": "+1", "phone_raw": "1"}, {"phone_raw": f"x{pid}"}])
    return profile(pid, **values)


def recorded(random: Random) -> dict[Address, AddressState]:
    topics = ("", "a", "b")
    return {
        (CHANNEL_EMAIL, email_of(pid), topic): AddressState(random.choice(SUBSCRIPTION_STATES), 3)
        for pid in range(1, PEOPLE + 1)
        for topic in topics
        if random.random() < 0.3
    }


@dataclass(frozen=True)
class Step:
    """Something that happened at a moment to a profile: a merge of another one into it, or a write."""

    us: int
    pid: int
    merged: int = 0
    policy: str = MERGE
    write: tuple[Any, ...] = ()

    @property
    def merge_id(self) -> str:
        return f"m{self.us}"


def do(state: State, step: Step) -> None:
    state.now_us = step.us
    if step.merged:
        kept, merged = state.profiles[step.pid], state.profiles[step.merged]
        plan = plan_merge(kept, merged, step.policy, state.topics)
        perform(state, plan, Origin(0, step.us, 0, step.us), step.merge_id)
        return
    kind, *values = step.write
    who = (BRAZE, "", state.profiles[step.pid].braze_id)
    if kind == "put":
        profile, (path, value) = state.profiles[step.pid], values
        with rekeyed(state, profile):
            put(state, profile, path, value)
        state.touch(profile, step.us, 0)
        return
    command: Command
    update_only, merge_objects = True, False
    if kind == "event":
        command = TrackEvent(0, who, update_only, values[0], values[1], None, None)
    elif kind == "purchase":
        command = TrackPurchase(0, who, update_only, values[0], "USD", Decimal(values[1]), 1, values[2], None, None)
    else:
        fields, custom = dict(values[0]), values[1]
        if fields.get("email") == "own":
            fields["email"] = f"w{step.pid}@example.org"
        if "phone" in fields:
            fields["phone_raw"] = fields["phone"]
        command = TrackAttributes(0, who, update_only, merge_objects, fields, custom)
    reduce([Request(0, step.us, step.us, [command])], state, 1, b"secret")


_values = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["w", ["b"]]))
_writes = st.one_of(
    st.tuples(st.just("attributes"), st.just({}), st.dictionaries(NAMES, _values, min_size=1, max_size=2)),
    st.tuples(
        st.just("attributes"),
        st.fixed_dictionaries(
            {},
            optional={
                "first_name": st.sampled_from([None, "Ana", "Cy"]),
                "email": st.sampled_from([None, "own"]),
                "phone": st.sampled_from([None, "+2"]),
                "email_subscribe": st.sampled_from(["unsubscribed", "opted_in"]),
            },
        ),
        st.just({}),
    ),
    st.tuples(st.just("event"), NAMES, TIMES),
    st.tuples(st.just("purchase"), NAMES, st.integers(-3, 9), TIMES),
    st.tuples(st.just("put"), st.tuples(st.just("messages"), st.just("received"), NAMES), st.integers(50, 60)),
    st.tuples(
        st.just("put"), st.tuples(st.just("devices"), st.just("devices"), NAMES), st.sampled_from([None, {"os": "2"}])
    ),
)


def facts(state: State, named: set[tuple[str, ...]]) -> object:
    """All that a state says, but for history, records, and values at places that are named."""
    is_somebody_else = any(path[0].startswith(OF_IDENTITY) for path in named)
    profiles: dict[int, Any] = {}
    for pid, found in state.profiles.items():
        left = Profile(**deepcopy(asdict(found)))
        for path in named | ({(name,) for name in OF_ADDRESS} if is_somebody_else else set()):
            place(left, path, 0 if path in _NUMBERS else None)
        left.size = 0
        profiles[pid] = asdict(left)
    if is_somebody_else:
        return strict(profiles)
    index = {key: pids for key, pids in state.index.items() if pids}
    # For how long the consent of an address that nobody has is kept depends on when the last one lost it.
    addresses = {
        address: (found.state, found.changed_us, found.forget_us is None)
        for address, found in state.addresses.items()
        if found is not None
    }
    return strict(profiles), index, addresses, state.lineage


_NUMBERS = {("revenue_cents",), ("purchase_count",), ("session_count",), ("flags",)}


class Histories(RuleBasedStateMachine):
    """A workspace in which people are written to and merged, and merges of any age are taken out."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        random = Random(seed)
        self.found = [asdict(person(pid, random)) for pid in range(1, PEOPLE + 1)]
        self.addresses = recorded(random)
        self.us = 1_000
        self.log: list[Step] = []
        self.named: set[tuple[str, ...]] = set()
        self.state = self.beginning()

    def beginning(self) -> State:
        return state_of(*(Profile(**deepcopy(each)) for each in self.found), addresses=self.addresses)

    def _do(self, **values: Any) -> None:
        self.us += 10
        step = Step(self.us, **values)
        do(self.state, step)
        self.log.append(step)

    @precondition(lambda self: len(self.state.profiles) > 1)
    @rule(data=st.data(), policy=st.sampled_from([MERGE, MERGE, MERGE, NONE]))
    def merge(self, data: st.DataObject, policy: str) -> None:
        kept = data.draw(st.sampled_from(sorted(self.state.profiles)))
        merged = data.draw(st.sampled_from(sorted(self.state.profiles.keys() - {kept})))
        self._do(pid=kept, merged=merged, policy=policy)

    @rule(data=st.data(), write=_writes)
    def write(self, data: st.DataObject, write: tuple[Any, ...]) -> None:
        self._do(pid=data.draw(st.sampled_from(sorted(self.state.profiles))), write=write)

    @precondition(lambda self: any(step.merged for step in self.log))
    @rule(data=st.data())
    def take_out(self, data: st.DataObject) -> None:
        step = data.draw(st.sampled_from([step for step in self.log if step.merged]))
        plan = plan_undo(self.state, step.merge_id, 9_000)
        if plan == "identifier_reused":
            return
        assert isinstance(plan, UndoPlan), plan
        perform_undo(self.state, plan, Origin(0, 9_000, self.us, 9_000))
        self.named |= {tuple(name.split(".")) for name in plan.unseparated}
        if any("email" in each.write[1] for each in self.log if each.write[:1] == ("attributes",)):
            self.named.add(("email",))
        self.log.remove(step)
        never = self.beginning()
        for each in self.log:
            do(never, each)
        assert facts(self.state, self.named) == facts(never, self.named)
        for found in self.state.profiles.values():
            assert found.size == sizes.of_profile(found)
        self.take_all_back(deepcopy(self.state), never)

    def take_all_back(self, *states: State) -> None:
        """The records of the merges that are left say what they would say."""
        named = set(self.named)
        for step in reversed([step for step in self.log if step.merged]):
            for state in states:
                plan = plan_undo(state, step.merge_id, 9_000)
                if plan == "identifier_reused":
                    return
                assert isinstance(plan, UndoPlan), plan
                perform_undo(state, plan, Origin(0, 9_001, 0, 9_001))
                named |= {tuple(name.split(".")) for name in plan.unseparated}
            one, other = (facts(state, named) for state in states)
            assert one == other


Histories.TestCase.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=12, suppress_health_check=[HealthCheck.filter_too_much]
)
test_any_merge_taken_out_leaves_the_history_in_which_it_never_was = Histories.TestCase
