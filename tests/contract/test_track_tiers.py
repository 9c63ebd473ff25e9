"""The two tiers of /users/track agree: what the first lets through as certainly clean, the second takes whole."""

import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from app.contract import track
from app.contract.checked import Checked
from app.contract.errors import RefusedError
from app.contract.track import CODEC_AS_SENT, CODEC_VALID_REST, Limits
from app.domain.commands import Command, TrackEvent, Unreadable
from tests.api.objects import bodies, nearly_clean
from tests.fuzz.size import cases

LEGACY = Limits(None, 75)
TIME = '"time":"2026-01-01"'


def outcome(body: bytes) -> Checked | RefusedError:
    try:
        return track._walk(body, LEGACY)
    except RefusedError as refused:
        return refused


def taken(body: bytes) -> Checked | RefusedError:
    try:
        return track.check(body, LEGACY)
    except RefusedError as refused:
        return refused


def objects(accepted: Checked) -> int:
    """How many objects were taken, as the answer says."""
    answer = json.loads(accepted.answer)
    return sum(answer.get(f"{name}_processed", 0) for name in track.ARRAYS)


def known(commands: Sequence[Command]) -> list[str]:
    """Commands as they compare: repr tells 1 from 1.0 and true, and -0.0 from 0.0."""
    return [repr(command) for command in commands]


@settings(deadline=None, max_examples=cases(150))
@given(st.one_of(nearly_clean(), nearly_clean(), bodies()))
@example(b'{"attributes":[{"external_id":"a","k":1e308}]}')
@example(
    b'{"purchases":[{"external_id":"a","product_id":"p","currency":"USD","price":1,"quantity":1.0,%s}]}' % TIME.encode()
)
def test_clean_means_clean(body: bytes) -> None:
    clean = track._clean(body, LEGACY)
    event("clean" if clean is not None else "not clean")
    if clean is None:
        return
    exact = outcome(body)
    assert isinstance(exact, Checked), exact
    accepted = track.check(body, LEGACY)
    assert track.names_of(body) == (set(), set()), "nobody looks up what a clean body names"
    assert accepted.codec == CODEC_AS_SENT
    assert exact.codec == CODEC_VALID_REST
    assert accepted.answer == exact.answer
    assert objects(accepted) == objects(exact) == sum(clean.counts)
    assert known(track.decode(accepted.codec, accepted.body)) == known(track.decode(exact.codec, exact.body))


@settings(deadline=None, max_examples=cases(60))
@given(nearly_clean())
@example(b'{"attributes":[{"external_id":"a"}],"events":[{"external_id":"a","name":"e",%s}]}' % TIME.encode())
@example(b'{"attributes":[{"external_id":"a"},{"external_id":"b"},{"external_id":"c"}]}')
def test_both_tiers_count_alike(body: bytes) -> None:
    """Objects for one profile are as many, whoever counts them."""
    limits = Limits(None, None, 1)
    answers: list[str | None] = []
    for check in (track._clean, track._walk):
        try:
            check(body, limits)
            answers.append(None)
        except RefusedError as refused:
            answers.append(refused.message)
    if track._clean(body, LEGACY) is not None:
        assert answers[0] == answers[1]


@settings(deadline=None, max_examples=cases(150))
@given(st.one_of(nearly_clean(), nearly_clean(), bodies()))
def test_what_is_accepted_can_be_read(body: bytes) -> None:
    """Applying never fails on data: every accepted object becomes one command, at its index, in the order of effect."""
    accepted = taken(body)
    if isinstance(accepted, RefusedError):
        assert accepted.status == 400
        assert msgspec.json.decode(accepted.body())["message"] == accepted.message
        return
    commands = track.decode(accepted.codec, accepted.body)
    assert not any(isinstance(command, Unreadable) for command in commands)
    answer = json.loads(accepted.answer)
    assert len(commands) == objects(accepted) > 0
    places = [(command.input_array, command.index) for command in commands]
    order = {name: n for n, name in enumerate(track.ARRAYS)}
    assert places == sorted(places, key=lambda place: (order[place[0]], place[1]))
    refused_places = [(error["input_array"], error["index"]) for error in answer.get("errors", [])]
    assert not set(places) & set(refused_places)
    for name in track.ARRAYS:
        accepted_here = sum(array == name for array, _ in places)
        refused_here = sum(array == name for array, _ in refused_places)
        assert answer.get(f"{name}_processed", 0) == accepted_here
        indices = sorted(index for array, index in [*places, *refused_places] if array == name)
        assert indices == list(range(accepted_here + refused_here))


