"""Realistic profiles and requests. The same seed gives the same ones.

A request has 50 objects in about 11 KB, where nobody asks for another number of them: 70 % attributes, 20 % events,
10 % purchases. A profile has 2.4 KB, or 17 KB when it is `large`. Profiles are drawn uniformly, or by Zipf's law with
exponent 1.
"""

import bisect
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

OBJECTS: Final = 50
UNIFORM: Final = "uniform"
ZIPF: Final = "zipf 1.0"
DISTRIBUTIONS: Final = (UNIFORM, ZIPF)

_NAMES: Final = ("Irene", "Pablo", "Nuria", "Oscar", "Celia")
_CITIES: Final = (("Madrid", "28001"), ("Bilbao", "48003"), ("Sevilla", "41004"))
_TIERS: Final = ("gold", "silver", "a rather longer text value")
_EVENTS: Final = tuple(f"shop_event_{n}" for n in range(8))
_PRODUCTS: Final = tuple(f"item-{n}" for n in range(8))
#: The documents of profiles repeat from here on, but for their names: so a database can make them of the first ones.
PERIOD: Final = 100_000
#: When the preloaded profiles were written last: 2026-01-05T19:20:30.250Z.
WRITTEN_US: Final = 1_767_640_830_250_000


def drawer(users: int, distribution: str, rng: random.Random) -> Callable[[], int]:
    """A function that draws the number of a profile."""
    if distribution == UNIFORM:
        return lambda: rng.randrange(users)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, users + 1)))
    return lambda: bisect.bisect(weights, rng.random() * weights[-1], hi=users - 1)


def bodies(count: int, users: int, distribution: str, seed: int, objects: int = OBJECTS) -> list[bytes]:
    """Encoded /users/track requests whose events happened within the last hour. `objects`: in each of them."""
    rng = random.Random(f"{seed} {distribution}")
    draw, now = drawer(users, distribution, rng), datetime.now(UTC).replace(microsecond=0)
    return [msgspec.json.encode(_request(rng, draw, now, objects)) for _ in range(count)]


def event_bodies(count: int, users: int, seed: int) -> list[bytes]:
    """The same with events alone, uniform."""
    rng = random.Random(f"{seed} events")
    now = datetime.now(UTC).replace(microsecond=0)
    requests = (
        [{"external_id": external_id(rng.randrange(users)), **_event(rng, _time(rng, now))} for _ in range(OBJECTS)]
        for _ in range(count)
    )
    return [msgspec.json.encode({"events": events}) for events in requests]


def _request(rng: random.Random, draw: Callable[[], int], now: datetime, objects: int) -> dict[str, Any]:
    body: dict[str, Any] = {"attributes": [], "events": [], "purchases": []}
    for _ in range(objects):
        number, kind = draw(), rng.random()
        time = _time(rng, now)
        who = {"external_id": external_id(number)}
        if kind < 0.7:
            body["attributes"].append(who | _attributes(rng, number, time))
        elif kind < 0.9:
            body["events"].append(who | _event(rng, time))
        else:
            price, item = rng.randrange(100, 99_999) / 100, rng.choice(_PRODUCTS)
            purchase = {"product_id": item, "currency": "USD", "price": price, "quantity": 1, "time": time}
            body["purchases"].append(who | purchase | {"properties": {"size": "M"}})
    return {name: listed for name, listed in body.items() if listed}


def _time(rng: random.Random, now: datetime) -> str:
    return (now - timedelta(seconds=rng.randrange(3600))).isoformat()


def _event(rng: random.Random, time: str) -> dict[str, Any]:
    properties = {"page": "/boots", "ms": rng.randrange(10_000), "first": True}
    return {"name": rng.choice(_EVENTS), "time": time, "app_id": "app-web", "properties": properties}


def _attributes(rng: random.Random, number: int, time: str) -> dict[str, Any]:
    """Reserved fields repeat what the profile has, as they mostly do; the custom ones change it."""
    known = person(number)
    return {
        **{name: known[name] for name in ("first_name", "email", "country", "language")},
        "field_0": _TIERS[0],
        "field_1": rng.randrange(10**6),
        "field_4": _TIERS[2],
        "seen_at": time,
        "member": True,
        "visits": {"inc": 1},
    }


def external_id(number: int) -> str:
    return f"id-{number:08d}"


def person(number: int) -> dict[str, Any]:
    """Reserved fields of a profile, as they are stored."""
    what = number % PERIOD
    return {
        "first_name": _NAMES[what % len(_NAMES)],
        "last_name": "Garcia",
        "email": f"id{number}@example.org",
        "phone": f"+346{number:08d}",
        "phone_raw": f"+346{number:08d}",
        "country": "ES",
        "language": "es",
        "time_zone": "Europe/Madrid",
        "home_city": _CITIES[what % len(_CITIES)][0],
        "gender": "F",
        "dob": "1988-07-14",
        "push_subscribe": ["subscribed", WRITTEN_US],
        "aliases": {"crm": f"crm-{number}", "web": f"web-{number}"},
    }


def custom(number: int, *, large: bool = False) -> dict[str, Any]:
    """Custom attributes of a profile."""
    number %= PERIOD
    city, code = _CITIES[number % len(_CITIES)]
    values: dict[str, Any] = {
        f"field_{n}": (number * 31 + n * 7) % 10**6 if n % 3 == 1 else _TIERS[(number + n) % len(_TIERS)]
        for n in range(265 if large else 32)
    }
    return values | {
        "seen_at": "2026-01-05T19:20:30+00:00",
        "member": False,
        "visits": number % 50,
        "tags": ["one", "two", "three", "four"],
        "address": {"city": city, "zip": code, "place": {"lat": 40.4, "lon": -3.7}},
    }


def summaries(names: tuple[str, ...], number: int, count: int) -> dict[str, list[int]]:
    """Events or purchases of a profile: {name: [count, first, last]}."""
    number %= PERIOD
    known = [*names, *(f"{names[0]}_more_{n:03d}" for n in range(max(0, count - len(names))))]
    return {name: [1 + (number + n) % 90, WRITTEN_US, WRITTEN_US] for n, name in enumerate(known[:count])}


def events(number: int, *, large: bool = False) -> dict[str, list[int]]:
    return summaries(_EVENTS, number, 90 if large else 8)


def purchases(number: int, *, large: bool = False) -> dict[str, list[int]]:
    return summaries(_PRODUCTS, number, 60 if large else 4)


def devices(number: int) -> dict[str, Any]:
    app = {"name": "Web", "sessions": 3, "first": WRITTEN_US, "last": WRITTEN_US}
    return {"apps": {"app-web": app}, "devices": {f"device-{number}": {"os": "Android 15", "model": "Pixel 9"}}}


def sections(number: int, *, large: bool = False) -> dict[str, Any]:
    """A whole profile as one document."""
    return {
        "row": {
            "pid": number + 1,
            "external_id": external_id(number),
            "braze_id": f"{number:024x}",
            "created_us": WRITTEN_US,
            "updated_us": WRITTEN_US,
            "revenue_cents": 12_345,
            "purchase_count": 7,
            "first_purchase_us": WRITTEN_US,
            "last_purchase_us": WRITTEN_US,
        },
        "core": person(number),
        "custom": custom(number, large=large),
        "events": events(number, large=large),
        "purchases": purchases(number, large=large),
        "devices": devices(number),
    }
