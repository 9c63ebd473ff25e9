"""Endpoints that say who is who: identify, merge, aliases, deletion, external ids."""

from collections.abc import Callable
from typing import Any, Final

from app.api.answers import Answer
from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, queueing, waiting
from app.api.identity import models
from app.api.track.models import TrackRefusal
from app.contract import addresses, aliases, deletion, external_ids, identify, merge_request
from app.contract.checked import Checked
from app.services.accepting.acceptor import Accepted, IdempotencyKey
from app.services.caller import Caller
from app.services.registry import Services
from app.services.synchronous import Items

ADMIN: Final = "user-admin"

_QUEUED: Final = (
    "Stored before it is answered, applied in the background, in the order of the requests and of the elements. An "
    "element that cannot be accepted is named in `errors`; one without effect is listed in `GET /v1/requests/{id}`. "
)
_WAITS: Final = (
    "Answered when it is applied, with the result of every item. 503 `timeout` when that takes too long: the request "
    "stays queued, and its `X-Request-Id` can be asked about. "
)
_ALIAS: Final = {"alias_label": "basket", "alias_name": "guest-7"}


def _told(title: str, text: str, body: Any, example: Any, status: int, answer: Any) -> Documentation:
    return Documentation(
        title=title,
        tag="Identity",
        text=text,
        body=body,
        example=example,
        answers={status: answer, 400: TrackRefusal},
        idempotent=True,
    )


_IDENTIFY: Final = _told(
    "Give profiles an external id",
    _QUEUED + "A profile that has no external id gets it; if somebody has it, the two are combined.",
    models.IdentifyBody,
    {
        "aliases_to_identify": [{"external_id": "ada", "user_alias": _ALIAS}],
        "emails_to_identify": [
            {
                "external_id": "bob",
                "email": "bob@example.org",
                "prioritization": ["unidentified", "most_recently_updated"],
            }
        ],
    },
    201,
    models.AliasesAccepted,
)
_MERGE: Final = _told(
    "Merge pairs of profiles",
    "Stored before it is answered, applied in the background, in the order of the pairs. What has no effect is listed "
    "in `GET /v1/requests/{id}`. The kept profile's values win; counts add up.",
    models.MergeBody,
    {"merge_updates": [{"identifier_to_merge": {"user_alias": _ALIAS}, "identifier_to_keep": {"external_id": "ada"}}]},
    202,
    models.MergeAccepted,
)
_ALIAS_NEW: Final = _told(
    "Add aliases",
    _QUEUED + "A profile has one alias of a label; an alias belongs to one profile.",
    models.AliasNewBody,
    {"user_aliases": [{"external_id": "ada", **_ALIAS}]},
    201,
    models.AliasesAccepted,
)
_ALIAS_UPDATE: Final = _told(
    "Change aliases",
    _QUEUED,
    models.AliasUpdateBody,
    {"alias_updates": [{"alias_label": "basket", "old_alias_name": "guest-7", "new_alias_name": "guest-8"}]},
    201,
    models.AliasesAccepted,
)
_DELETE: Final = _told(
    "Delete profiles",
    _QUEUED + "All identifiers of a deleted profile become free.",
    models.DeleteBody,
    {"external_ids": ["ada"], "user_aliases": [_ALIAS]},
    201,
    models.DeleteAccepted,
)
_RENAME: Final = _told(
    "Give profiles a new external id",
    _WAITS + "The former id goes on working until it is removed.",
    models.RenameBody,
    {"external_id_renames": [{"current_external_id": "ada", "new_external_id": "ada-2"}]},
    201,
    models.Renamed,
)
_REMOVE: Final = _told(
    "Remove former external ids",
    _WAITS + "A removed id becomes free.",
    models.RemoveBody,
    {"external_ids": ["ada"]},
    201,
    models.Removed,
)


def endpoints(services: Services) -> list[Endpoint]:
    acceptor, synchronous = services.acceptor, services.synchronous

    def queues(
        path: str,
        permission: str,
        check: Callable[[Caller], Callable[[bytes], Checked]],
        told: Documentation,
        status: int = 201,
    ) -> Endpoint:
        async def queue(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Accepted:
            return await acceptor.queue(caller, check(caller), body, key)

        return Endpoint("POST", path, permission, ADMIN, queueing(services, queue, status), told)

    def waits(path: str, permission: str, group: str, read: Callable[[bytes], Items], told: Documentation) -> Endpoint:
        async def applied(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Answer:
            items = read(body)
            outcome = await synchronous.items(caller, items, key)
            return Answer(201, items.answer(outcome.problems), outcome.request_id, errors=items.errors)

        return Endpoint("POST", path, permission, group, waiting(services, applied), told)

    rename, remove = "users.external_ids.rename", "users.external_ids.remove"
    return [
        queues("/users/identify", "users.identify", _by_phone(identify.check), _IDENTIFY),
        queues("/users/merge", "users.merge", _by_phone(merge_request.check), _MERGE, 202),
        queues("/users/alias/new", "users.alias.new", lambda _caller: aliases.check_new, _ALIAS_NEW),
        queues("/users/alias/update", "users.alias.update", lambda _caller: aliases.check_update, _ALIAS_UPDATE),
        queues("/users/delete", "users.delete", _by_phone(deletion.check), _DELETE),
        waits("/users/external_ids/rename", rename, "rename", external_ids.read_renames, _RENAME),
        waits("/users/external_ids/remove", remove, "remove", external_ids.read_removals, _REMOVE),
    ]


def _by_phone(check: Callable[[bytes, str], Checked]) -> Callable[[Caller], Callable[[bytes], Checked]]:
    """The check for a caller whose workspace may have another region for phone numbers without a `+`."""

    def checker(caller: Caller) -> Callable[[bytes], Checked]:
        region = addresses.region_of(caller.options)
        return lambda body: check(body, region)

    return checker
