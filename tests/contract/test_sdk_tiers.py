"""The two tiers of SDK data agree: what the first takes as certainly clean, the second reads alike."""

import json
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from app.contract import body as bodies_of
from app.contract import sdk, sdk_clean
from app.contract.errors import RefusedError
from app.contract.sdk_records import Sender
from tests.api.objects import Json, bodies, nearly_clean, scalars, texts, values

SENDER = Sender("app", "Shop", "web", ecommerce_events=True)
ELSEWHERE = Sender("app", "Shop", "web", region="DE")
NOW_US = 1_790_000_000_000_000
#: What a batch itself may have, and what it may not.
_TOP: dict[str, st.SearchStrategy[Any]] = {
    "device_id": st.one_of(texts, st.sampled_from(["x" * 255, "ü" * 127, "ü" * 128, "x" * 7, 5, "nul\0nul\0"])),
    "batch": st.one_of(scalars, st.sampled_from([1, 2**53 - 1, 2**53, 0, 1.0])),
    "app_version": st.one_of(texts, scalars, st.just("x" * 256)),
    "sent_at": st.one_of(st.integers(0, 2**53), st.floats(0, 1e16), scalars),
    "dropped": st.one_of(st.integers(-5, 10**6), scalars, st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1])),
    "signature": scalars,
    "sdk_key": scalars,
    "records": values,
}
_EVERY_RECORD: dict[str, st.SearchStrategy[Any]] = {
    "at": st.one_of(st.integers(0, 2**53), st.floats(0, 1e16), scalars),
    "ago": st.one_of(st.integers(0, 9_000), st.floats(0, 9_000), scalars),
    "seq": scalars,
    "more": scalars,
}
_others = st.one_of(
    st.fixed_dictionaries({"type": st.just("session_start")}, optional={"session_id": st.one_of(texts, scalars)}),
    st.sampled_from([{"type": "session_end"}, {"type": "logout"}, {"type": "alias", "alias_name": "n"}]),
    st.fixed_dictionaries(
        {
            "type": st.just("device"),
            "device": st.one_of(
                values,
                st.fixed_dictionaries(
                    {},
                    optional={
                        "browser": texts,
                        "locale": st.sampled_from(["de-AT", "pt_BR", "x", 5]),
                        "time_zone": st.sampled_from(["Europe/Lisbon", "Nowhere"]),
                        "ad_tracking_enabled": scalars,
                        "shoes": scalars,
                    },
                ),
            ),
        }
    ),
)


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    """Batches of what /users/track is sent, in which now and then a member is odd."""
    body = draw(st.one_of(nearly_clean(), nearly_clean(), bodies()))
    try:
        document = json.loads(body)
    except ValueError:
        return body
    records = draw(st.lists(_others, max_size=2))
    for array, kind in (("attributes", "attributes"), ("events", "event"), ("purchases", "purchase")):
        for obj in document.get(array) or []:
            records.append(_record(kind, obj) if isinstance(obj, dict) else obj)
    for index, record in enumerate(records):
        if isinstance(record, dict):
            record["seq"] = index + 1
    batch: Json = {"device_id": "a-device", "batch": 1, "records": records}
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(sorted(_TOP)))
        batch[name] = draw(_TOP[name])
    if draw(st.integers(0, 3)) == 0 and records and isinstance(records[-1], dict):
        name = draw(st.sampled_from(sorted(_EVERY_RECORD)))
        records[-1][name] = draw(_EVERY_RECORD[name])
    return json.dumps(batch, ensure_ascii=draw(st.booleans())).encode()


def _record(kind: str, obj: Json) -> Json:
    if kind == "attributes":
        fields = {name: value for name, value in obj.items() if name not in ("external_id", "_update_existing_only")}
        return {"type": kind, "attributes": fields}
    kept = ("name", "properties", "product_id", "currency", "price", "quantity")
    return {"type": kind, **{name: obj[name] for name in kept if name in obj}}


def checked(body: bytes, sender: Sender) -> tuple[str, ...]:
    """What becomes of a batch, as it compares: repr tells 1 from 1.0 and true."""
    try:
        return (repr(sdk.read(body, sender)),)
    except RefusedError as refused:
        return (refused.message,)


