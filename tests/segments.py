"""Hostile people and filters about them, by a seed, for holding the evaluations of segments against each other.

Not drawn by Hypothesis piece by piece: a world has hundreds of pieces, and most of the time would go into drawing them.
"""

from dataclasses import dataclass, field
from datetime import UTC
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from app.contract.segments import read_definition
from app.domain import custom_attributes, times
from app.domain.profile import (
    ALL_SECTIONS,
    CHANNEL_EMAIL,
    CHANNEL_PHONE,
    EMAIL,
    EXTERNAL,
    HARD_BOUNCED,
    INVALID,
    NAME_EVENT,
    NAME_PRODUCT,
    OWN_NAMES,
    PHONE,
    SPAM,
    Address,
    AddressState,
    Occurrence,
    Profile,
)
from app.domain.segments.clock import Clock
from app.domain.segments.evaluate import Person
from app.domain.segments.fields import FIELDS, OPERANDS, OPERATORS, Kind, Operand
from app.domain.segments.model import Definition
from app.domain.state import State
from app.store.segments.patterns import is_pattern

Json = dict[str, Any]
_T = TypeVar("_T")

#: The clocks go forward in Berlin on 2026-03-29; 2026 has no 29 February.
NOWS = ("2026-03-01T00:30:00Z", "2026-03-10T09:30:00Z", "2026-03-29T00:59:59.999Z", "2028-02-29T12:00:00Z")
ZONES = ("UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns")
NAMES = ("a", "b", "tags", "home", "items", 'say "x"', "back\\slash", "é", "a.b", "0")
#: With the Kelvin sign and the long s, which are k and s to some ways of folding.
TEXTS = (
    *("", "x", "X", "gold", "GOLD", "Straße", "STRASSE", "É", "é", "K", "k", "\u017f", "s", "100%", "a_b", "a\\b", "'"),
    "日本",
)
MOMENTS = (
    "2026-02-28T23:00:00.000Z",
    "2028-02-29T10:00:00.000Z",
    "2026-03-01T00:00:00.000Z",
    "2026-03-01T00:30:00.000Z",
    "2026-03-09T09:30:00.000Z",
    "2026-03-29T01:00:00.000Z",
    "0001-01-01T00:00:00.000Z",
    "3000-12-31T23:59:59.999Z",
)
#: Times as clients send them, and what is nearly one.
SENT = (
    *("2026-03-09T09:30:00Z", "2026-03-09T09:30:00.5Z", "2026-03-09T09:30:00.0004Z", "2026-03-10T09:30:00.000Z"),
    *("2026-03-09", "2026-03-01 00:30", "2026-03-10T11:30:00+02:00", "2026-03-29T01:59:59-0500", "03/09/2026"),
    *("Mon Mar 09 09:30:00.UTC 2026", "Mon 03 09 09:30:00.UTC 2026", "2026-02-30T00:00:00Z", "2028-02-29T00:00:00Z"),
    *("2026-03-09T24:00:00Z", "2026-03-09T09:30:60Z", "2026-03-09T09:30:00.Z", "2026-03-09T09:30:00ZZ", "3000-01-01"),
    *("0001-01-01T00:00:00Z", "2026-03-09T09:30:00.5xZ", "2026-13-01T00:00:00Z", "2026-03-09t09:30:00z", "x"),
)
VERSIONS = ("1.2", "1.10", "1.2.0.0", "v1.9", "2-beta", "beta", "", "1", "0.0", "1." + "9" * 30, "\uff11.2", " 1.2")
NUMBERS: tuple[int | float, ...] = (0, 1, -1, 3, 0.1, 2.5, -0.5, 10**15, 2**53 + 1, 1e-7, 2**62)
#: As NUMBERS, but those that a filter may have.
WANTED = NUMBERS[:-1]
PATTERNS = ("x", "^$", "gold", "^g.ld$", "s", "k", "é", r"\d+", "a|b", ".", r"a\.b", "[^a-z]", "(?s)x.*", "100%", "a_b")
DAYS = ("20500", "20510", "20521")
_PATHS = ("", "", "sku", "n.k", "[]", "[].sku", "home[].k", "é")
_TOPICS = ("", "g1", SPAM, HARD_BOUNCED)
_STATES = ("opted_in", "unsubscribed", "subscribed")
_EVENTS = ("view", 'say "x"', "é")
_APPS = ("app-1", "é")
#: Fields of which there is most to get wrong.
_OFTEN = (
    *(["x_events_in_y_days"] * 8),
    *(["x_sessions_in_y_days", "median_session_duration"] * 2),
    *(["birthday", "app_version_number"] * 2),
)


