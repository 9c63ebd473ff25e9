"""A segment export as Braze makes one: a zip of files with a user in each line. The same number gives the same user."""

import zipfile
from pathlib import Path
from typing import Any, Final

import msgspec

from app.domain import times
from bench import data

#: Users of one file of the zip.
FILE_USERS: Final = 5_000
_DAY_US: Final = 86_400_000_000


def user(number: int) -> dict[str, Any]:
    """A user with about 3 KB: what all profiles of the bench have, as the other service shows it."""
    known = data.person(number)
    created_us = data.WRITTEN_US - number % 1_000 * _DAY_US
    first, last = times.iso(created_us), times.iso(data.WRITTEN_US)
    return {
        "created_at": first,
        "external_id": data.external_id(number),
        "braze_id": f"{number:024x}",
        "random_bucket": number % 10_000,
        "user_aliases": [{"alias_label": label, "alias_name": name} for label, name in known["aliases"].items()],
        **{name: known[name] for name in _SAME},
        "dob": known["dob"],
        "last_coordinates": [-3.7, 40.4],
        "custom_attributes": data.custom(number),
        "custom_events": _summaries(data.events(number), first, last),
        "purchases": _summaries(data.purchases(number), first, last),
        "total_revenue": 123.45,
        "email_subscribe": "opted_in" if number % 4 else "unsubscribed",
        "email_opted_in_at" if number % 4 else "email_unsubscribed_at": last,
        "push_subscribe": "subscribed",
        "devices": [{"device_id": f"device-{number}", "os": "Android 15", "model": "Pixel 9", "carrier": "none"}],
        "push_tokens": [{"app": "Shop", "platform": "Android", "token": f"token-{number}"}],
        "apps": [{"name": "Shop", "platform": "Android", "version": "1.2", "sessions": 3, "first_used": first,
                  "last_used": last}],
        "campaigns_received": [{"name": "Spring", "api_campaign_id": "spring", "last_received": last,
                                "engaged": {"opened_email": number % 2 == 0}, "converted": False}],
        "canvases_received": [],
        "cards_clicked": [],
    }  # fmt: skip


def purchases_of(number: int) -> int:
    """How many purchases a user has."""
    return sum(summary[0] for summary in data.purchases(number).values())


_SAME: Final = ("first_name", "last_name", "email", "phone", "country", "language", "time_zone", "home_city", "gender")


def _summaries(known: dict[str, list[int]], first: str, last: str) -> list[dict[str, Any]]:
    return [{"name": name, "first": first, "last": last, "count": summary[0]} for name, summary in known.items()]


def write(path: Path, users: int) -> int:
    """Write a zip with so many users; its bytes."""
    encode = msgspec.json.encode
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for first in range(0, users, FILE_USERS):
            with archive.open(f"segment/{first // FILE_USERS:05}.txt", "w") as file:
                for number in range(first, min(first + FILE_USERS, users)):
                    file.write(encode(user(number)) + b"\n")
    return path.stat().st_size
