"""People as JSON."""

from app.contract import people as contract
from app.services.caller import Caller
from app.services.people import Found, Person, Timeline


def listed(found: Found) -> dict[str, object]:
    """The document of GET /v1/profiles."""
    document: dict[str, object] = {"profiles": [contract.row(profile) for profile in found.profiles]}
    return document if found.next_cursor is None else document | {"next_cursor": found.next_cursor}


def person(caller: Caller, found: Person) -> dict[str, object]:
    """The document of GET /v1/profiles/{braze_id}."""
    shown = contract.document(found.view, found.consents, found.size)
    return {"profile": shown, **_events(caller, found.timeline)}


def timeline(caller: Caller, found: Timeline) -> dict[str, object]:
    """The document of GET /v1/profiles/{braze_id}/timeline."""
    return {"braze_id": found.braze_id, **_events(caller, found)}


def _events(caller: Caller, found: Timeline) -> dict[str, object]:
    document: dict[str, object] = {
        "timeline": [
            contract.occurrence(
                one.kind,
                one.name,
                one.time_us,
                caller.request_id(one.stream, one.seq),
                one.ordinal,
                app_id=one.app_id,
                properties=one.properties,
                quantity=one.quantity,
                cents=one.cents,
            )
            for one in found.happened
        ]
    }
    return document if found.next_cursor is None else document | {"next_cursor": found.next_cursor}