def us(text: str) -> int:
    found = times.parse(text)
    assert found is not None
    return found


@dataclass
class World:
    """Some people with what happened to them, and consent of addresses. MERGED was merged into the first of them."""

    people: list[Profile]
    occurrences: list[Occurrence]
    consents: dict[Address, AddressState] = field(default_factory=dict)

    MERGED = 99

    def person(self, profile: Profile) -> Person:
        mine = {profile.pid} | ({self.MERGED} if profile is self.people[0] else set())
        return Person(profile, self.consents, [one for one in self.occurrences if one.pid in mine])

    def state(self) -> State:
        """What the store saves."""
        state = State(complete=True)
        for profile in self.people:
            state.create(profile)
            if profile.external_id is not None:
                state.add_identifier(profile, (EXTERNAL, "", profile.external_id))
            state.changes.sections[profile.pid] = ALL_SECTIONS
            core: Any = profile.core
            for kind, name in ((EMAIL, "email"), (PHONE, "phone")):
                if name in core:
                    state.add_identifier(profile, (kind, "", core[name]))
        for address, consent in self.consents.items():
            state.set_address(address, consent)
        for one in self.occurrences:
            state.changes.written[one.name_kind, one.name, ""] += 1
        state.changes.occurrences.extend(self.occurrences)
        return state


