"""Devices and sites in tests: what they send for an app, and who is known of them."""

import itertools
import json
from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from app.domain.profile import Profile
from app.store import apps
from tests.api.harness import Answer, Json, Workspace, times_now

DEVICE_ID, OTHER = "device-one", "device-two"


class Shop:
    """An app of a workspace, and the devices that send for it."""

    def __init__(
        self, workspace: Workspace, platform: str = "web", name: str = "Shop", number: int = 0, **more: Any
    ) -> None:
        self.workspace = workspace
        app_id = f"{number:018}{workspace.id:018}"
        self.app = apps.App(app_id, name, platform, apps.new_sdk_key(), times_now(), **more)
        apps.create(workspace.service.database, workspace.id, self.app, 10)
        self._numbers, self._sequence = itertools.count(1), itertools.count(1)

    def batch(self, *records: Json, device: str = DEVICE_ID, **more: Any) -> Json:
        numbered = [{"seq": next(self._sequence), "ago": 0} | record for record in records]
        return {"device_id": device, "batch": next(self._numbers), "records": numbered, **more}

    def post(self, body: object, *, drain: bool = True, key: str | None = None, **headers: str) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "X-Onefold-SDK-Key": key or self.app.sdk_key}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if value}
        answer = self.workspace.service.send("POST", "/v1/sdk/data", content, sent)
        if drain and answer.status == 201:
            self.workspace.drain()
        return answer

    def send(self, *records: Json, device: str = DEVICE_ID, **more: Any) -> Answer:
        answer = self.post(self.batch(*records, device=device, **more))
        assert answer.status == 201, answer.text
        return answer


class Site(Shop):
    """An app, to which a tracking SDK sends."""

    def __init__(self, workspace: Workspace, platform: str = "web", **more: Any) -> None:
        super().__init__(workspace, platform, **more)
        self._ids = itertools.count(1)

    def basic(self, key: str | None = None) -> str:
        return "Basic " + b64encode(f"{key or self.app.sdk_key}:".encode()).decode()

    def send_to(
        self,
        path: str,
        body: object,
        more: Mapping[str, str] = MappingProxyType({}),
        *,
        drain: bool = True,
        method: str = "POST",
        **headers: str,
    ) -> Answer:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Authorization": self.basic()}
        sent |= {name.replace("_", "-"): value for name, value in (headers | dict(more)).items()}
        sent = {name: value for name, value in sent.items() if value}
        answer = self.workspace.service.send(method, path, content, sent)
        if drain and answer.status == 200:
            self.workspace.drain()
        return answer

    def calls(self, *sent: Json, drain: bool = True, **more: Any) -> Answer:
        """A batch of calls, each with a message id."""
        named = [{"messageId": f"m-{next(self._ids)}"} | one for one in sent]
        return self.send_to("/v1/batch", {"batch": named, **more}, drain=drain)


def event(name: str, **more: Any) -> Json:
    return {"type": "event", "name": name, **more}


def login(user: str) -> Json:
    return {"type": "change_user", "user_id": user}


LOGOUT: Json = {"type": "logout"}


SESSION: Json = {"type": "session_start"}


def _devices(profile: Profile) -> Json:
    section: Json = profile.devices or {}
    devices: Json = section.get("devices", {})
    return devices


def people(workspace: Workspace) -> list[Json]:
    """Everybody, in order of creation: who, with what, on which devices."""
    return [
        {
            "who": profile.external_id,
            "from": profile.created_from,
            "devices": sorted(device["id"] for device in _devices(profile).values()),
            "events": {name: count for name, (count, _, _) in sorted((profile.events or {}).items())},
            "sessions": profile.session_count,
        }
        for _, profile in sorted(workspace.state().profiles.items())
    ]


def person(who: str | None, *devices: str, created: str = "sdk", sessions: int = 0, **events: int) -> Json:
    return {"who": who, "from": created, "devices": list(devices), "events": events, "sessions": sessions}


#: An RSA key, and what it signed: `{"sub":"ada","exp":4102444800}`, the same of bob, and one that has expired.
PEM = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqxX1llIyn/Xu7ts9qmNY
giIld2p4hZLftTQskThttFZrDObR3J4cQ4JznWsZAFVavaW6NieVKuhDY8/Lj7eU
sTivrDN3x3BGli65hlJuvKN1J3wRVIKv35KAiN2WkU1sOZvVNnTw2r4zQqTYSqGC
YiE2tTUfew7WTcI6D2QfRkIT5hOhjz3WHA94MLqXSlgushAusveDDNCjU8x747t+
oGuXvvqYNGz+am3Kwqe7LviAmBWDt2aPRyj5f3gYJiODSy2fZcrunCswqpz61gtK
HiI6Cabw5Rjd1geNbRE1zmy2RNo2Ks4TKqDhd0ishmUxuH+4am8IGaWu8MHUvLuc
3wIDAQAB
-----END PUBLIC KEY-----
"""


ADA = (
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjQxMDI0NDQ4MDB9.muD31CzPL2onYTgXmW4vCp"
    "tXTDgmrxiz9gTMLf237N7kMPdOEW9Kp6PsjXXAKHkgJQYIjgG29VWOAjuEzaBBXmCb9CTJrh--5ro1-ninr66_J5LCtednE3iza0"
    "-gMVmIvLHnzSWCr2DEbDnZglGGjRVoChfdUSXrRXbazoOrC9zJSzWJE-blThElSlKevzsmOsu0VIghL1yEveogsOlFwusomBpMge"
    "U-dy8JE8gb2jwfUgNwzBB-8FuRH7ETdPCMr6Xc_gnSSmjQJ0vXualhfnMmDSWc4SoeuZhmebT-Zfjlxh-1jn_-2VxMW3BBJGduM5"
    "VOO_WjiEA3_SHlDYmYow"
)


BOB = (
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDB9.fUEAk8QEpRFL5j-U_SR1xeFz-TznH-ylEajJ-B"
    "3JkeY6JJJxnmEBxiIYxCm2trY-ihk6RUqmaO2w_V9R1pkRelLRN3xj6lt0rth6ltmXsDWYCrZ2wkrn_sU45Nbx3woLnGPh_ZLAAh"
    "dxcTDlGrUEN99I96Zc6TJ56NdKFjd3CphjapkBW0TaqlaQVJsFH8Z7Uk65OcmT_Ha_xU195UgJ720uooDJRrHFfqEo0pcFZJKzxP"
    "1YiMsYFt9Fc1OZ1ZaYMATuFE_Ra3Oze2k7XQ_sK3fXVMFLcUnzqcX3DqlGzouXEpiV5VN6oUL1pixC0amegG0WG1YBP2pHAUQ9Ar"
    "rc1w"
)


EXPIRED = (
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjEwMDB9.Jsh5uvWQP1ZgjcW38uQF5CNkLGDTBqyFw0ok0k69R45xCY"
    "Q8HFxtnpA6mAeLJkcnT0Rw2hbXEftcHbuSsRDLaaYYaW5d49cl_dBhZATMlpVNY1Am2gafzKgKxu2SlkxuisER6SEaXw3sWCQ6ME"
    "zzaEX4PkwpLGMABp0HVxVVcIWKdfcA0gXbwFwr9ohp3_IOC516Zp7tDmkCsQ7EM0LmNmgVczqWsJCoIQ4hy3ZvqR182JFd4QUJbe"
    "pDzJAM9dR4Zc06Z-xPt81ILL_pFS8xfkrzF0kL0GCulB8G_Car20ztJ67HcfWKXRvwxhUf4wS4NmmupQyxwUVjr5Vk9qsnBw"
)
