"""Messages of webhooks as JSON."""

from typing import Any

from app.domain import times
from app.domain.webhooks import names_of
from app.services.webhooks import Message


def shown(message: Message) -> dict[str, Any]:
    """A message that was not taken yet."""
    return {
        "id": message.id,
        "at": times.iso(message.us),
        "types": names_of(message.types),
        "braze_id": message.doc.get("braze_id"),
        "state": message.state,
        "attempts": message.attempts,
        "error": message.error,
        "due_at": times.iso(message.due_us) if message.state == "due" else None,
    }
