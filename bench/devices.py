"""Batches of SDK data as the pages of a shop send them. The same seed gives the same ones."""

import random
import uuid
from typing import Any, Final

import msgspec

#: What the load generator is asked for instead of a distribution of profiles.
DEVICES: Final = "devices"
#: Of a batch.
RECORDS: Final = 6


def batches(count: int, seed: int) -> list[bytes]:
    """Encoded batches, each of a device of its own, as a page of a shop sends them: some 900 bytes of six records."""
    rng = random.Random(f"{seed} {DEVICES}")
    return [msgspec.json.encode(_batch(rng, number)) for number in range(count)]


def _batch(rng: random.Random, number: int) -> dict[str, Any]:
    first = rng.randrange(1, 1_000)
    told: list[dict[str, Any]] = [
        {"type": "session_start", "session_id": str(uuid.UUID(int=rng.getrandbits(128)))},
        *(_viewed(rng) for _ in range(RECORDS - 3)),
        {"type": "attributes", "attributes": {"last_category": "mugs", "visits": {"inc": 1}, "member": True}},
        {"type": "purchase", "product_id": "mug", "currency": "EUR", "price": 12.5, "properties": {"size": "M"}},
    ]
    records = [{"seq": first + n, "ago": 9_000 - 1_000 * n, **one} for n, one in enumerate(told)]
    device = str(uuid.UUID(int=rng.getrandbits(128)))
    return {"device_id": device, "batch": number + 1, "app_version": "1.4.2", "records": records}


def _viewed(rng: random.Random) -> dict[str, Any]:
    properties = {"sku": f"mug-{rng.randrange(500)}", "page": "/mugs", "price": rng.randrange(100, 9_999) / 100}
    return {"type": "event", "name": "viewed_product", "properties": properties}