class Hostile:
    """Worlds and filters by a seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.pick = self.random.choice

    def _likely(self, share: float = 0.5) -> bool:
        return self.random.random() < share

    def _some(self, names: tuple[str, ...], make: Any, share: float = 0.5) -> Json:
        return {name: make() for name in names if self._likely(share)}

    def clock(self) -> tuple[Clock, str]:
        """(clock, name of its zone)."""
        zone = self.pick(ZONES)
        return Clock(us(self.pick(NOWS)), UTC if zone == "UTC" else ZoneInfo(zone)), zone

    def _us(self) -> int:
        return us(self.pick(MOMENTS[:6]))

    def _scalar(self) -> Any:
        choices = (self.random.random() < 0.5, self.pick(NUMBERS), self.pick(TEXTS), {"$time": self.pick(MOMENTS)})
        return self.pick(choices)

    def _object(self) -> Json:
        return self._some(("sku", "n", "k", "é"), self._scalar)

    def _value(self) -> Any:
        match self.random.randrange(8):
            case 0:
                return [self._scalar() for _ in range(self.random.randrange(4))]
            case 1:
                return self._object()
            case 2 | 3:
                return [self.pick((self._object(), self._scalar())) for _ in range(self.random.randrange(3))]
            case _:
                return self._scalar()

    def _custom(self) -> Json:
        options = custom_attributes.Options()
        found = {name: self._value() for name in NAMES if self._likely()}
        stored = {n: custom_attributes.updated(custom_attributes.MISSING, v, options) for n, v in found.items()}
        return {name: value for name, value in stored.items() if not isinstance(value, custom_attributes.Skip)}

    def _core(self) -> Json:
        makers: dict[str, Any] = {
            "first_name": lambda: self.pick(TEXTS),
            "country": lambda: self.pick(("DE", "ES")),
            "email": lambda: self.pick(("x@example.org", "y@example.org")),
            "phone": lambda: self.pick(("+34600123456", "+351912345678")),
            "phone_raw": lambda: self.pick(TEXTS),
            "dob": lambda: self.pick(("2000-02-29", "1990-03-01", "2027-01-01", "1990-03-29")),
            "marked_email_as_spam_at": self._us,
            "push_subscribe": lambda: [self.pick(_STATES), self._us()],
            "current_location": lambda: self.pick(([13.4, 52.5], [0, 0], [-180, 90.0])),
            "aliases": lambda: {"crm": self.pick(TEXTS[1:]), **self._some(("é",), lambda: self.pick(TEXTS[1:]))},
        }
        core = {name: make() for name, make in makers.items() if self._likely()}
        if "email" in core:
            core.pop("marked_email_as_spam_at", None)
        elif self._likely():
            core["email_subscribe"] = [self.pick(_STATES), self._us()]
            core["email_groups"] = {"g1": [self.pick(_STATES[:2]), self._us()]}
        return core

    def _cart(self) -> Json:
        lines = self._some(("1 a b", "2 b"), lambda: {"product_id": self.pick(_EVENTS), "quantity": 1}, 0.6)
        total = self._some(("total",), lambda: self.pick((0, 5, 9.99)))
        return {"currency": "USD", "updated": self._us(), "lines": lines, **total}

    def _commerce(self) -> Json:
        makers: dict[str, Any] = {
            "placed": lambda: self.random.randrange(1, 5),
            "cancelled": lambda: self.random.randrange(1, 4),
            "refunded": lambda: self.pick((1, 999, 2**63 - 1)),
            "last_order": self._us,
            "carts": lambda: self._some(("c1", "c2"), self._cart),
            "days": lambda: self._some(DAYS, lambda: [self.random.randrange(4), self.pick((0, 150, -99, 10**6)), 0]),
        }
        return {name: value for name, make in makers.items() if self._likely() and (value := make())}

    def _devices(self) -> Json:
        names = ("model", "os", "carrier", "locale", "browser")
        makers: dict[str, Any] = {
            "devices": lambda: self._some(("d1", "d2"), lambda: self._some(names, lambda: self.pick(TEXTS))),
            "tokens": lambda: self._some(("t1", "t2"), lambda: self.pick(({}, {"app": "app-1"}))),
            "apps": lambda: self._some(
                _APPS,
                lambda: {
                    "sessions": self.random.randrange(3),
                    "first_used": self._us(),
                    "last_used": self._us(),
                    **self._some(("version",), lambda: self.pick(VERSIONS)),
                },
            ),
            "uninstalled_at": self._us,
        }
        return {name: make() for name, make in makers.items() if self._likely()}

    def _summaries(self) -> dict[str, list[int]]:
        return self._some(_EVENTS, lambda: [self.random.randrange(1, 6), self._us(), self._us()])

    def _profile(self, pid: int) -> Profile:
        """Somebody of whom anything may be known, or nothing."""
        return Profile(
            pid=pid,
            braze_id=f"{pid:024x}",
            created_us=self._us(),
            updated_us=self._us(),
            updated_index=0,
            external_id=f"e{pid}" if self._likely() else None,
            random_bucket=self.pick((0, 5, 9999)),
            flags=self.random.randrange(4),
            revenue_cents=self.pick((0, 1, 1050, -1050, 2**63 - 1)),
            purchase_count=self.random.randrange(4),
            first_purchase_us=self.pick((None, self._us())),
            last_purchase_us=self.pick((None, self._us())),
            session_count=self.random.randrange(3),
            first_session_us=self.pick((None, self._us())),
            last_session_us=self.pick((None, self._us())),
            core=self._core(),
            custom=self._custom(),
            events=self._summaries(),
            purchases=self._summaries(),
            devices=self._devices(),
            messages={},
            commerce=self._commerce(),
        )

    def _property(self) -> Any:
        """As it was sent: nothing makes times of the texts."""
        return self.pick((self._scalar(), self.pick(SENT), {"$time": self.pick(SENT)}, {"$time": 5, "k": 1}, [[]]))

    def _properties(self) -> Json:
        return self._some(("sku", "n", "k", "é", "$time"), self._property)

    def _occurrence(self, seq: int, pids: list[int]) -> Occurrence:
        kind = self.pick((NAME_EVENT, NAME_PRODUCT, *OWN_NAMES))
        return Occurrence(
            stream=0,
            seq=seq,
            ordinal=0,
            pid=self.pick(pids),
            name_kind=kind,
            name="" if kind in OWN_NAMES else self.pick(_EVENTS),
            time_us=self._us(),
            app_id=None,
            properties=self.pick((None, self._properties(), self._properties())),
            quantity=self.random.randrange(1, 4),
            cents=self.pick((0, 100, -50, 12345)),
        )

    def world(self) -> World:
        people = [self._profile(pid) for pid in range(1, self.random.randrange(2, 7))]
        pids = [*(one.pid for one in people), World.MERGED]
        happened = [self._occurrence(seq, pids) for seq in range(self.random.randrange(24))]
        addresses: list[Address] = [
            *(
                (CHANNEL_EMAIL, f"{name}@example.org", topic)
                for name in "xy"
                for topic in ("", "g1", SPAM, HARD_BOUNCED)
            ),
            *((CHANNEL_PHONE, "+34600123456", topic) for topic in ("g1", INVALID)),
        ]
        consents = {one: AddressState(self.pick(_STATES), self._us()) for one in addresses if self._likely()}
        return World(people, happened, consents)

    def _operand(self, op: str) -> Json:
        scalars = (self.pick((True, False)), self.pick(TEXTS), self.pick(WANTED))
        makers: dict[Operand, Any] = {
            Operand.TEXT: lambda: self.pick((*TEXTS, "view", "DE", "opted_in", "x@example.org")),
            Operand.NUMBER: lambda: self.pick(WANTED),
            Operand.TEXT_OR_NUMBER: lambda: self.pick(scalars[1:]),
            Operand.SCALAR: lambda: self.pick(scalars),
            Operand.TEXTS: lambda: [self.pick(TEXTS) for _ in range(self.random.randrange(1, 4))],
            Operand.SCALARS: lambda: list(scalars[: self.random.randrange(1, 4)]),
            Operand.PATTERN: lambda: self.pick(PATTERNS),
            Operand.DATE: lambda: self.pick((*MOMENTS, "2026-03-29", "2026-03-01", "0001-01-01", "3000-12-31")),
            Operand.DAYS: lambda: self.pick((0, 0.25, 1, 9, 36_525)),
            Operand.HOURS: lambda: self.pick((0, 1, 500)),
            Operand.RECURRING: lambda: self.pick(("03-01", "02-29", "03-29", 0, 1, -1, 366)),
        }
        operand = OPERANDS[op]
        return {} if operand == Operand.NONE else {"value": makers[operand]()}

    def _criterion(self, key: str) -> Json:
        ops = [op for op in OPERATORS[Kind.ANY] if op != "any_element"]
        op = self.pick(ops if self._likely() else OPERATORS[Kind.TIME])
        return {key: self.pick(("sku", "n", "k.n", "é", "k.$time")), "op": op, **self._operand(op)}

    def filter(self) -> Json:
        """A filter as JSON, of any field but membership."""
        name = self.pick(
            [*(one for one in FIELDS if one != "segment_membership"), *(["custom_attribute"] * 20), *_OFTEN]
        )
        about = FIELDS[name]
        op = self.pick(OPERATORS[about.kind])
        found: Json = {"field": name, "op": op}
        if name == "user_alias":
            if self._likely() or op not in ("is_blank", "is_not_blank"):
                found["alias_label"] = self.pick(("crm", "é", "none"))
        elif name == "subscription_group":
            found["subscription_group_id"] = "g1"
        elif about.kind == Kind.ANY:
            found |= {"name": self.pick(NAMES), "path": self.pick(_PATHS)}
        elif about.name or (about.name is None and self._likely()):
            found["name"] = self.pick(_APPS if "app" in name or name == "push_enabled" else _EVENTS)
        return found | self._rest(op, about.kind, properties=about.properties)

    def _rest(self, op: str, kind: Kind, *, properties: bool) -> Json:
        if op == "any_element":
            return {"criteria": [self._criterion("path") for _ in range(self.random.randrange(1, 3))]}
        if kind == Kind.WINDOW:
            window: Json = {"x": self.random.randrange(5), "y": self.random.randrange(1, 31)}
            return window | self._some(("property",), lambda: self._criterion("name")) if properties else window
        if kind == Kind.CIRCLE:
            return {"longitude": 13.0, "latitude": 52.0, "kilometres": self.pick((1, 100, 20_000))}
        if op == "does_not_equal" and kind in (Kind.NUMBER, Kind.COUNT, Kind.MONEY):
            return {"value": self.pick(WANTED)}
        if kind == Kind.VERSION and OPERANDS[op] != Operand.NONE:
            return {"value": self.pick(("1.2", "1.10", "1.2.0", "0"))}
        if op == "does_not_equal" and kind == Kind.TEXT:
            return {"value": self.pick(TEXTS)}
        return self._operand(op)

    def _groups(self) -> list[Json]:
        return [
            {"op": self.pick(("AND", "OR")), "filters": [self.filter() for _ in range(self.random.randrange(4))]}
            for _ in range(self.random.randrange(3))
        ]

    def definition(self) -> Json:
        """A definition as JSON."""
        found: Json = {"groups": self._groups()}
        if self._likely():
            found["join"] = self.pick(("AND", "OR"))
        if self._likely(0.3):
            found["exclude"] = self._groups()
        if self._likely(0.3):
            found["apps"] = self.pick(("all", "none", ["app-1"], ["é", "other"]))
        return found


def definition(document: Json, others: Json | None = None) -> Definition:
    """The definition, as the API reads it."""
    return read_definition(document, is_pattern, (others or {}).get)
