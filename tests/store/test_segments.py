"""Every filter, compiled for both stores, says what the evaluation in memory says."""

from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from app.domain import times
from app.domain.changes import Link
from app.domain.profile import NAME_EVENT, NAME_PRODUCT, Occurrence, Profile
from app.domain.segments.clock import Clock
from app.domain.segments.evaluate import Person, is_in, matches
from app.domain.segments.fields import FIELDS, Kind
from app.domain.segments.model import Definition, Filter
from app.domain.settings import ApplySettings
from app.store import lane
from app.store.engine import Database
from app.store.profiles.save import save
from app.store.segments import regexes, run, values, windows
from app.store.segments.patterns import is_pattern, matcher
from tests import segments
from tests.fuzz.size import cases
from tests.segments import Hostile, World
from tests.servers import PostgresServer
from tests.stores import workspace

#: A seed cannot be shrunk; what is reported names it, the person and the filters.
_PROPERTY: Final = settings(
    max_examples=cases(25),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
_seeds = st.integers(0, 2**32)
_TABLES: Final = (
    *("profile", "profile_core", "profile_custom", "profile_part", "profile_value", "identifier", "address_state"),
    *("occurrence", "name", "lineage"),
)


class Store:
    """A workspace that holds one world after the other."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.id = workspace(database)
        values.begin(database, self.id, 0)

    def ways(self) -> Iterator[str]:
        """What sections are read from."""
        yield "texts"
        if self.database.is_postgresql:
            self._fill("null")
            yield "values"
            self._fill("-1")

    def _fill(self, pid: str) -> None:
        with self.database.write() as connection:
            connection.execute(text(f"update value_filling set pid = {pid}"))

    def hold(self, world: World, zone: str, *, merged: bool = True) -> None:
        with self.database.write() as connection:
            for table in _TABLES:
                connection.execute(text(f"delete from {table} where workspace_id = :w"), {"w": self.id})
            state = world.state()
            if merged:
                state.changes.lineage.append(Link(World.MERGED, world.people[0].pid, with_occurrences=True))
            save(connection, self.id, state, {}, with_values=self.database.is_postgresql)
            lane.save_settings(connection, self.id, ApplySettings(time_zone=zone))

    def results(self, filters: list[Filter], now_us: int, pid: int) -> list[bool] | None:
        with self.database.read() as connection:
            return run.reasons(connection, self.id, pid, filters, now_us)

    def everybody(self, definition: Definition, now_us: int) -> set[int]:
        """Those in a segment, by all ways to ask."""
        with self.database.read() as connection:
            listed: list[int] = []
            while page := run.members(connection, self.id, definition, now_us, listed[-1] if listed else None, 3):
                listed += [member.pid for member in page]
            assert run.count(connection, self.id, definition, now_us) == len(listed)
            assert run.matches(connection, self.id, [1, 2, 3, 4, 5, 6], definition, now_us) == set(listed)
            return set(listed)


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


@_PROPERTY
@given(seed=_seeds)
def test_filters(store: Store, seed: int) -> None:
    hostile = Hostile(seed)
    world = hostile.world()
    clock, zone = hostile.clock()
    documents = [hostile.filter() for _ in range(12)]
    filters = list(segments.definition({"groups": [{"filters": documents}]}).filters())
    store.hold(world, zone)
    for profile in world.people:
        person = world.person(profile)
        expected = [matches(one, person, clock, matcher) for one in filters]
        for way in store.ways():
            found = store.results(filters, clock.now_us, profile.pid)
            assert found is not None
            different = [d for d, e, f in zip(documents, expected, found, strict=True) if e is not f]
            assert not different, (seed, way, clock, person)


WANTED: Final = (
    *(
        ("before", moment)
        for moment in ("2026-03-09T09:30:00Z", "2026-03-09T09:30:00.001Z", "0001-01-02", "3000-12-31")
    ),
    *(("after", moment) for moment in ("2026-03-09T09:30:00Z", "2026-03-09T09:29:59.999Z", "2026-03-09T09:30:00.499Z")),
    *(("less_than_x_days_ago", days) for days in (0.25, 1, 2, 36_525)),
    *(("more_than_x_days_ago", 1), ("in_less_than_x_days_in_the_future", 36_525), ("more_than_x_hours_ago", 24)),
    *(("day_of_recurring_event", day) for day in ("03-09", "02-29", "03-01", -1)),
)


def test_times_are_read_as_they_were_sent(store: Store) -> None:
    """Every form of a time among the properties of events, against every operator on times."""
    clock = Clock(segments.us("2026-03-10T09:30:00Z"), ZoneInfo("America/St_Johns"))
    somebody = Profile(
        1, "b", 0, 0, 0, core={}, custom={}, events={}, purchases={}, devices={}, messages={}, commerce={}
    )
    happened = [
        Occurrence(0, seq, 0, 1, NAME_EVENT, "view", clock.now_us, None, {"when": sent, "in": [{"when": sent}]})
        for seq, sent in enumerate((*segments.SENT, {"$time": segments.SENT[1]}, {"$time": 5}, 20260309, ["2026"]), 1)
    ]
    person = Person(somebody, {}, happened)
    store.hold(World([somebody], happened), "America/St_Johns")
    filters = []
    for op, value in WANTED:
        for path in ("when", "in[].when"):
            one = {"field": "x_events_in_y_days", "name": "view", "op": "exactly", "y": 1}
            one["property"] = {"name": path, "op": op, "value": value}
            found = [
                each
                for n in range(len(happened) + 1)
                for each in segments.definition({"groups": [{"filters": [{**one, "x": n}]}]}).filters()
                if matches(each, person, clock, matcher)
            ]
            filters += found
    assert len(filters) == 2 * len(WANTED)
    results = store.results(filters, clock.now_us, 1)
    assert results is not None
    assert [(each.criteria, each.x) for each, result in zip(filters, results, strict=True) if not result] == []
    assert len({each.x for each in filters}) > 5


@_PROPERTY
@given(seed=_seeds)
def test_definitions(store: Store, seed: int) -> None:
    hostile = Hostile(seed)
    world = hostile.world()
    clock, zone = hostile.clock()
    document = hostile.definition()
    definition = segments.definition(document)
    store.hold(world, zone)
    expected = {one.pid for one in world.people if is_in(definition, world.person(one), clock, matcher)}
    for way in store.ways():
        assert store.everybody(definition, clock.now_us) == expected, (seed, way, document)


@pytest.mark.parametrize("merged", [False, True])
@settings(_PROPERTY, max_examples=10)
@given(seed=_seeds)
def test_windows_of_many_occurrences(store: Store, merged: bool, seed: int) -> None:
    """PostgreSQL sums their people in halves, and those who were merged apart."""
    hostile = Hostile(seed)
    world = hostile.world()
    if not merged:
        world.occurrences = [one for one in world.occurrences if one.pid != World.MERGED]
    clock, zone = hostile.clock()
    store.hold(world, zone, merged=merged)
    documents = [one for one in (hostile.filter() for _ in range(40)) if FIELDS[one["field"]].kind == Kind.WINDOW]
    usual = windows._SAMPLE_PERCENT, windows._SAMPLE_LEAST
    for document in documents[:4]:
        definition = segments.definition({"groups": [{"filters": [document]}]})
        expected = {one.pid for one in world.people if is_in(definition, world.person(one), clock, matcher)}
        for many in (usual, (100, 1)):
            windows._SAMPLE_PERCENT, windows._SAMPLE_LEAST = many  # type: ignore[misc]
            try:
                with store.database.read() as connection:
                    found = run.members(connection, store.id, definition, clock.now_us, None, 100)
            finally:
                windows._SAMPLE_PERCENT, windows._SAMPLE_LEAST = usual  # type: ignore[misc]
            assert {member.pid for member in found} == expected, (seed, many, document)


@pytest.mark.parametrize("kind", [NAME_EVENT, NAME_PRODUCT])
def test_every_hour_of_a_window(store: Store, kind: int) -> None:
    """Where a window begins in the middle of a day, its days and their parts are counted once each."""
    clock, _ = Hostile(1).clock()
    hour = times.DAY // 24
    somebody = Profile(1, "b", 0, 0, 0, core={}, custom={}, events={}, purchases={}, devices={})
    moments = [clock.now_us - n * 5 * hour for n in range(40)]
    happened = [Occurrence(0, n, 0, 1, kind, "view", us, None, None, quantity=1) for n, us in enumerate(moments, 1)]
    store.hold(World([somebody], happened), "America/St_Johns", merged=False)
    field = "x_events_in_y_days" if kind == NAME_EVENT else "x_purchases_in_y_days"
    for days in (1, 3, 7):
        asked = []
        for x in range(len(happened) + 1):
            one = {"field": field, "name": "view", "op": "exactly", "x": x, "y": days}
            asked.append(segments.definition({"groups": [{"filters": [one]}]}))
        expected = [is_in(one, Person(somebody, {}, happened), clock, matcher) for one in asked].index(True)
        with store.database.read() as connection:
            found = [
                x for x in range(expected - 1, expected + 2) if run.count(connection, store.id, asked[x], clock.now_us)
            ]
        assert found == [expected], days


#: Pieces of patterns, as users put them together.
_PIECES: Final = (
    *(
        "a",
        "K",
        "s",
        "0",
        " ",
        "-",
        "_",
        "@",
        "%",
        "'",
        ".",
        r"\.",
        r"\d",
        r"\w",
        r"\s",
        r"\D",
        r"\W",
        r"\S",
        "[a-f]",
        "[^k]",
    ),
    *(
        r"[\w.+-]",
        "[0-9_]",
        "[A-Z]",
        "[^@s]",
        "^",
        "$",
        "(a|b)",
        "(?:k|s)+",
        "(x?y)",
        "a|",
        "é",
        "(?i)",
        "[[:alpha:]]",
        r"\b",
    ),
    *(
        "a{2}",
        "k{1,3}",
        "s{0,}",
        "a{,2}",
        "(",
        ")",
        "a**",
        "(?P<n>a)",
        r"\x41",
        r"\pL",
        "[]",
        "[é]",
        r"\Q.\E",
        "{",
        "}",
    ),
)
_LETTERS: Final = "aAbkKsS\u017f\u212axyYéÉ09 -_.@%'\n\\日"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(_PIECES), st.sampled_from(["", "", "*", "+", "?", "*?", "{2}"])), max_size=5
        ),
        min_size=5,
        max_size=5,
    ),
    st.lists(st.text(_LETTERS, max_size=8), min_size=8, max_size=8),
)
def test_translated_patterns_find_the_same(
    postgres_connection: Connection, patterns: list[list[tuple[str, str]]], texts: list[str]
) -> None:
    """And what narrows down finds at least as much."""
    for pieces in patterns:
        pattern = "".join(piece + repeated for piece, repeated in pieces)
        if not is_pattern(pattern):
            continue
        wanted = [matcher(pattern)(one) for one in texts]
        translated, narrowing = regexes.translated(pattern), regexes.narrowing(pattern)
        if translated is not None:
            assert finds(postgres_connection, translated, texts) == wanted, (pattern, translated, texts)
            assert narrowing == translated
        elif narrowing is not None:
            found = finds(postgres_connection, narrowing, texts)
            missed = [
                one for one, is_found, is_wanted in zip(texts, found, wanted, strict=True) if is_wanted > is_found
            ]
            assert not missed, (pattern, narrowing)


def finds(connection: Connection, pattern: str, texts: list[str]) -> list[bool]:
    statement = 'select t collate "C" ~ :p from unnest(cast(:texts as text[])) with ordinality u(t, n) order by n'
    return list(connection.execute(text(statement), {"p": pattern, "texts": texts}).scalars())


@pytest.mark.parametrize(
    ("pattern", "is_narrowed"),
    [(r"\bword", True), (r"(a|\bb)c\b", True), (r"\\b\b", True), (r"\b", False), (r"\b*a", False), (r"\bé", False)],
)
def test_which_patterns_are_narrowed_down(pattern: str, is_narrowed: bool) -> None:
    assert (regexes.narrowing(pattern) is not None) is is_narrowed


@pytest.fixture(scope="module")
def postgres_connection(postgres_server: PostgresServer) -> Iterator[Connection]:
    database = Database(postgres_server.create_database("patterns"))
    with database.read() as connection:
        yield connection
    database.dispose()


@pytest.mark.parametrize(
    ("pattern", "is_translated"),
    [
        *(("^g.*d$", True), (r"@example\.org$", True), ("(?i)gold|silver", True), (r"^\w+([.-]\w+)*@", True)),
        *(
            (r"\d{3}-\d{4}", True),
            ("[^aeiou]+?", True),
            ("", False),
            ("é", False),
            ("(?s)a.b", False),
            ("a{101}", False),
        ),
        *((r"\bword", False), ("(a{20}){20}", False), ("(^a)*", False), ("a|", False)),
    ],
)
def test_which_patterns_are_translated(pattern: str, is_translated: bool) -> None:
    assert (regexes.translated(pattern) is not None) is is_translated
