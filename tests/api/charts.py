"""Series in tests: days, calls, and a segment that is tracked."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

from tests.api.asking import get
from tests.api.harness import Answer, Json, Workspace


def data(answer: Answer) -> list[Json]:
    assert answer.status == 200, answer.text
    assert set(answer.body) == {"data", "message"}
    return list(answer.body["data"])


def asked(workspace: Workspace, path: str, **query: object) -> list[Json]:
    return data(get(workspace, path + "".join(f"&{name}={quote(str(value))}" for name, value in query.items())))


def day_of(us: int, zone: str = "UTC", ago: int = 0) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    return (moment.astimezone(ZoneInfo(zone)).date() - timedelta(days=ago)).isoformat()


def segment(workspace: Workspace, **members: object) -> str:
    gold = {"field": "custom_attribute", "name": "tier", "op": "equals", "value": "gold"}
    document = {"name": "gold", "analytics_tracking_enabled": True, "groups": [{"filters": [gold]}], **members}
    return str(workspace.post("/v1/segments", document, drain=False).body["id"])
