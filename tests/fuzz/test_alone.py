"""Every kind of command, with every field of it, alone in its batch, by every identifier that a client may still have.

Other commands of a batch load much that one of them needs and forgot to ask for. So each is applied by itself, by
present and former external ids, aliases that were retired, moved or are gone, braze_ids of profiles that were merged
away, shared addresses, and by names of nobody. Nothing is a dead letter, and the store has what the reducer makes of
the whole workspace at once.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any, Final

import msgspec
from sqlalchemy import text

from app.contract import kinds
from app.contract.attributes import FIELDS
from app.contract.checked import CODEC_COMMANDS
from app.domain import ids, imports, messages, subscriptions
from app.domain.commands import (
    AddressEvent,
    Archive,
    BookRevenue,
    ChangeFlags,
    CleanUpImport,
    Command,
    CountRefused,
    Delete,
    DeleteMarked,
    Identify,
    ImportUser,
    Merge,
    MergeDuplicate,
    NewAlias,
    RecordMessage,
    RemoveExternalId,
    RenameExternalId,
    Selector,
    SetEmailState,
    SetGroupState,
    UndoMerge,
    UpdateAlias,
)
from app.domain.imported import ImportedUser
from app.domain.merging import match
from app.domain.profile import (
    ALIAS,
    BRAZE,
    CHANNEL_EMAIL,
    CHANNEL_PHONE,
    EMAIL,
    EXTERNAL,
    GLOBAL_CONTROL_GROUP,
    PHONE,
    TEST_USER,
    Identifier,
)
from app.store import workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.profiles.dump import dump
from tests.accepting import CHECKS, GROUPS
from tests.applying import applier, cursors, differences
from tests.contract.recommended import LEAST, NAMES
from tests.fuzz.size import CASES, SEED
from tests.stores import NOW_US, workspace
from tests.strategies import RULES
from workers.batches import BatchSize

Json = dict[str, Any]
TIME: Final = "2026-11-10T10:00:00Z"
LABELS: Final = ("crm", "web")
_DEAD: Final = text("select seq from dead where workspace_id = :workspace_id")
_names = (f"a{n}" for n in itertools.count())


class Single(BatchSize):
    """Each request is a batch."""

    def __init__(self) -> None:
        super().__init__(requests=1)

    def adapt(self, *_: object, **__: object) -> None:
        pass


@dataclasses.dataclass
class Family:
    """Some people, in whose names stands a number. One was renamed, one was merged into another."""

    n: int
    #: braze_ids by the external id of before.
    braze_ids: dict[str, str] = dataclasses.field(default_factory=dict)
    #: Of the merge of `gone` into `kept`.
    merge_id: str = ""

    def of(self, name: str) -> str:
        return f"{name}{self.n}"

    def email(self, name: str) -> str:
        return f"{self.of(name)}@example.org"

    def phone(self, n: int) -> str:
        return f"+3460{n}{self.n:06}"

    @property
    def attributes(self) -> list[Json]:
        """The people, before anything happens to them."""
        told = {"email_subscribe": "unsubscribed", "tier": "gold", "home": {"city": "Vigo", "rooms": [{"id": 1}]}}
        mine = {"email": self.email("mine"), "phone": self.phone(1)}
        group = {"subscription_groups": [{"subscription_group_id": "news", "subscription_state": "subscribed"}]}
        shared = {"email": self.email("shared"), "phone": self.phone(2)}
        guest = {"user_alias": {"alias_label": "web", "alias_name": self.of("guest")}, "_update_existing_only": False}
        return [
            {"external_id": self.of("before"), **mine, **told, **group},
            {"external_id": self.of("kept"), "email": self.email("kept"), "tags": ["a"]},
            {"external_id": self.of("gone"), "email": self.email("gone"), "points": 1, "tags": ["b"]},
            *({"external_id": self.of(f"twin{k}"), **shared, "email_subscribe": "opted_in"} for k in range(2)),
            {**guest, **shared},
        ]

    @property
    def purchases(self) -> list[Json]:
        """Of a currency without a rate."""
        bought = {"product_id": "p", "currency": "BTC", "price": 1, "time": TIME}
        return [{"external_id": self.of(name), **bought} for name in ("before", "gone")]

    @property
    def aliases(self) -> list[NewAlias]:
        """`web` of the merged profile is retired, since the kept one has another; `crm` moves."""
        given = [("before", "web", "w"), ("kept", "web", "k"), ("gone", "web", "retired"), ("gone", "crm", "moved")]
        return [NewAlias(k, self.of(who), label, self.of(name)) for k, (who, label, name) in enumerate(given)]

    def identifiers(self) -> dict[str, Identifier]:
        braze_ids = self.braze_ids
        return {
            "external id": (EXTERNAL, "", self.of("now")),
            "former external id": (EXTERNAL, "", self.of("before")),
            "external id of a merged profile": (EXTERNAL, "", self.of("gone")),
            "external id of nobody": (EXTERNAL, "", self.of("nobody")),
            "alias": (ALIAS, "web", self.of("w")),
            "alias that moved": (ALIAS, "crm", self.of("moved")),
            "retired alias": (ALIAS, "web", self.of("retired")),
            "alias of nobody": (ALIAS, "web", self.of("nobody")),
            "braze_id": (BRAZE, "", braze_ids[self.of("before")]),
            "braze_id of a merged profile": (BRAZE, "", braze_ids[self.of("gone")]),
            "braze_id of nobody": (BRAZE, "", "0" * 24),
            "email": (EMAIL, "", self.email("mine")),
            "email of several": (EMAIL, "", self.email("shared")),
            "email of nobody": (EMAIL, "", self.email("nobody")),
            "phone": (PHONE, "", self.phone(1)),
            "phone of several": (PHONE, "", self.phone(2)),
            "phone of nobody": (PHONE, "", self.phone(3)),
        }


#: A family that is in no store, to count what would be asked of one.
NOBODY: Final = Family(0, {"before0": "x", "gone0": "y"}, "m")
IDENTIFIERS: Final = list(NOBODY.identifiers())

#: A value that each reserved field takes. `None` is sent as well.
VALUES: Final[Json] = {
    "first_name": "Ada",
    "last_name": "B",
    "country": "ES",
    "language": "es",
    "time_zone": "Europe/Madrid",
    "home_city": "Vigo",
    "dob": "1990-02-03",
    "gender": "F",
    "current_location": {"longitude": 1, "latitude": 2},
    "date_of_first_session": TIME,
    "date_of_last_session": TIME,
    "email_subscribe": "opted_in",
    "push_subscribe": "opted_in",
    "subscription_groups": [{"subscription_group_id": group, "subscription_state": "unsubscribed"} for group in GROUPS],
    "email_open_tracking_disabled": True,
    "email_click_tracking_disabled": True,
    "marked_email_as_spam_at": TIME,
    "facebook": {"id": "1"},
    "twitter": {"id": 1},
    "image_url": "https://example.org/i",
    "native_line_id": "l",
}
#: Fields that are no values of a profile, or move its addresses: those have tests of their own below.
NOT_VALUES: Final = frozenset(
    (
        *("external_id", "user_alias", "braze_id", "_update_existing_only", "_merge_objects", "push_token_import"),
        *("alias_name", "alias_label", "bio", "email_subscription_info", "push_tokens", "email", "phone"),
    )
)
_CUSTOM: Final[list[Json]] = [
    {"tier": None},
    {"tier": "silver"},
    {"points": {"inc": 2}},
    {"tags": {"add": ["x"]}},
    {"tags": {"remove": ["a"]}},
    {"home": {"city": "Lugo"}, "_merge_objects": True},
    {"rooms": {"$add": [{"id": 2}]}},
    {"home": {"rooms": {"$update": [{"$identifier_key": "id", "$identifier_value": 1, "$new_object": {"id": 3}}]}}},
]


def objects() -> Iterator[tuple[str, Json]]:
    """(array, object without its identifier) of whatever /users/track takes and does not move addresses."""
    for name, value in VALUES.items():
        yield "attributes", {name: value}
        yield "attributes", {name: None}
    for custom in _CUSTOM:
        yield "attributes", custom
    for only in (True, False):
        yield "attributes", {"tier": "silver", "_update_existing_only": only}
        yield "events", {"name": "e", "time": TIME, "_update_existing_only": only}
    yield "events", {"name": "e", "time": TIME, "properties": {"a": [1]}}
    for name in NAMES:
        yield "events", {"name": name, "time": TIME, "properties": LEAST[name]}
    yield "events", {"name": NAMES[-1], "time": TIME, "properties": {**LEAST[NAMES[-1]], "currency": "BTC"}}
    for currency in ("USD", "EUR", "BTC"):
        yield "purchases", {"product_id": "q", "currency": currency, "price": 2, "time": TIME}


def moves(family: Family) -> Iterator[Json]:
    """Attributes that give an address, take one, or set the consent of one at the same time."""
    emails = (None, family.email("new"), family.email("mine"), family.email("shared"))
    phones = (None, family.phone(4), family.phone(1), family.phone(2), "no number")
    consents: list[Json] = [{}, {"email_subscribe": "opted_in"}, {"subscription_groups": VALUES["subscription_groups"]}]
    for email, consent in itertools.product(emails, consents):
        yield {"email": email, **consent}
    for phone in phones:
        yield {"phone": phone}
    yield {"email": emails[1], "phone": phones[1], "marked_email_as_spam_at": TIME}


def named(identifier: Identifier) -> Json:
    """An identifier as an object of /users/track has it."""
    kind, label, value = identifier
    if kind == ALIAS:
        return {"user_alias": {"alias_label": label, "alias_name": value}}
    return {{EXTERNAL: "external_id", BRAZE: "braze_id", EMAIL: "email", PHONE: "phone"}[kind]: value}


def about(identifier: Identifier) -> Iterator[Command]:
    """Commands that address one profile and leave its identifiers alone."""
    kind, _, value = identifier
    yield from (ChangeFlags(0, identifier, *bits) for bits in ((TEST_USER, 0), (0, TEST_USER)))
    for channel, what in itertools.product(("email", "push"), messages.ENGAGEMENTS):
        yield RecordMessage(0, identifier, f"{channel}_{what}", message_id="m", campaign_id="c", canvas_id="v")
    yield RecordMessage(0, identifier, messages.CANVAS_STEPS[0], time_us=NOW_US, canvas_id="v")
    yield AddressEvent("events", 0, subscriptions.UNINSTALL, identifier, NOW_US)
    if kind in (EXTERNAL, EMAIL, PHONE):
        for group, of in GROUPS.items():
            if kind == EXTERNAL or of == {EMAIL: CHANNEL_EMAIL, PHONE: CHANNEL_PHONE}[kind]:
                for state, double in itertools.product(("subscribed", "unsubscribed"), (False, True)):
                    yield SetGroupState("external_ids", 0, identifier, of, group, state, double)
    if kind == EMAIL:
        yield from (SetEmailState(0, value, state) for state in ("subscribed", "unsubscribed", "opted_in"))
        told = (subscriptions.HARD_BOUNCE, subscriptions.SPAM_REPORT, subscriptions.UNSUBSCRIBE)
        taken = (subscriptions.BOUNCE_REMOVED, subscriptions.SPAM_REMOVED)
        yield from (AddressEvent("events", 0, what, identifier, NOW_US) for what in (*told, *taken))
    if kind == PHONE:
        yield AddressEvent("events", 0, subscriptions.INVALID_PHONE, identifier, NOW_US, "unreachable")
        yield AddressEvent("events", 0, subscriptions.INVALID_PHONE_REMOVED, identifier)
    if kind == BRAZE:
        yield BookRevenue(0, value)
        yield DeleteMarked(0, value)
        yield Archive(0, value, NOW_US)
        yield CleanUpImport(0, value)
    yield CountRefused(0, NAMES[0], "MISSING_PROPERTY", 2)


def about_who(family: Family, identifier: Identifier) -> Iterator[Command]:
    """Commands that may merge or delete the profile, or give it another identifier: each needs people of its own."""
    kind, label, value = identifier
    other = Selector((EXTERNAL, "", family.of("now")))
    for rules in [()] if kind in (EXTERNAL, ALIAS, BRAZE) else [(rule,) for rule in RULES]:
        who = Selector(identifier, rules)
        yield Merge(0, who, other)
        yield Merge(0, other, who)
        yield Delete("external_ids", 0, who)
        if kind in (ALIAS, EMAIL, PHONE):
            for external_id in ("now", "before", "gone", "nobody"):
                yield Identify("aliases_to_identify", 0, family.of(external_id), who, merge=True)
            yield Identify("aliases_to_identify", 0, family.of("now"), who, merge=False)
    if kind == EXTERNAL:
        yield RenameExternalId(0, value, family.of("other"))
        yield RenameExternalId(0, family.of("kept"), value)
        yield RemoveExternalId(0, value)
        yield from (NewAlias(0, value, label, family.of("x")) for label in LABELS)
        yield UndoMerge(0, family.merge_id)
    yield from _imported(family, identifier)
    if kind == ALIAS:
        yield NewAlias(0, family.of("now"), label, value)
        yield NewAlias(0, None, label, value)
        yield UpdateAlias(0, label, value, family.of("y"))
        yield UpdateAlias(0, label, family.of("k"), value)
    if kind in (EMAIL, PHONE) and family.braze_ids:
        gone, before = (family.braze_ids[family.of(name)] for name in ("gone", "before"))
        for pair, ties in itertools.product(((gone, before), (before, gone)), match.TIES):
            yield MergeDuplicate(0, identifier, *pair, ties, match.NEWEST)
    yield ChangeFlags(0, identifier, GLOBAL_CONTROL_GROUP, 0)


def _imported(family: Family, identifier: Identifier) -> Iterator[Command]:
    """Users of files with this identifier, and with whatever else others have."""
    kind, label, value = identifier
    by_kind: Json = {"external_id": {EXTERNAL: value}, "braze_id": {BRAZE: value}, "aliases": {ALIAS: {label: value}}}
    names: Json = {name: one[kind] for name, one in by_kind.items() if kind in one}
    told: Json = {
        "fields": {"email": family.email("mine"), "phone": family.phone(2), "phone_raw": family.phone(2)},
        "recorded": [(CHANNEL_EMAIL, "", "unsubscribed", NOW_US), (CHANNEL_PHONE, "news", "subscribed", None)],
    }
    if kind in (EMAIL, PHONE):
        names = {"external_id": family.of("now")}
        told["fields"] = {{EMAIL: "email", PHONE: "phone"}[kind]: value}
    more: Json = {
        "aliases": {"web": family.of("guest"), "crm": family.of("x")},
        "former": [family.of("gone"), family.of("z")],
    }
    for overwrite, named in itertools.product((False, True), (names, more | names)):
        user = ImportedUser(**named, **told)
        found = imports.keys(ImportUser(0, identifier, user))
        if found:
            yield ImportUser(0, found[0], user, overwrite)


def stored(command: Command) -> Entry:
    return Entry(kinds.KIND_OF[type(command)], CODEC_COMMANDS, msgspec.json.encode([command]))


def tracked(**body: list[Json]) -> Entry:
    checked = CHECKS["/users/track"](msgspec.json.encode(body))
    assert checked is not None
    return Entry(checked.kind, checked.codec, checked.body)


class World:
    """A workspace of families, and a worker that takes one request at a time."""

    def __init__(self, database: Database, families: int) -> None:
        self.database = database
        self.id = workspace(database, next(_names))
        self.families = [Family(n) for n in range(families)]
        self.worker = applier(database)
        self._people()
        self.worker._sizes = {stream: Single() for stream in (0, 1)}

    def send(self, *entries: Entry) -> list[int]:
        """Their numbers in the log."""
        with self.database.write(self.database.inbox) as connection:
            return [place.seq for place in inbox.append(connection, self.id, 0, list(entries), NOW_US)]

    def drain(self) -> None:
        while self.worker.drain(self.id).behind:
            pass

    def _people(self) -> None:
        families = self.families
        self.send(
            tracked(
                attributes=[one for family in families for one in family.attributes],
                purchases=[one for family in families for one in family.purchases],
            ),
            Entry(
                kinds.KIND_OF[NewAlias],
                CODEC_COMMANDS,
                msgspec.json.encode([alias for family in families for alias in family.aliases]),
            ),
        )
        self.drain()
        with self.database.read() as connection:
            found = {profile.external_id: profile.braze_id for profile in dump(connection, self.id).profiles.values()}
        secret = workspaces.secret(self.database, self.id)
        renames = [RenameExternalId(0, family.of("before"), family.of("now")) for family in families]
        merges = [
            Merge(0, *(Selector((EXTERNAL, "", family.of(name))) for name in ("gone", "kept"))) for family in families
        ]
        _, seq = self.send(
            *(
                Entry(kinds.KIND_OF[type(commands[0])], CODEC_COMMANDS, msgspec.json.encode(commands))
                for commands in (renames, merges)
            )
        )
        self.drain()
        for ordinal, family in enumerate(families):
            family.braze_ids = {family.of(name): found[family.of(name)] for name in ("before", "gone")}
            family.merge_id = ids.merge_id(secret, self.id, 0, seq, ordinal)


def test_nothing_is_left_out() -> None:
    """A new reserved field, and a new command, have to be thought of here."""
    assert VALUES.keys() == FIELDS.keys() - NOT_VALUES
    made = {
        type(command)
        for identifier in NOBODY.identifiers().values()
        for command in (*about(identifier), *about_who(NOBODY, identifier))
    }
    assert made == set(kinds.KIND_OF)


Case = tuple[str, Callable[[Family], Entry]]
"""(what it is, the request about a family that nothing else is asked of)."""


def cases() -> list[Case]:
    found: list[Case] = []
    for name in IDENTIFIERS:
        whose = NOBODY.identifiers()[name]
        for array, one in objects():
            found.append((f"{name}: {array} {one}", partial(_object, name, array, one)))
        for make, count in (
            (_move, len(list(moves(NOBODY)))),
            (_about, len(list(about(whose)))),
            (_about_who, len(list(about_who(NOBODY, whose)))),
        ):
            found += [(f"{name}: {make.__name__} {n}", partial(make, name, n)) for n in range(count)]
    return found


def _object(name: str, array: str, one: Json, family: Family) -> Entry:
    return tracked(**{array: [{**one, **named(family.identifiers()[name])}]})


def _move(name: str, n: int, family: Family) -> Entry:
    return tracked(attributes=[{**list(moves(family))[n], **named(family.identifiers()[name])}])


def _about(name: str, n: int, family: Family) -> Entry:
    return stored(list(about(family.identifiers()[name]))[n])


def _about_who(name: str, n: int, family: Family) -> Entry:
    return stored(list(about_who(family, family.identifiers()[name]))[n])


def test_alone_in_its_batch(database: Database) -> None:
    """Each case of a family of its own: some at random, and all of them with `make fuzz`."""
    every = cases()
    chosen = every if CASES else Random(SEED).sample(every, 60)
    print(f"seed {SEED}, {len(chosen)} of {len(every)} cases")
    for start in range(0, len(chosen), 200):
        asked = chosen[start : start + 200]
        world = World(database, len(asked))
        world.send(*(make(family) for (_, make), family in zip(asked, world.families, strict=True)))
        world.drain()
        assert cursors(database, world.id) == [4 + len(asked), 0]
        with database.read() as connection:
            dead = [seq for (seq,) in connection.execute(_DEAD, {"workspace_id": world.id})]
        assert [asked[seq - 5][0] for seq in dead] == []
        assert differences(database, world.id) == []
