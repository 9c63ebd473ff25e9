"""Inbox rows back to commands: old forms keep their reader, unknown ones are an error that a drain can bury."""

import pytest

from app.contract import kinds, stored
from app.contract.track import CODEC_AS_SENT, CODEC_VALID_REST
from app.domain.commands import ChangeSettings, TrackAttributes, TrackEvent, TrackPurchase
from app.domain.profile import EXTERNAL, PHONE

AS_SENT = (
    b'{"purchases":[{"external_id":"a","product_id":"p","currency":"usd","price":1.10,"time":"2026-01-01"}],'
    b'"events":[{"external_id":"a","name":" e ","time":"2026-01-01"}],"attributes":[{"external_id":"a","k":1}]}'
)


def test_the_order_of_effect() -> None:
    """Attributes, events, purchases, whatever the order in the JSON."""
    attributes, event, purchase = stored.commands(kinds.TRACK, CODEC_AS_SENT, AS_SENT)
    assert attributes == TrackAttributes(
        index=0, identifier=(EXTERNAL, "", "a"), update_only=None, merge_objects=False, fields={}, custom={"k": 1}
    )
    assert isinstance(event, TrackEvent)
    assert (event.name, event.time_us, event.properties) == ("e", 1_767_225_600_000_000, None)
    assert isinstance(purchase, TrackPurchase)
    assert (purchase.currency, str(purchase.price), purchase.quantity) == ("USD", "1.1", 1)


def test_the_valid_rest_keeps_places_and_reasons() -> None:
    body = b'{"attributes":[[3,{"external_id":"a"},[["k","value_out_of_range"]]]]}'
    (command,) = stored.commands(kinds.TRACK, CODEC_VALID_REST, body)
    assert command == TrackAttributes(
        index=3,
        identifier=(EXTERNAL, "", "a"),
        update_only=None,
        merge_objects=False,
        fields={},
        custom={},
        ignored=[("k", "value_out_of_range")],
    )


def test_a_phone_number_is_of_the_stored_region_or_else_american() -> None:
    objects = b'"attributes":[[0,{"external_id":"a","phone":"5043277269"},[]],[1,{"phone":"+4930123456"},[]]]}'
    for region, read in ((b"", "+15043277269"), (b'"region":"DE",', "+495043277269"), (b'"region":"?",', None)):
        first, second = stored.commands(kinds.TRACK, CODEC_VALID_REST, b"{" + region + objects)
        assert isinstance(first, TrackAttributes)
        assert first.fields == {"phone_raw": "5043277269", "phone": read}
        assert isinstance(second, TrackAttributes)
        assert second.identifier == (PHONE, "", "+4930123456")


def test_settings() -> None:
    change = stored.settings_change({"array_max": 3})
    assert stored.commands(change.kind, change.codec, change.body) == [ChangeSettings(0, {"array_max": 3})]


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        stored.commands(99, 1, b"{}")
