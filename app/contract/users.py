"""Users of files and of POST /v1/imports, as /users/export/ids, a segment export or `onefold export` shows them.

What cannot be read is left out and named. A user is refused whom nothing identifies, or who has something else where an
array has to be.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

import msgspec

from app.contract import addresses, attributes, elements, identifiers, portable_rest, push_tokens
from app.contract import body as bodies
from app.contract.checked import CODEC_COMMANDS, Checked
from app.contract.errors import ObjectError, ObjectRefusedError, RefusedError
from app.contract.flags import FLAGS
from app.contract.kinds import KIND_OF
from app.domain import numbers, times
from app.domain.commands import ImportUser
from app.domain.imported import ImportedUser
from app.domain.imports import keys
from app.domain.messages import CANVAS_STEPS
from app.domain.profile import CHANNEL_EMAIL, EXTERNAL, SUBSCRIBED, SUBSCRIPTION_STATES
from app.domain.reasons import INVALID_NAME, INVALID_VALUE, LABEL_TAKEN

NOBODY: Final = "'external_id', 'braze_id' or 'user_aliases' is required"
NO_OBJECT: Final = "must be an object"
#: Users of one request.
MAX_USERS: Final = 500
BAD_BODY: Final = f"'users' must be an array of 1 to {MAX_USERS} objects"
BAD_OVERWRITE: Final = "'overwrite' must be true or false"
NOTHING_VALID: Final = "Valid data must be provided in the 'users' field."
MAX_NAME: Final = 255
#: Of a user, in each of its arrays.
MAX_ENTRIES: Final = 20_000
#: Aliases, former ids, devices and push tokens: each is looked for in the workspace.
MAX_IDENTIFIERS: Final = 1_000
#: By what a message came that a foreign file does not say more of.
_UNKNOWN_CHANNEL: Final = "message"

_BRAZE_ID: Final = re.compile(r"[0-9a-f]{24}").fullmatch
_TEXTS: Final = (
    "first_name", "last_name", "email", "phone", "country", "language", "time_zone", "home_city", "gender",
    "native_line_id", "facebook", "twitter", "image_url",
)  # fmt: skip

Ignored = list[tuple[str, str]]


def check(body: bytes, region: str = addresses.DEFAULT_REGION) -> Checked:
    """POST /v1/imports. `region`: of phone numbers without a `+`. Raises RefusedError."""
    document = bodies.parse_object(body) or {}
    sent, overwrite = document.get("users"), document.get("overwrite")
    if not isinstance(sent, list) or not 0 < len(sent) <= MAX_USERS:
        raise elements.refused(BAD_BODY, document)
    if overwrite is not None and not isinstance(overwrite, bool):
        raise RefusedError(400, BAD_OVERWRITE)
    commands: list[ImportUser] = []
    errors: list[ObjectError] = []
    for index, user in enumerate(sent):
        try:
            commands.append(read(user, index, region, overwrite=bool(overwrite)))
        except ObjectRefusedError as refused:
            errors.append(elements.object_error(refused, "users", index, user))
    answer = elements.answer("users_processed", commands, errors, NOTHING_VALID)
    return replace(checked(commands), answer=answer, errors=tuple(errors))


def read(
    user: object, index: int = 0, region: str = addresses.DEFAULT_REGION, *, overwrite: bool = False
) -> ImportUser:
    """The command of one user. `region`: of phone numbers without a `+`. Raises ObjectRefusedError."""
    if not isinstance(user, dict):
        raise ObjectRefusedError(NO_OBJECT)
    custom = user.get("custom_attributes")
    # An attribute may be nested as deeply in a file as in /users/track, where nothing stands around it.
    for part in ({**user, "custom_attributes": None}, custom):
        problem = bodies.unsound(part)
        if problem is not None:
            raise ObjectRefusedError(problem)
    reader = _Reader(user, region)
    found = reader.read()
    command = ImportUser(index, (EXTERNAL, "", ""), found, overwrite, reader.ignored)
    wanted = keys(command)
    if not wanted:
        raise ObjectRefusedError(NOBODY)
    command.identifier = wanted[0]
    return command


def checked(commands: Sequence[ImportUser]) -> Checked:
    """What goes to the inbox. What is not told of a user is not written: that would be half of it."""
    documents = [
        {
            "index": command.index,
            "identifier": command.identifier,
            "user": {name: value for name in _MEMBERS if (value := getattr(command.user, name)) not in _NOT_TOLD},
            "overwrite": command.overwrite,
            "ignored": command.ignored,
        }
        for command in commands
    ]
    return Checked(KIND_OF[ImportUser], CODEC_COMMANDS, msgspec.json.encode(documents))


_MEMBERS: Final = tuple(member.name for member in fields(ImportedUser))
_NOT_TOLD: Final[tuple[object, ...]] = (None, {}, [])


def is_user(document: Mapping[str, object]) -> bool:
    """Whether an object is a user rather than an object of /users/track."""
    return not document.keys().isdisjoint(_OF_USERS)


#: Members that a user has and no object of /users/track.
_OF_USERS: Final = frozenset(
    (
        "created_at", "random_bucket", "custom_attributes", "custom_events", "user_aliases", "appboy_id", "onefold",
        "total_revenue", "apps", "devices", "last_coordinates",
    )
)  # fmt: skip


class _Reader:
    """One user on its way."""

    def __init__(self, user: dict[str, Any], region: str) -> None:
        self._user = user
        self._region = region
        self.ignored: Ignored = []
        self._rest: dict[str, Any] = {}
        self._created: int | None = None

    def read(self) -> ImportedUser:
        user = self._user
        if user.get("onefold") not in (None, []):
            rest = portable_rest.read(user["onefold"])
            self._rest = {} if rest is None else rest
            self._ignore_if(rest is None, "onefold")
        self._created = self._moment(user, "created_at")
        found = ImportedUser(
            external_id=self._external_id(),
            braze_id=self._braze_id(),
            aliases=self._aliases(),
            former=self._rest.get("former_external_ids", [])[:MAX_IDENTIFIERS],
            created_us=self._created,
            created_from=self._rest.get("created_from"),
            random_bucket=self._bucket(),
            flags=sum({FLAGS[name] for name in self._rest.get("flags", ())}),
            fields=self._fields(),
            custom=self._custom(),
            events=self._summaries("custom_events"),
            purchases=self._summaries("purchases"),
            revenue_cents=self._cents("total_revenue"),
        )
        self._counts(found)
        self._consent(found)
        self._devices(found)
        self._messages(found)
        found.commerce = self._commerce()
        return found

    def _ignore(self, name: str) -> None:
        self.ignored.append((name, INVALID_VALUE))

    def _ignore_if(self, wrong: bool, name: str) -> None:
        if wrong:
            self._ignore(name)

    def _moment(self, holder: Mapping[str, Any], name: str, field: str = "") -> int | None:
        sent = holder.get(name)
        if sent is None:
            return None
        us = times.moment(sent) if isinstance(sent, str) else None
        self._ignore_if(us is None, field or name)
        return us

    def _external_id(self) -> str | None:
        sent = self._user.get("external_id")
        return identifiers.external_id(sent) if identifiers.is_sent(sent) else None

    def _braze_id(self) -> str | None:
        sent = self._user.get("braze_id") or self._user.get("appboy_id")
        if not identifiers.is_sent(sent):
            return None
        found = sent.lower() if isinstance(sent, str) and _BRAZE_ID(sent.lower()) else None
        self._ignore_if(found is None, "braze_id")
        return found

    def _aliases(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in self._entries(self._user, "user_aliases", MAX_IDENTIFIERS):
            try:
                label, name = identifiers.alias(entry)
            except ObjectRefusedError:
                self._ignore("user_aliases")
                continue
            if found.setdefault(label, name) != name:
                self.ignored.append((label, LABEL_TAKEN))
        return found

    def _bucket(self) -> int | None:
        sent = self._user.get("random_bucket")
        found = numbers.integer(sent)
        wrong = sent is not None and (found is None or not 0 <= found < 10_000)
        self._ignore_if(wrong, "random_bucket")
        return None if wrong else found

    def _fields(self) -> dict[str, object]:
        core: dict[str, Any] = self._rest.get("core", {})
        sent = {name: self._user.get(name) for name in _TEXTS}
        dob = self._user.get("dob")
        sent["dob"] = dob[:10] if isinstance(dob, str) else dob
        sent |= {name: core[name] for name in ("facebook", "twitter", "image_url") if name in core}
        sent["phone"] = core.get("phone_raw") or sent["phone"]
        place = self._user.get("last_coordinates")
        if isinstance(place, list) and len(place) == 2:
            sent["current_location"] = {"longitude": place[0], "latitude": place[1]}
        elif place is not None:
            self._ignore("last_coordinates")
        kept: dict[str, object] = {}
        for name, value in sent.items():
            if value is not None and (found := self._field(name, value)) is not None:
                kept[name] = found
        for name in ("email_open_tracking_disabled", "email_click_tracking_disabled"):
            if name in core:
                kept[name] = core[name]
        if "phone" in kept:
            raw = kept["phone_raw"] = kept.pop("phone")
            known = addresses.phone(str(self._user.get("phone") or ""), self._region)
            if (number := known or addresses.phone(str(raw), self._region)) is not None:
                kept["phone"] = number
        return kept

    def _field(self, name: str, value: object) -> object:
        """A reserved field as /users/track reads it. None where it cannot be read."""
        try:
            found: Any = attributes.FIELDS[name](value)
        except ObjectRefusedError:
            found = attributes.IGNORED
        if hasattr(found, "kept"):
            self.ignored += ((f"{name}.{member}", INVALID_VALUE) for member in found.ignored)
            found = found.kept
        if found in (attributes.IGNORED, attributes.CLEARED_INVALID, attributes.NOT_SENT):
            self._ignore(name)
            return None
        return found

    def _custom(self) -> dict[str, object]:
        sent = self._user.get("custom_attributes")
        if not isinstance(sent, dict):
            self._ignore_if(sent not in (None, []), "custom_attributes")
            return {}
        found: dict[str, object] = {}
        for name, value in sent.items():
            reason = bodies.unstorable(value)
            if name in attributes.FIELDS:
                reason = INVALID_NAME
            if reason is not None:
                self.ignored.append((name, reason))
            elif value is not None:
                found[name] = value
        return found

    def _summaries(self, name: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for entry in self._entries(self._user, name, MAX_ENTRIES):
            title, count = entry.get("name"), numbers.integer(entry.get("count"))
            first, last = self._moment(entry, "first", name), self._moment(entry, "last", name)
            ok = isinstance(title, str) and bool(title.strip()) and len(title) <= MAX_NAME
            if not ok or count is None or count < 1 or first is None or last is None:
                self._ignore(name)
            else:
                found[str(title)] = [count, min(first, last), max(first, last)]
        return found

    def _cents(self, name: str) -> int | None:
        sent = self._user.get(name)
        if sent is None:
            return None
        wrong = isinstance(sent, bool) or not isinstance(sent, (int, float)) or abs(sent) > 1e15
        self._ignore_if(wrong, name)
        return None if wrong else round(sent * 100)

    def _counts(self, found: ImportedUser) -> None:
        """Totals: as they are told, or as the summaries and the apps have them."""
        counted = self._rest.get("purchases")
        if counted is not None:
            found.bought = (counted[0], counted[1], counted[2])
        elif found.purchases:
            sums = found.purchases.values()
            found.bought = (sum(one[0] for one in sums), min(one[1] for one in sums), max(one[2] for one in sums))
        counted = self._rest.get("sessions")
        if counted is not None:
            found.sessions = (counted[0], counted[1], counted[2])

    def _consent(self, found: ImportedUser) -> None:
        core: dict[str, Any] = self._rest.get("core", {})
        if self._rest:
            found.recorded = [(entry[0], entry[1], entry[2], entry[3]) for entry in self._rest.get("recorded", ())]
            names = ("email_subscribe", "email_groups", "phone_groups", "push_subscribe", "marked_email_as_spam_at")
            found.states = {name: core[name] for name in names if name in core}
            return
        for name, channel in (("email_subscribe", CHANNEL_EMAIL), ("push_subscribe", 0)):
            state = self._user.get(name)
            if state is None:
                continue
            if state not in SUBSCRIPTION_STATES:
                self._ignore(name)
                continue
            if state == SUBSCRIBED:  # what everybody is of whom nothing is known
                continue
            base = name.removesuffix("_subscribe")
            verb = "opted_in_at" if state == "opted_in" else "unsubscribed_at"
            us = self._moment(self._user, f"{base}_{verb}")
            if channel and "email" in found.fields:
                found.recorded.append((channel, "", str(state), us))
            else:
                found.states[name] = [state, us or self._created or 0]

    def _entries(self, holder: Mapping[str, Any], name: str, most: int) -> Iterator[dict[str, Any]]:
        """Objects of an array."""
        sent = holder.get(name)
        if sent is None:
            return
        if not isinstance(sent, list):
            raise ObjectRefusedError(elements.no_array(name))
        self._ignore_if(len(sent) > most, name)
        for entry in sent[:most]:
            if isinstance(entry, dict):
                yield entry
            else:
                self._ignore(name)

    def _devices(self, found: ImportedUser) -> None:
        section = self._rest.get("devices")
        if section is not None:
            found.devices, found.tokens = section.get("devices", {}), section.get("tokens", {})
            found.apps, found.active = section.get("apps", {}), section.get("active", {})
            found.uninstalled_us = section.get("uninstalled_at")
            return
        found.uninstalled_us = self._moment(self._user, "uninstalled_at")
        for entry in self._entries(self._user, "devices", MAX_IDENTIFIERS):
            key = entry.get("device_id")
            if not isinstance(key, str) or not 0 < len(key) <= MAX_NAME:
                self._ignore("devices")
                continue
            members = {name: _short(entry.get(name)) for name in portable_rest.Device.__annotations__}
            del members["app"], members["id"]
            found.devices[key] = {name: value for name, value in members.items() if value is not None}
        for entry in self._entries(self._user, "push_tokens", MAX_IDENTIFIERS):
            self._token(found, entry)
        for entry in self._entries(self._user, "apps", MAX_IDENTIFIERS):
            name = entry.get("name")
            if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
                self._ignore("apps")
                continue
            use: dict[str, object] = {one: _short(entry.get(one)) for one in ("name", "platform", "version")}
            sent = entry.get("sessions")
            use["sessions"] = int(sent) if isinstance(sent, str) and sent.isdecimal() else numbers.integer(sent)
            use |= {one: self._moment(entry, one, "apps") for one in ("first_used", "last_used")}
            found.apps[name] = {one: value for one, value in use.items() if value is not None}
        if found.sessions is None and found.apps:
            uses: list[Any] = list(found.apps.values())
            found.sessions = (
                sum(use.get("sessions", 0) for use in uses),
                min((use["first_used"] for use in uses if "first_used" in use), default=None),
                max((use["last_used"] for use in uses if "last_used" in use), default=None),
            )

    def _token(self, found: ImportedUser, entry: dict[str, Any]) -> None:
        token = entry.get("token")
        if not isinstance(token, str) or not token.strip() or len(token.encode()) > push_tokens.MAX_TOKEN:
            self._ignore("push_tokens")
            return
        kept: dict[str, object] = {name: _short(entry.get(name)) for name in ("app", "platform", "device_id")}
        for name, sent in (("enabled", "notifications_enabled"), ("provisional", "provisionally_opted_in")):
            if isinstance(entry.get(sent), bool):
                kept[name] = entry[sent]
        kept["at"] = self._created or 0
        found.tokens[token] = {name: value for name, value in kept.items() if value is not None}

    def _messages(self, found: ImportedUser) -> None:
        section = self._rest.get("messages")
        if section is not None:
            found.received, found.history = section.get("received", {}), section.get("history", {})
            found.campaigns, found.canvases = section.get("campaigns", {}), section.get("canvases", {})
            return
        for entry, key in self._named("campaigns_received", "api_campaign_id"):
            last = self._moment(entry, "last_received", "campaigns_received")
            if last is not None:
                engaged = entry.get("engaged")
                kinds = engaged if isinstance(engaged, dict) else {}
                done = [name for name, value in kinds.items() if value is True and "_" in name]
                found.campaigns[key] = {f"{_UNKNOWN_CHANNEL}_received": last}
                for what, _, channel in (name.partition("_") for name in done):
                    found.campaigns[key][f"{channel}_{what}"] = last
        for entry, key in self._named("canvases_received", "api_canvas_id"):
            moments = {step: self._moment(entry, f"last_{step}", "canvases_received") for step in CANVAS_STEPS}
            received = self._moment(entry, "last_received_message", "canvases_received")
            all_of = {f"{_UNKNOWN_CHANNEL}_received": received, **moments}
            kept = {kind: us for kind, us in all_of.items() if us is not None}
            if kept:
                found.canvases[key] = kept

    def _named(self, name: str, id_: str) -> Iterator[tuple[dict[str, Any], str]]:
        for entry in self._entries(self._user, name, MAX_ENTRIES):
            key = entry.get(id_) or entry.get("name")
            if isinstance(key, str) and 0 < len(key) <= MAX_NAME:
                yield entry, key
            else:
                self._ignore(name)

    def _commerce(self) -> dict[str, object]:
        section: dict[str, object] | None = self._rest.get("commerce")
        if section is not None:
            return section
        orders = numbers.integer(self._user.get("total_orders")) or 0
        cancelled = numbers.integer(self._user.get("total_cancelled_orders")) or 0
        found: dict[str, int | None] = {
            "placed": max(0, orders) + max(0, cancelled) or None,
            "cancelled": max(0, cancelled) or None,
            "refunded": self._cents("total_refunds"),
            "last_order": self._moment(self._user, "last_order_placed_at"),
        }
        return {name: value for name, value in found.items() if value is not None}


def _short(value: object) -> object:
    """A member of a device or an app: a text or a boolean."""
    return value if isinstance(value, bool) or (isinstance(value, str) and len(value) <= MAX_NAME) else None