@settings(deadline=None, max_examples=cases(100))
@given(
    st.one_of(st.binary(max_size=60), bodies().flatmap(lambda body: st.integers(0, len(body)).map(lambda n: body[:n])))
)
def test_any_bytes(body: bytes) -> None:
    accepted = taken(body)
    if isinstance(accepted, RefusedError):
        assert accepted.status == 400
    else:
        assert track.decode(accepted.codec, accepted.body)


ALIAS = '"user_alias":{"alias_name":"n","alias_label":"l"}'
EVENT = f'"external_id":"a","name":"e",{TIME}'
PURCHASE = f'"external_id":"a","product_id":"p","currency":"USD","price":1,{TIME}'
CLEAN = {
    "attributes": '{"attributes":[{"external_id":"a","email":"A@Example.org","k":[1,{"a":"b"}]}]}',
    "event": f'{{"events":[{{"external_id":"a","name":"e",{TIME},"properties":{{"$current_url":"x"}}}}]}}',
    "alias": f'{{"events":[{{"user_alias":{{"alias_name":"n","alias_label":"l"}},"name":"e",{TIME}}}]}}',
    "purchase": f'{{"purchases":[{{"external_id":"a","product_id":"p","currency":"usd","price":1,{TIME}}}]}}',
    "reserved property": f'{{"events":[{{"external_id":"a","name":"e",{TIME},"properties":{{"time":1}}}}]}}',
    "null arrays": '{"attributes":[{"external_id":"a"}],"events":null,"purchases":[]}',
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN)
def test_ordinary_requests_take_the_short_way(text: str) -> None:
    assert track._clean(text.encode(), LEGACY) is not None


UNSURE = {
    "unknown key": '{"attributes":[{"external_id":"a"}],"partner":1}',
    "singular": f'{{"purchase":[{{"external_id":"a","product_id":"p","currency":"usd","price":1,{TIME}}}]}}',
    "two identifiers": f'{{"events":[{{"external_id":"a",{ALIAS},"name":"e",{TIME}}}]}}',
    "numbers that grow": f'{{"events":[{{{EVENT},"properties":{{"a":[{"1e18," * 5200}1]}}}}]}}',
    "half a surrogate pair": f'{{"events":[{{{EVENT},"properties":{{"a":"\\ud83d"}}}}]}}',
    "bad e-mail": '{"attributes":[{"external_id":"a","email":"a"}]}',
    "bad currency": f'{{"purchases":[{{"external_id":"a","product_id":"p","currency":"ABC","price":1,{TIME}}}]}}',
    "bad time": '{"events":[{"external_id":"a","name":"e","time":"2024-02-30"}]}',
    "no time": '{"events":[{"external_id":"a","name":"e"}]}',
    "blank id": '{"attributes":[{"external_id":" "}]}',
    "blank name": f'{{"events":[{{"external_id":"a","name":" ",{TIME}}}]}}',
    "state": '{"attributes":[{"external_id":"a","email_subscribe":"x"}]}',
    "location": '{"attributes":[{"external_id":"a","current_location":1}]}',
    "2^63": '{"attributes":[{"external_id":"a","k":9223372036854775808}]}',
    "NUL": '{"attributes":[{"external_id":"a\\u0000"}]}',
    "deep": '{"attributes":[{"external_id":"a","k":[[[[[[[[1]]]]]]]]}]}',
    "quantity": f'{{"purchases":[{{{PURCHASE},"quantity":101}}]}}',
}


@pytest.mark.parametrize("text", UNSURE.values(), ids=UNSURE)
def test_anything_else_takes_the_long_way(text: str) -> None:
    assert track._clean(text.encode(), LEGACY) is None


