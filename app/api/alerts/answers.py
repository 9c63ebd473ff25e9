"""Messages of alerts as JSON."""

from typing import Any

from app.domain import times
from app.services.alerts import Message


def shown(message: Message) -> dict[str, Any]:
    """A message with the attempts at sending it."""
    return {
        "id": message.id,
        "alert_id": message.alert_id,
        "at": times.iso(message.us),
        "said": message.said,
        "channel": message.channel,
        "delivery": message.delivery,
        "attempts": message.attempts,
        "error": message.error,
        "ended_at": None if message.ended_us is None else times.iso(message.ended_us),
        "content": dict(message.doc),
    }
