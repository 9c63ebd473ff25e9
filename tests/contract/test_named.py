"""Whom a request names: by the commands of a stored one, by the members of a refused one."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.contract import identifiers, named, track
from app.contract.errors import ObjectError, RefusedError
from app.contract.kinds import KIND_OF, TRACK
from app.domain import commands, device_commands
from app.domain.commands import Selector
from app.domain.effects import EFFECTS
from app.domain.imported import ImportedUser
from app.domain.named import identifiers_named
from app.domain.profile import ALIAS, BRAZE, CHANNEL_EMAIL, DEVICE, EMAIL, EXTERNAL, PHONE, TOKEN, Identifier
from tests.api import objects

ADA: Final = (EXTERNAL, "", "ada")
BOB: Final = (EXTERNAL, "", "bob")
MAIL: Final = (EMAIL, "", "a@example.org")
NUMBER: Final = (PHONE, "", "+34600123456")
NAMED_B: Final = (BRAZE, "", "b" * 24)
DEVICE_1: Final = (DEVICE, "app", "d-1")

_attributes: Final[Any] = (0, ADA, None, False, {"email": MAIL[2], "phone": NUMBER[2]}, {})
_tokens: Final[Any] = (0, ADA, None, False, {"push_tokens": [["app", "ios", "t-1", None]]}, {})
_imported: Final[Any] = (0, (TOKEN, "", "t-1"), None, False, {}, {})
_event: Final = (0, ADA, None, "e", 1, None, None)
_purchase: Final = (0, ADA, None, "p", "USD", Decimal(1), 1, 1, None, None)

LIMITS: Final = track.Limits(75, None)

#: One of each class, and whom it names.
ROWS: Final[dict[type, tuple[Any, set[Identifier]]]] = {
    commands.TrackAttributes: (commands.TrackAttributes(*_attributes), {ADA, MAIL, NUMBER}),
    device_commands.DeviceAttributes: (device_commands.DeviceAttributes(*_attributes), {ADA, MAIL, NUMBER}),
    device_commands.CallAttributes: (device_commands.CallAttributes(*_attributes), {ADA, MAIL, NUMBER}),
    commands.TrackTokens: (commands.TrackTokens(*_tokens), {ADA, (TOKEN, "", "t-1")}),
    device_commands.DeviceTokens: (device_commands.DeviceTokens(*_tokens), {ADA, (TOKEN, "", "t-1")}),
    device_commands.CallTokens: (device_commands.CallTokens(*_tokens), {ADA, (TOKEN, "", "t-1")}),
    commands.ImportToken: (commands.ImportToken(*_imported), {(TOKEN, "", "t-1")}),
    commands.TrackEvent: (commands.TrackEvent(*_event), {ADA}),
    device_commands.DeviceEvent: (device_commands.DeviceEvent(*_event), {ADA}),
    device_commands.CallEvent: (device_commands.CallEvent(*_event), {ADA}),
    commands.TrackPurchase: (commands.TrackPurchase(*_purchase), {ADA}),
    device_commands.DevicePurchase: (device_commands.DevicePurchase(*_purchase), {ADA}),
    device_commands.CallPurchase: (device_commands.CallPurchase(*_purchase), {ADA}),
    commands.Unreadable: (commands.Unreadable(0, "events"), set()),
    commands.ChangeSettings: (commands.ChangeSettings(0, {"external_id": "ada"}), set()),
    commands.Identify: (commands.Identify("a", 0, "ada", Selector(MAIL, ("identified",)), merge=True), {ADA, MAIL}),
    commands.Merge: (commands.Merge(0, Selector(ADA), Selector(NUMBER)), {ADA, NUMBER}),
    commands.MergeDuplicate: (
        commands.MergeDuplicate(0, MAIL, "b" * 24, "c" * 24, "", ""),
        {MAIL, NAMED_B, (BRAZE, "", "c" * 24)},
    ),
    commands.NewAlias: (commands.NewAlias(0, "ada", "l", "n"), {ADA, (ALIAS, "l", "n")}),
    commands.UpdateAlias: (commands.UpdateAlias(0, "l", "o", "n"), {(ALIAS, "l", "o"), (ALIAS, "l", "n")}),
    commands.Delete: (commands.Delete("a", 0, Selector(NUMBER)), {NUMBER}),
    commands.DeleteMarked: (commands.DeleteMarked(0, "b" * 24), {NAMED_B}),
    commands.Archive: (commands.Archive(0, "b" * 24, 1), {NAMED_B}),
    commands.CleanUpImport: (commands.CleanUpImport(0, "b" * 24), {NAMED_B}),
    commands.RenameExternalId: (commands.RenameExternalId(0, "ada", "bob"), {ADA, BOB}),
    commands.RemoveExternalId: (commands.RemoveExternalId(0, "ada"), {ADA}),
    commands.UndoMerge: (commands.UndoMerge(0, "m"), set()),
    commands.ChangeFlags: (commands.ChangeFlags(0, ADA, 1, 0), {ADA}),
    commands.SetGroupState: (commands.SetGroupState("a", 0, MAIL, CHANNEL_EMAIL, "g", "subscribed"), {MAIL}),
    commands.SetEmailState: (commands.SetEmailState(0, MAIL[2], "subscribed"), {MAIL}),
    commands.AddressEvent: (commands.AddressEvent("a", 0, "hard_bounce", MAIL), {MAIL}),
    commands.RecordMessage: (commands.RecordMessage(0, ADA, "email_opened"), {ADA}),
    commands.ImportUser: (
        commands.ImportUser(
            0,
            ADA,
            ImportedUser(
                "ada",
                "b" * 24,
                aliases={"l": "n", "m": "o"},
                former=["bob"],
                fields={"email": MAIL[2], "phone": NUMBER[2]},
                devices={"app/d-1": {"app": "app", "id": "d-1"}},
                tokens={"t-1": {}},
            ),
        ),
        {ADA, NAMED_B, (ALIAS, "l", "n"), (ALIAS, "m", "o"), BOB, MAIL, NUMBER, DEVICE_1, (TOKEN, "", "t-1")},
    ),
    commands.BookRevenue: (commands.BookRevenue(0, "b" * 24), {NAMED_B}),
    commands.CountRefused: (commands.CountRefused(0, "e", "f", 1), set()),
    device_commands.SdkBatch: (device_commands.SdkBatch(DEVICE_1, 1, ()), {DEVICE_1}),
    device_commands.StartSession: (device_commands.StartSession(0, DEVICE_1, 1, "", "", "", ""), {DEVICE_1}),
    device_commands.CallSession: (device_commands.CallSession(0, DEVICE_1, 1, "", "", "", ""), {DEVICE_1}),
    device_commands.EndSession: (device_commands.EndSession(0, DEVICE_1, 1), {DEVICE_1}),
    device_commands.CallSessionEnd: (device_commands.CallSessionEnd(0, DEVICE_1, 1), {DEVICE_1}),
    device_commands.DescribeDevice: (device_commands.DescribeDevice(0, DEVICE_1, {}, {}), {DEVICE_1}),
    device_commands.CallDevice: (device_commands.CallDevice(0, DEVICE_1, {}, {}), {DEVICE_1}),
    device_commands.AddAlias: (device_commands.AddAlias(0, DEVICE_1, "l", "n"), {DEVICE_1, (ALIAS, "l", "n")}),
    device_commands.ChangeUser: (device_commands.ChangeUser(0, DEVICE_1, "ada"), {DEVICE_1, ADA}),
    device_commands.CallUser: (device_commands.CallUser(0, DEVICE_1, "ada"), {DEVICE_1, ADA}),
    device_commands.LogOut: (device_commands.LogOut(0, DEVICE_1, 1), {DEVICE_1}),
    device_commands.Visit: (device_commands.Visit(0, DEVICE_1), {DEVICE_1}),
    device_commands.AliasUser: (device_commands.AliasUser(0, DEVICE_1, "ada"), {DEVICE_1, (EXTERNAL, "", "d-1"), ADA}),
    device_commands.DropCall: (device_commands.DropCall(0, "r"), set()),
}


def test_every_command_is_in_the_table() -> None:
    assert ROWS.keys() == EFFECTS.keys()


@pytest.mark.parametrize("command", [row[0] for row in ROWS.values()], ids=lambda one: type(one).__name__)
def test_whom_a_command_names(command: Any) -> None:
    assert identifiers_named(command) == ROWS[type(command)][1]


@pytest.mark.parametrize("command", [ROWS[kind][0] for kind in KIND_OF], ids=lambda one: type(one).__name__)
def test_stored_commands_are_found(command: Any) -> None:
    """By each identifier, with the place of the object; the look at the bytes lets all of them through."""
    kind, body = KIND_OF[type(command)], msgspec.json.encode([command])
    for identifier in ROWS[type(command)][1]:
        assert named.may_name(identifier)(kind, body)
        assert named.places_naming(kind, 1, body, identifier) == [(command.input_array, command.index)]
    assert named.places_naming(kind, 1, body, (EXTERNAL, "", "somebody else")) is None


# What clients write is not always what is compared.

SPELLINGS: Final = (
    ('{"external_id": "\\u0061d\\u0061"}', ADA),
    ('{"\\u0065xternal_id": "ada"}', ADA),
    ('{"external_id": 42}', (EXTERNAL, "", "42")),
    ('{"external_id": 42.0}', (EXTERNAL, "", "42")),
    ('{"external_id": 4.2e1}', (EXTERNAL, "", "42")),
    ('{"external_id": 41.99999999999999999999}', (EXTERNAL, "", "42")),
    ('{"external_id": 1e300}', (EXTERNAL, "", "1e+300")),
    ('{"external_id": 0.50}', (EXTERNAL, "", "0.5")),
    ('{"external_id": "a/b"}', (EXTERNAL, "", "a/b")),
    ('{"external_id": "a\\/b"}', (EXTERNAL, "", "a/b")),
    ('{"external_id": "é"}', (EXTERNAL, "", "é")),
    ('{"external_id": "\\u00e9"}', (EXTERNAL, "", "é")),
    ('{"external_id": "\U0001f511"}', (EXTERNAL, "", "\U0001f511")),
    ('{"external_id": "\\ud83d\\udd11"}', (EXTERNAL, "", "\U0001f511")),
    ('{"email": " A@Example.ORG "}', MAIL),
    ('{"email": "\\u0041@example.org"}', MAIL),
    ('{"email": "a@b\\u00fccher.example"}', (EMAIL, "", "a@xn--bcher-kva.example")),
    ('{"email": "e\u0301@example.org"}', (EMAIL, "", "é@example.org")),
    ('{"phone": "+34 (600) 12-34-56"}', NUMBER),
    ('{"phone": "tel:+34600123456"}', NUMBER),
    ('{"phone": "\uff0b\uff13\uff14600123456"}', NUMBER),
    ('{"phone": 14155552671}', (PHONE, "", "+14155552671")),
    ('{"phone": 1.4155552671e10}', (PHONE, "", "+14155552671")),
    ('{"phone": "(415) 555-2671"}', (PHONE, "", "+14155552671")),
    ('{"user_alias": {"alias_label": "l", "alias_name": "\\u006e"}}', (ALIAS, "l", "n")),
    ('{"braze_id": "' + "b" * 24 + '"}', NAMED_B),
)


@pytest.mark.parametrize(("sent", "wanted"), SPELLINGS, ids=[str(n) for n in range(len(SPELLINGS))])
def test_however_it_is_written(sent: str, wanted: Identifier) -> None:
    checked = track.check(f'{{"attributes": [{sent[:-1]}, "n": 1}}]}}'.encode(), LIMITS)
    assert checked.errors == ()
    assert named.may_name(wanted)(TRACK, checked.body)
    assert named.places_naming(TRACK, checked.codec, checked.body, wanted) == [("attributes", 0)]


def escaped(text: str, every: int) -> str:
    """A JSON text in which every so manieth letter of a string is escaped."""
    return "".join(
        f"\\u{ord(character):04x}" if character.isalpha() and n % every == 0 else character
        for n, character in enumerate(text)
    )


def named_in_body(kind: int, codec: int, body: bytes) -> Iterator[Identifier]:
    for _, found in named.named_by(kind, codec, body):
        yield from found


@given(objects.bodies())
@example(b'{"attributes": [{"external_id": 1e2, "email": "A@B.org"}]}')
def test_a_look_at_bytes_misses_nobody(body: bytes) -> None:
    try:
        checked = track.check(body, LIMITS)
    except RefusedError:
        return
    for identifier in set(named_in_body(checked.kind, checked.codec, checked.body)):
        assert named.may_name(identifier)(checked.kind, checked.body), identifier


@given(st.text(min_size=1, max_size=12), st.integers(1, 3))
def test_nor_where_letters_are_escaped(text: str, every: int) -> None:
    document = json.dumps(text, ensure_ascii=every == 1)
    value = document if "\\" in document else f'"{escaped(document[1:-1], every)}"'
    body = b'{"attributes": [{"external_id": ' + value.encode("utf-8", "surrogatepass") + b', "n": 1}]}'
    try:
        checked = track.check(body, LIMITS)
    except RefusedError:
        return
    for identifier in set(named_in_body(checked.kind, checked.codec, checked.body)):
        assert named.may_name(identifier)(checked.kind, checked.body), identifier


def test_most_others_are_not_decoded() -> None:
    body = b'{"attributes": [{"external_id": "bob", "email": "b@example.org", "phone": "+34600999888", "n": 17}]}'
    for identifier in (ADA, MAIL, NUMBER, NAMED_B, (ALIAS, "l", "name"), (EXTERNAL, "", "4711")):
        assert not named.may_name(identifier)(TRACK, body), identifier


# What is kept of whom a refused body names.


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"{", set()),
        (b"[1]", set()),
        (b'{"attributes": [{"external_id": "ada"}, {"external_id": 7}]}', {ADA, (EXTERNAL, "", "7")}),
        (b'{"events": [{"email": "A@example.org"}]}', {MAIL}),
        (b'{"events": [{"email": "no address"}]}', {(EMAIL, "", "no address")}),
        (b'{"events": [{"phone": "+34 600 123 456"}, {"phone": "1"}]}', {NUMBER, (PHONE, "", "1")}),
        (b'{"external_ids": ["ada", {"x": 1}, null], "braze_ids": ["' + b"b" * 24 + b'"]}', {ADA, NAMED_B}),
        (b'{"user_aliases": [{"alias_name": "n", "alias_label": "l"}]}', {(ALIAS, "l", "n")}),
        (
            b'{"alias_updates": [{"alias_label": "l", "old_alias_name": "o", "new_alias_name": "n"}]}',
            {(ALIAS, "l", "o"), (ALIAS, "l", "n")},
        ),
        (b'{"external_id_renames": [{"current_external_id": "ada", "new_external_id": "bob"}]}', {ADA, BOB}),
        (b'{"email": ["a@example.org"], "subscription_state": "x"}', {MAIL}),
        (b'{"email_addresses": [{"email": "a@example.org"}]}', {MAIL}),
        (b'{"merge_updates": [{"identifier_to_merge": {"external_id": "ada"}}]}', {ADA}),
        (b'{"batch": [{"type": "alias", "userId": "ada", "previousId": "bob"}]}', {ADA, BOB}),
        (b'{"device_id": "d-1", "batch": 0, "records": []}', {(DEVICE, "", "d-1")}),
        (b'{"batch": [{"type": "x", "anonymousId": "d-1"}]}', {(DEVICE, "", "d-1")}),
    ],
)
def test_whom_a_refused_body_names(body: bytes, found: set[Identifier]) -> None:
    assert named.named_in(named.read(body), "US") == found


def test_a_refused_body_is_looked_through_within_bounds() -> None:
    many = json.dumps({"attributes": [{"external_id": f"e{n}"} for n in range(20_000)]}).encode()
    assert len(named.named_in(named.read(many), "US")) == named.MOST_OF_REFUSED
    deep = b'{"a":' * 200 + b"1" + b"}" * 200
    assert named.named_in(named.read(deep), "US") == set()


def test_objects_that_errors_are_about() -> None:
    document = {"attributes": [{"external_id": "ada"}, {"external_id": "bob"}], "external_ids": ["x", 1]}
    errors = [ObjectError("t", "attributes", 1), ObjectError("t", "external_ids", 0), ObjectError("t", "none", 3)]
    found = named.objects_of(document, errors)
    assert found == [{"external_id": "bob"}, {"external_ids": "x"}]


def test_digests_belong_to_a_workspace() -> None:
    one, other = named.digest(b"a" * 32, ADA), named.digest(b"b" * 32, ADA)
    assert len({one, other, named.digest(b"a" * 32, (BRAZE, "", "ada"))}) == 3
    assert {len(one), len(other)} == {named.DIGEST_BYTES}


def test_members_are_those_that_the_contract_reads() -> None:
    """A value of each kind by the names under which an object may have it."""
    for sent in ({"external_id": "ada"}, {"email": "a@example.org"}, {"phone": "+34600123456"}, {"braze_id": "b" * 24}):
        assert named.named_in(sent, "US") == {identifiers.of(sent)}
    alias = {"user_alias": {"alias_label": "l", "alias_name": "n"}}
    assert named.named_in(alias, "US") == {identifiers.of(alias)}
