"""Sessions, daily and monthly active users against sets of days: late sessions, two apps, log-ins, log-outs,
undone merges."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract import sdk
from app.contract.sdk_records import Sender
from app.domain import active_days, series, sizes, times
from app.domain.apply import reduce
from app.domain.commands import ChangeSettings, Command, Request, UndoMerge
from app.domain.state import State

APPS = ("app-a", "app-b")
DEVICES = ("device-a", "device-b", "device-c")
PEOPLE = ("ada", "bob")
#: A day on which clocks go forward in Berlin.
START_US = 1_774_742_400_000_000 - 5 * times.DAY
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata")

#: Hours from the request before it, the device, the app, and what is sent: a session that began so many hours ago, a
#: log-in or a log-out.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sampled_from(DEVICES),
        st.sampled_from(APPS),
        st.one_of(
            st.one_of(st.just(0), st.integers(0, 30 * 24)),
            st.one_of(st.just(0), st.integers(0, 30 * 24)),
            st.sampled_from(PEOPLE),
            st.just("out"),
        ),
    ),
    max_size=25,
)


@dataclass
class Person:
    who: str | None = None
    #: App, or "" for all -> days.
    days: dict[str, set[int]] = field(default_factory=dict)

    def counts(self, app: str, day: int) -> bool:
        return any(day - 30 < one <= day for one in self.days.get(app, ()))


@dataclass
class Model:
    people: dict[tuple[str, str], Person] = field(default_factory=dict)
    known: dict[str, Person] = field(default_factory=dict)
    sums: Counter[tuple[int, str, int]] = field(default_factory=Counter)

    def session(self, device: tuple[str, str], day: int) -> None:
        person = self.people[device]
        self.sums[series.SESSIONS, device[0], day] += 1
        for app, daily, monthly in (("", 14, 15), (device[0], 17, 18)):
            self.sums[daily, app, day] += day not in person.days.get(app, ())
            for each in range(day, day + 30):
                self.sums[monthly, app, each] += not person.counts(app, each)
            person.days.setdefault(app, set()).add(day)

    def log_in(self, device: tuple[str, str], who: str, today: int) -> None:
        person = self.people[device]
        known = self.known.get(who)
        if known is None:
            known = self.known[who] = person if person.who is None else Person()
            known.who = who
        elif person.who is None:
            before = [Person(None, {app: set(days) for app, days in one.days.items()}) for one in (known, person)]
            for app, days in person.days.items():
                known.days[app] = known.days.get(app, set()) | days
            self.tell(before, [known], today)
            for key, one in self.people.items():
                if one is person:
                    self.people[key] = known
        self.people[device] = known

    def tell(self, before: list[Person], after: list[Person], today: int) -> None:
        """Days to come are counted by who is who now."""
        for app in ("", *APPS):
            for day in range(today + 1, today + 40):
                for one, sign in ((before, -1), (after, 1)):
                    self.sums[15 if app == "" else 18, app, day] += sign * sum(each.counts(app, day) for each in one)


def told(state: State) -> dict[tuple[int, str, int], int]:
    """The sums by day that are not 0."""
    kinds = {series.SESSIONS, 14, 15, 17, 18}
    found = Counter[tuple[int, str, int]]()
    for (kind, name, app, day, _), (count, _) in state.changes.series.items():
        if kind in kinds:
            assert name == ""
            found[kind, app, day] += count
    return {key: count for key, count in found.items() if count}


def _batch(records: list[dict[str, Any]], device: str, app: str, number: int, us: int) -> list[Command]:
    numbered = [record | {"seq": number * 10 + n} for n, record in enumerate(records)]
    body = json.dumps({"device_id": device, "batch": number, "records": numbered}).encode()
    return sdk.decode(sdk.check(body, Sender(app, app, "web"), us).body)


@settings(deadline=None, max_examples=150)
@given(STEPS, st.sampled_from(ZONES))
def test_active_users_are_those_of_the_sets(steps: list[tuple[int, str, str, Any]], zone: str) -> None:
    model, us = Model(), START_US
    requests = [Request(0, 1, us, [ChangeSettings(0, {"time_zone": zone})])]
    for number, (hours, name, app, what) in enumerate(steps, 2):
        us += hours * times.HOUR + times.SECOND
        device, today = (app, name), series.place(zone, us // series.QUARTER_US)[0]
        model.people.setdefault(device, Person())
        if isinstance(what, int):
            began = us - what * times.HOUR
            model.session(device, series.place(zone, began // series.QUARTER_US)[0])
            records: list[dict[str, Any]] = [{"type": "session_start", "ago": what * 3_600_000}]
        elif what == "out":
            if model.people[device].who is not None:
                model.people[device] = Person()
            records = [{"type": "logout", "ago": 0}]
        else:
            model.log_in(device, what, today)
            records = [{"type": "change_user", "user_id": what, "ago": 0}]
        requests.append(Request(0, number, us, _batch(records, name, app, number, us)))
    state = State(complete=True)
    reduce(requests, state, 1, b"secret")
    assert told(state) == {key: count for key, count in model.sums.items() if count}
    for profile in state.profiles.values():
        assert profile.size == sizes.of_profile(profile)
    again = State(complete=True)
    for request in requests:
        reduce([request], again, 1, b"secret")
    assert told(again) == told(state)
    assert {pid: asdict(one) for pid, one in again.profiles.items()} == {
        pid: asdict(one) for pid, one in state.profiles.items()
    }


def test_an_undone_merge_counts_two_again() -> None:
    """From the day after it on: who was one person in between was so."""

    def people_by_day(*what: tuple[int, str, str]) -> dict[tuple[int, str, int], int]:
        state = State(complete=True)
        for number, (day, device, record) in enumerate(what, 1):
            us = day * times.DAY
            if record == "undo":
                (merge,) = state.records
                commands: list[Command] = [UndoMerge(0, merge)]
            else:
                kind = "session_start" if record == "session" else "change_user"
                commands = _batch([{"type": kind, "user_id": record, "ago": 0}], device, "app-a", number, us)
            reduce([Request(0, number, us, commands)], state, 1, b"secret")
        return told(state)

    apart = people_by_day((100, "device-a", "session"), (101, "device-b", "session"))
    story = ((100, "device-a", "session"), (100, "device-a", "ada"), (101, "device-b", "session"))
    one = people_by_day(*story, (103, "device-b", "ada"))
    undone = people_by_day(*story, (103, "device-b", "ada"), (105, "device-b", "undo"))
    monthly = {
        day: [found.get((15, "", day), 0) for found in (apart, one, undone)] for day in (103, 104, 105, 106, 130)
    }
    assert monthly == {103: [2, 2, 2], 104: [2, 1, 1], 105: [2, 1, 1], 106: [2, 1, 2], 130: [1, 1, 1]}
    assert {key: count for key, count in apart.items() if key[0] not in (15, 18)} == {
        key: count for key, count in undone.items() if key[0] not in (15, 18)
    }


@given(st.sets(st.integers(1_000, 1_090), min_size=1), st.integers(990, 1_130))
def test_marks_are_sets_of_days(days: set[int], day: int) -> None:
    mark: list[int] | None = None
    for each in sorted(days, key=lambda one: one % 7):
        mark = active_days.joined(mark, [each, 1])
    assert mark is not None
    kept = {each for each in days if each > max(days) - active_days.DAYS}
    assert mark[0] == max(days)
    assert active_days.is_active(mark, day) == (day in kept)
    assert active_days.counts(mark, day) == any(day - 30 < each <= day for each in kept)
    assert active_days.joined(None, mark) is mark
