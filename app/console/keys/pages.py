"""Keys: listed, made, replaced and revoked. A key is shown once, and what it may do is fixed when it is made."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from app.adapters.clock import now_us
from app.console.page import WORKSPACE, Page, Visit
from app.domain import times
from app.services.accounts import ADMIN
from app.services.api_keys import ApiKey, InvalidKeyRequestError, NameTakenError, NewKey, UnknownNameError
from app.services.naming import InvalidNameError
from app.services.permissions import ALL, PERMISSIONS

_TAKEN: Final = "A key of this name exists in the workspace."
_UNKNOWN: Final = "No live key of the workspace has this name: somebody may have revoked it already."
_NO_TIME: Final = "The end of a key is a time in the future, such as 2027-01-31 or 2027-01-31T12:00:00Z."


@dataclass(frozen=True, slots=True)
class Row:
    """A key as the list shows it."""

    key: ApiKey
    #: "live", "expired" or "revoked".
    state: str
    permissions: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What the form holds."""

    name: str = ""
    permissions: frozenset[str] = frozenset(("users.track",))
    networks: str = ""
    expires: str = ""


async def list_keys(visit: Visit) -> Response:
    now = now_us()
    rows = [Row(key, _state(key, now), _permissions(key)) for key in await visit.services.api_keys.listed(visit.caller)]
    rows.sort(key=lambda row: (row.state == "revoked", row.key.created_us))
    return visit.show("keys/list.html", rows=rows)


async def new_key(visit: Visit) -> Response:
    """The form; with `like` filled in as the key that is to be replaced."""
    like = visit.query["like"]
    found = [one for one in await visit.services.api_keys.listed(visit.caller) if like and one.key_id == like]
    fields = Fields()
    if found:
        expires = "" if found[0].expires_us is None else times.iso(found[0].expires_us)
        fields = Fields("", frozenset(found[0].permissions), "\n".join(found[0].ip_allowlist), expires)
    return _form(visit, fields)


async def create_key(visit: Visit) -> Response:
    form = visit.form
    fields = Fields(form["name"].strip(), frozenset(form.all("permission")), form["networks"], form["expires"].strip())
    expires_us = None
    if fields.expires:
        expires_us = times.parse(fields.expires if "T" in fields.expires else f"{fields.expires}T00:00:00Z")
        if expires_us is None or expires_us <= now_us():
            return _form(visit, fields, _NO_TIME)
    wanted = NewKey(
        fields.name,
        fields.permissions,
        networks=fields.networks.replace(",", "\n").splitlines(),
        expires_us=expires_us,
        created_by=visit.visitor.account,
    )
    try:
        key = await visit.services.api_keys.create(visit.caller, wanted)
    except NameTakenError:
        return _form(visit, fields, _TAKEN)
    except (InvalidNameError, InvalidKeyRequestError) as error:
        return _form(visit, fields, str(error))
    visit.target = fields.name
    return visit.show("keys/made.html", 201, name=fields.name, key=key)


async def revoke_key(visit: Visit) -> Response:
    name = visit.target = visit.form["name"]
    try:
        await visit.services.api_keys.revoke(visit.caller, name)
    except UnknownNameError:
        return visit.go("/keys", _UNKNOWN)
    return visit.go("/keys", f"The key {name} is revoked. Requests accepted before still run.")


def _form(visit: Visit, fields: Fields, wrong: str = "") -> Response:
    status = 422 if wrong else 200
    return visit.show("keys/new.html", status, fields=fields, wrong=wrong, permissions=PERMISSIONS, common=ALL)


def _state(key: ApiKey, now: int) -> str:
    if key.revoked_us is not None:
        return "revoked"
    return "expired" if key.expires_us is not None and key.expires_us <= now else "live"


def _permissions(key: ApiKey) -> str:
    rest = set(key.permissions) - set(ALL)
    return ", ".join(["all", *sorted(rest)] if set(ALL) <= set(key.permissions) else key.permissions)


PAGES: Final = (
    Page(f"{WORKSPACE}/keys", list_keys, title="Keys"),
    Page(f"{WORKSPACE}/keys/new", new_key, role=ADMIN),
    Page(f"{WORKSPACE}/keys", create_key, role=ADMIN, method="POST", act="keys.create"),
    Page(f"{WORKSPACE}/keys/revoke", revoke_key, role=ADMIN, method="POST", act="keys.revoke"),
)
