"""People as operators see them: our own endpoints GET /v1/profiles, /v1/profiles/{braze_id} and its timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.contract import addresses, exported, merge_records
from app.contract.cursor import Page
from app.contract.errors import RefusedError
from app.contract.exported import View
from app.contract.flags import FLAGS
from app.domain import times
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_PHONE,
    GROUP_FIELDS,
    HARD_BOUNCED,
    INVALID,
    NAME_EVENT,
    SPAM,
    Address,
    AddressState,
    Profile,
)

MAX_LIMIT: Final = 100
#: Characters of `search`.
MAX_SEARCH: Final = 255
BAD_LIMIT: Final = f"'limit' must be a number between 1 and {MAX_LIMIT}"
BAD_SEARCH: Final = f"'search' must have 1 to {MAX_SEARCH} characters"
BAD_FLAG: Final = f"'flag' must be one of {', '.join(FLAGS)}"
ONLY_ONE: Final = "only one of 'search', 'flag' and 'segment' may be given"

#: Where the marks of an address are shown.
_MARKS: Final = {SPAM: "marked_email_as_spam_at", HARD_BOUNCED: "hard_bounced_at", INVALID: "phone_invalid_at"}
_CHANNELS: Final = {CHANNEL_EMAIL: "email", CHANNEL_PHONE: "sms"}
#: Fields of the section `core` that exports do not have.
_FURTHER_FIELDS: Final = (
    "facebook",
    "twitter",
    "image_url",
    "email_open_tracking_disabled",
    "email_click_tracking_disabled",
)


@dataclass(frozen=True, slots=True)
class Query:
    """Who is looked for: everybody, those with a flag, those in a segment, or those of whom a text is an identifier or
    a name.
    """

    page: Page
    #: As it was sent; "" = not sent.
    search: str = ""
    #: A bit of Profile.flags; 0 = not sent.
    flag: int = 0
    #: Id of a segment; "" = not sent.
    segment: str = ""
    #: The number that the text is, if it is one.
    phone: str | None = None

    @property
    def question(self) -> tuple[int | str, ...]:
        """What the cursors of the list belong to."""
        return ("profiles", self.search, self.flag, self.segment)


def read_query(parameters: Mapping[str, str], region: str = addresses.DEFAULT_REGION) -> Query:
    """The query of GET /v1/profiles. `region` is that of a number without a `+`. Raises RefusedError(400)."""
    search, flag, segment = (parameters.get(name) for name in ("search", "flag", "segment"))
    if search is not None and not 0 < len(search) <= MAX_SEARCH:
        raise RefusedError(400, BAD_SEARCH)
    if flag is not None and flag not in FLAGS:
        raise RefusedError(400, BAD_FLAG)
    if sum(one is not None for one in (search, flag, segment)) > 1:
        raise RefusedError(400, ONLY_ONE)
    phone = None if search is None else addresses.phone(search, region)
    bit = FLAGS[flag] if flag is not None else 0
    return Query(read_page(parameters), search or "", bit, segment or "", phone)


def read_page(parameters: Mapping[str, str]) -> Page:
    """Raises RefusedError(400)."""
    limit = parameters.get("limit", "50")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 5 and 1 <= int(limit) <= MAX_LIMIT):
        raise RefusedError(400, BAD_LIMIT)
    return Page(int(limit), parameters.get("cursor", ""))


def row(profile: Profile) -> dict[str, object]:
    """A profile in a list. Needs the section `core`."""
    shown = exported.render(View(profile, None, 0), _ROW)
    return shown | {"updated_at": times.iso(profile.updated_us), "flags": flags(profile)}


_ROW: Final = frozenset(
    ("created_at", "external_id", "user_aliases", "braze_id", "first_name", "last_name", "email", "phone")
)


def flags(profile: Profile) -> dict[str, bool]:
    """The flags that operators decide on."""
    return {name: bool(profile.flags & bit) for name, bit in FLAGS.items()}


def document(view: View, consents: Sequence[tuple[Address, AddressState]], size: int) -> dict[str, object]:
    """A profile with everything that is stored of it; `size` in bytes. A field without a value is left out."""
    profile = view.profile
    shown = exported.render(view, frozenset(exported.RENDERERS))
    for name in ("custom_events", "purchases", "carts"):  # without those that are old
        shown.pop(name, None)
    further: dict[str, object] = {
        "updated_at": times.iso(profile.updated_us),
        "created_from": profile.created_from,
        "flags": flags(profile),
        "stored_bytes": size,
        "deprecated_external_ids": view.core.get("deprecated"),
        **{name: view.core.get(name) for name in _FURTHER_FIELDS},
        "marked_email_as_spam_at": _moment(view.core.get("marked_email_as_spam_at")),
        **{_MARKS[topic]: times.iso(state.changed_us) for (_, _, topic), state in consents if topic in _MARKS},
        "merged_profiles": view.core.get("merges"),
        "sessions": _span(profile.session_count, profile.first_session_us, profile.last_session_us),
        "custom_events": _summaries(profile.events),
        "purchases": _summaries(profile.purchases),
        "purchased": _span(profile.purchase_count, profile.first_purchase_us, profile.last_purchase_us),
        "carts": exported.shown_carts(view.commerce.get("carts", {})),
        "orders_by_day": _days(view.commerce.get("days", {})),
        "unbooked_revenue": view.commerce.get("unbooked"),
        "device_data": merge_records.dated(profile.devices) or None,
        "message_data": merge_records.dated(profile.messages) or None,
        "consents": [
            *(_consent(address, state) for address, state in consents if address[2] not in _MARKS),
            *_own_consents(view),
        ],
    }
    return shown | {name: value for name, value in further.items() if value not in (None, "", {}, [])}


def occurrence(kind: int, name: str, time_us: int, request_id: str, ordinal: int, **more: Any) -> dict[str, object]:
    """A line of a timeline. `more`: app_id, properties, quantity, cents."""
    line: dict[str, object] = {"id": f"{request_id}.{ordinal}", "request_id": request_id, "time": times.iso(time_us)}
    if kind == NAME_EVENT:
        line |= {"kind": "event", "name": name}
    else:
        line |= {"kind": "purchase", "product_id": name, "quantity": more["quantity"], "revenue": more["cents"] / 100}
    return line | {key: more[key] for key in ("app_id", "properties") if more[key] is not None}


def _consent(address: Address, state: AddressState) -> dict[str, object]:
    channel, value, group_id = address
    entry: dict[str, object] = {"channel": _CHANNELS[channel]}
    if value:
        entry["address"] = value
    if group_id:
        entry["subscription_group_id"] = group_id
    return entry | {"state": state.state, "changed_at": times.iso(state.changed_us)}


def _own_consents(view: View) -> list[dict[str, object]]:
    """What somebody said who has no address of the channel, so that it is kept with the profile."""
    core: Any = view.core
    found: list[dict[str, object]] = []
    if "email_subscribe" in core:
        found.append(_consent((CHANNEL_EMAIL, "", ""), AddressState(*core["email_subscribe"])))
    for channel, field in GROUP_FIELDS.items():
        for group_id, said in sorted(core.get(field, {}).items()):
            found.append(_consent((channel, "", group_id), AddressState(*said)))
    return found


def _moment(us: Any) -> str | None:
    return times.iso(us) if isinstance(us, int) else None


def _span(count: int, first: int | None, last: int | None) -> dict[str, object] | None:
    if not count and first is None and last is None:
        return None
    moments = {"first": _moment(first), "last": _moment(last)}
    return {"count": count} | {name: value for name, value in moments.items() if value is not None}


def _days(days: Mapping[Any, Sequence[int]]) -> list[dict[str, object]]:
    return [
        {
            "day": times.iso(int(day) * times.DAY)[:10],
            "orders": orders,
            "revenue": cents / 100,
            "refunds": refunded / 100,
        }
        for day, (orders, cents, refunded) in sorted(days.items(), key=lambda one: int(one[0]))
    ]


def _summaries(summaries: Mapping[str, Sequence[int]] | None) -> list[dict[str, object]]:
    """All of them, also those that exports leave out for their age."""
    return [
        {"name": name, "first": times.iso(first), "last": times.iso(last), "count": count}
        for name, (count, first, last) in sorted((summaries or {}).items())
    ]