PHONES = {
    "field": '{"attributes":[{"external_id":"a","phone":"030 123456"}]}',
    "identifier": '{"attributes":[{"phone":"030 123456"}]}',
    "escaped": '{"attributes":[{"external_id":"a","ph\\u006fne":"030 123456"}]}',
    "event": f'{{"events":[{{"phone":"030 123456","name":"e",{TIME}}}]}}',
    "purchase": f'{{"purchase":{{"phone":"030 123456","product_id":"p","currency":"USD","price":1,{TIME}}}}}',
}


@pytest.mark.parametrize("text", PHONES.values(), ids=PHONES)
def test_the_region_of_a_phone_number_is_stored_with_it(text: str) -> None:
    """Applying does not ask the workspace again, whose region may be another by then."""
    accepted = track.check(text.encode(), LEGACY, "DE")
    assert (accepted.codec, json.loads(accepted.body)["region"]) == (CODEC_VALID_REST, "DE")
    (command,) = track.decode(accepted.codec, accepted.body)
    assert not isinstance(command, Unreadable)
    fields = getattr(command, "fields", {})
    assert "+4930123456" in (command.identifier[2], fields.get("phone"))


def test_without_a_phone_number_the_region_does_not_matter() -> None:
    for text in CLEAN.values():
        assert track.check(text.encode(), LEGACY, "DE") == track.check(text.encode(), LEGACY)


def test_a_reserved_property_is_left_out_whatever_its_value() -> None:
    """Its object counts (DECISIONS D61), also where nobody can hold the value."""
    for value in ("1", "1e400", "9" * 400, "null", '"\\ud800"'):
        body = f'{{"events":[{{"external_id":"a","name":"e",{TIME},"properties":{{"time":{value},"k":1}}}}]}}'
        accepted = track.check(body.encode(), LEGACY)
        (command,) = track.decode(accepted.codec, accepted.body)
        assert isinstance(command, TrackEvent)
        assert command.properties == {"k": 1}
        assert ("time", "reserved_name") in command.ignored


#: A value whose stored form is longer than what was sent.
GROWING = ["1e18", "9E18", "-1e18", "1.0E7", "1e14", "1e15", "1E0", "1e-4", "123456789012e6", "5e-324"]


@pytest.mark.parametrize("number", GROWING)
@pytest.mark.parametrize("room", [0, 40_000])
def test_what_grows_when_it_is_written_back(number: str, room: int) -> None:
    """The measure is the same at the door and in the worker: at no length is something accepted that cannot be read."""
    for count in {*range(4_000, 30_000, 2_600), (100 * 1024 - room) // (len(str(float(number))) + 1)}:
        values = ",".join([number] * count)
        events = f'{{"external_id":"a","name":"e",{TIME},"properties":{{"p":"{"x" * room}","a":[{values}]}}}}'
        innocent = f'{{"external_id":"b","name":"innocent",{TIME}}}'
        accepted = track.check(f'{{"events":[{events},{innocent}]}}'.encode(), LEGACY)
        names = [
            command.name for command in track.decode(accepted.codec, accepted.body) if isinstance(command, TrackEvent)
        ]
        errors = json.loads(accepted.answer).get("errors", [])
        assert names == ["innocent"] if errors else ["e", "innocent"]


UNREADABLE_NOW = {
    "as sent": (
        CODEC_AS_SENT,
        '{"events":[{"external_id":"a","name":"e","time":"no time"},{"external_id":"b","name":"e",%s}]}',
    ),
    "valid rest": (
        CODEC_VALID_REST,
        '{"events":[[0,{"external_id":"a","name":"e"},[]],[1,{"external_id":"b","name":"e",%s},[]]]}',
    ),
}


@pytest.mark.parametrize(("codec", "text"), UNREADABLE_NOW.values(), ids=UNREADABLE_NOW)
def test_what_another_version_accepted_costs_no_other_object(codec: int, text: str) -> None:
    """Reading in the worker is total: it never refuses a request, whatever lies in the inbox of a valid form."""
    first, second = track.decode(codec, (text % TIME).encode())
    assert first == Unreadable(0, "events")
    assert isinstance(second, TrackEvent)
    assert second.index == 1
