"""Signatures of what webhooks are told, as Standard Webhooks has them (standardwebhooks.com).

A receiver computes the same from the secret that both know, so it can tell our messages from those of others, and one
that is sent to it again later from a new one.
"""

import base64
import secrets
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

#: Bytes of chance in a secret: the specification wants 24 to 64.
_BYTES: Final = 24


def new_secret() -> str:
    """A secret as receivers are given it: `whsec_` and base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def headers(signers: tuple[str, ...], message_id: str, now_us: int, body: bytes) -> dict[str, str]:
    """Headers of a message that is sent now, signed with each of the secrets. `body` is UTF-8.

    An attempt is signed with its own time, which receivers compare with theirs; the id stays.
    """
    moment = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    text = body.decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, moment, text) for secret in signers),
    }