@settings(deadline=None, max_examples=400)
@given(batches(), st.sampled_from([SENDER, ELSEWHERE]))
@example(b'{"device_id":"a-device","batch":1,"records":[{"type":"event","seq":1,"name":"a","name":"b"}]}', SENDER)
@example(b'{"device_id":"a-device","batch":1,"batch":2,"records":[{"type":"logout","seq":1}]}', SENDER)
@example(b'{"device_id":"a-device","batch":1,"records":[{"type":"logout","seq":1}],"dropped":%d}' % 2**63, SENDER)
def test_clean_means_clean(body: bytes, sender: Sender) -> None:
    clean = sdk_clean.read(body, sender)
    event("clean" if clean is not None else "not clean")
    if clean is None:
        return
    assert (repr(clean),) == checked(body, sender)
    assert not clean.errors
    assert sdk.group_ids(body) == set(), "nobody looks up what a clean batch names"
    assert len(sdk.decode(sdk.check(body, sender, NOW_US).body)) >= 1 + len(clean.records)


@settings(deadline=None, max_examples=200)
@given(batches())
@example(b'{"device_id":"a\\u0000device","batch":1}')
@example(b'{"device_id":"a-device","device_id":5}')
@example(b'\xef\xbb\xbf{"device_id":"a-device"}')
@example(b'["a-device"]')
def test_both_tiers_name_the_same_device(body: bytes) -> None:
    found: list[str] = []
    for reader in (sdk.device_of, _exactly):
        try:
            found.append(reader(body))
        except RefusedError as refused:
            found.append(refused.message)
    assert found[0] == found[1]


def _exactly(body: bytes) -> str:
    document = bodies_of.parse_object(body)
    if document is None:
        raise RefusedError(400, sdk.BAD_BODY)
    return sdk._device(document)


HEAD = '"device_id":"a-device","batch":1'
CLEAN = {
    "event": '{"type":"event","seq":1,"ago":5,"name":"e","properties":{"a":[1,{"b":"c"}],"d":null}}',
    "recommended": '{"type":"event","seq":1,"name":"e"}',
    "attributes": '{"type":"attributes","seq":1,"attributes":{"email":"A@Example.org","visits":{"inc":1}}}',
    "purchase": '{"type":"purchase","seq":1,"product_id":"p","currency":"usd","price":1.5,"quantity":2}',
    "session": '{"type":"session_start","seq":1,"at":1790000000000,"session_id":"s"},{"type":"session_end","seq":2}',
    "device": '{"type":"device","seq":1,"device":{"browser":"Firefox","locale":"de-AT","shoes":1}}',
    "log-out": '{"type":"logout","seq":1}',
}


@pytest.mark.parametrize("records", CLEAN.values(), ids=CLEAN)
def test_ordinary_batches_take_the_short_way(records: str) -> None:
    assert sdk_clean.read(f'{{{HEAD},"records":[{records}]}}'.encode(), SENDER) is not None


UNSURE = {
    "no records": "",
    "unknown type": '{"type":"page","seq":1}',
    "unknown member": '{"type":"logout","seq":1,"more":1}',
    "same sequence number": '{"type":"logout","seq":1},{"type":"logout","seq":1}',
    "log-in": '{"type":"change_user","seq":1,"user_id":"ada"}',
    "nul": '{"type":"event","seq":1,"name":"a\\u0000"}',
    "half a surrogate pair": '{"type":"event","seq":1,"name":"e","properties":{"a":"\\ud83d"}}',
    "blank name": '{"type":"event","seq":1,"name":" "}',
    "bad currency": '{"type":"purchase","seq":1,"product_id":"p","currency":"ABC","price":1}',
    "bad e-mail": '{"type":"attributes","seq":1,"attributes":{"email":"a"}}',
    "not of devices": '{"type":"attributes","seq":1,"attributes":{"external_id":"ada"}}',
    "group": '{"type":"attributes","seq":1,"attributes":{"subscription_groups":[]}}',
    "recommended without its schema": '{"type":"event","seq":1,"name":"ecommerce.order_placed"}',
}


@pytest.mark.parametrize("records", UNSURE.values(), ids=UNSURE)
def test_what_is_not_sure_is_read_exactly(records: str) -> None:
    assert sdk_clean.read(f'{{{HEAD},"records":[{records}]}}'.encode(), SENDER) is None


def test_signed_batches_are_read_exactly() -> None:
    body = f'{{{HEAD},"records":[{CLEAN["log-out"]}]}}'.encode()
    assert sdk_clean.read(body, Sender("app", "Shop", "web", verify=lambda token: token)) is None
