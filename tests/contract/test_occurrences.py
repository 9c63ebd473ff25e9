"""The size of properties, at its boundary: of many, whatever their characters take in JSON."""

from typing import Any

import msgspec
import pytest

from app.contract import occurrences
from app.contract.errors import ObjectRefusedError
from app.contract.occurrences import MAX_PROPERTIES_BYTES, read_event, read_purchase

EVENT = {"external_id": "a", "name": "e", "time": "2026-01-05"}
PURCHASE = {"external_id": "a", "product_id": "p", "currency": "USD", "price": 1, "time": "2026-01-05"}


def properties(count: int, character: str, value: object) -> dict[str, Any]:
    """So many, with names that are as long as they may be and end in their number."""
    return {f"{character * 252}{n:03d}": value for n in range(count)}


@pytest.mark.parametrize(("read", "sent"), [(read_event, EVENT), (read_purchase, PURCHASE)])
@pytest.mark.parametrize("character", ["x", "\x01", '"', "\u00e9", "\U0001f600"])
@pytest.mark.parametrize("value", ["text", 1.5, ["text"]])
def test_properties_that_are_too_large_are_refused_and_no_others(
    read: Any, sent: dict[str, Any], character: str, value: object
) -> None:
    full: Any = character * 255 if value == "text" else [character * 255] if value == ["text"] else value
    found = set()
    for count in (1, occurrences._FEW, occurrences._FEW + 1, 40, 66, 67, 180, 256):
        some = properties(count, character, full)
        is_large = len(msgspec.json.encode(some)) > MAX_PROPERTIES_BYTES
        try:
            assert read({**sent, "properties": some}, 0).properties == some
        except ObjectRefusedError:
            assert is_large
        else:
            assert not is_large
        found.add(is_large)
    # Numbers reach it only by the names of many.
    assert found == ({False} if value == 1.5 and character == "x" else {False, True})
