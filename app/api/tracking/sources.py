"""What the SDKs fetch before they send. It names no server but this one, so they ask nobody else."""

import re
from typing import Any, Final

from fastapi import Request

from app.services.networks import Network, is_trusted
from app.services.sdk import Known

#: A host and a port, as a header `Host` may say them.
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,255}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


def server_of(request: Request, proxies: tuple[Network, ...]) -> tuple[str, str]:
    """(scheme, host) by which the client reaches this server, as far as proxies are believed."""
    scheme, host = request.url.scheme, request.headers.get("host", "")
    told = request.headers.get("x-forwarded-proto", "").strip().lower()
    peer = request.client.host if request.client is not None else None
    if told in ("http", "https") and is_trusted(peer, proxies):
        scheme = told
    return scheme, host if _HOST.fullmatch(host) else "localhost"


def segment(sdk_key: str, server: tuple[str, str]) -> dict[str, Any]:
    """For `GET /v1/projects/{key}/settings`: the one integration is that which sends to `apiHost`."""
    scheme, host = server
    integration = {
        "apiKey": sdk_key,
        "apiHost": f"{host}/v1",
        "protocol": scheme,
        "type": "browser",
        "bundlingStatus": "bundled",
        "addBundledMetadata": False,
        "unbundledIntegrations": [],
        "maybeBundledConfigIds": {},
        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
    }
    enabled = {"__default": {"enabled": True, "integrations": {}}}
    return {
        "integrations": {"Segment.io": integration},
        "plan": {"track": enabled, "identify": enabled, "group": enabled},
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "remotePlugins": [],
        "analyticsNextEnabled": True,
        "legacyVideoPluginsEnabled": False,
        "metrics": {"sampleRate": 0},
        "autoInstrumentationSettings": {"sampleRate": 0},
    }


def rudderstack(known: Known) -> dict[str, Any]:
    """For `GET /sourceConfig`."""
    app = known.app
    silent = {"enabled": False}
    return {
        "source": {
            "id": app.id,
            "name": app.name,
            "writeKey": app.sdk_key,
            "enabled": True,
            "workspaceId": app.id,
            "config": {"statsCollection": {"errors": silent, "metrics": silent}},
            "connections": [],
            "destinations": [],
        },
    }
