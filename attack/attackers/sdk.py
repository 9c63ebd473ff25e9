"""Attacks with the public SDK key of an app, which everybody who opens a page can read."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.synchronize import Event
from types import MappingProxyType
from typing import Any, ClassVar, Final

from sqlalchemy import text

from app.adapters.clock import now_us
from app.store import apps
from attack.attacker import Attacker, Outcome, Target, crowd
from attack.attackers.http import ADDRESSES, SlowBodies
from attack.wire import Client, head, request
from fault.stack import Stack, Workspace

PATH: Final = "/v1/sdk/data"
#: What an attacker knows of somebody else: the device id, and not the SDK key of its app.
OTHER: Final = "device-of-somebody-else"
_IDS: Final = text("select count(*) from inbox_message where workspace_id = :w")


class PublicKey(Attacker):
    """Has the SDK key of an app, and sends with it from several connections of some addresses."""

    addresses: ClassVar[tuple[str, ...]] = ADDRESSES[:1]
    connections: ClassVar[int] = 8
    seconds = 10.0
    sdk_key = ""

    def prepare(self, stack: Stack, target: Target) -> None:
        self.sdk_key = _app(stack, target.workspace)

    def sending(
        self, target: Target, stop: Event, outcome: Outcome, make: Callable[[int], bytes], rate: float = 0.0
    ) -> None:
        """Whole requests as quickly as they are answered, or `rate` a second of each connection."""

        def work(number: int) -> None:
            client = Client(target.port, self.addresses[number % len(self.addresses)])
            n = number
            while not stop.is_set():
                outcome.statuses[client.ask(make(n))[0]] += 1
                n += self.connections
                if rate:
                    stop.wait(1 / rate)
            client.close()

        began = time.monotonic()
        with crowd(self.connections, work):
            stop.wait()
        outcome.notes["s"] = time.monotonic() - began

    def batch(self, document: dict[str, Any]) -> bytes:
        return request("POST", PATH, body=_encoded(document), more={"X-Onefold-SDK-Key": self.sdk_key})


class NewDevices(PublicKey):
    number, name = "17", "a page that is a new device each time"
    does = "batches of one record, each of a device that was not there before, from one address on 8 connections"
    bound = "`ONEFOLD_SDK_BATCHES_PER_ADDRESS`"
    #: A tenth of the default, so that a busy machine comes to it.
    MOST: Final = 600
    layout = replace(Attacker.layout, settings={"ONEFOLD_SDK_BATCHES_PER_ADDRESS": str(MOST)})
    unbound = MappingProxyType({"ONEFOLD_SDK_BATCHES_PER_ADDRESS": "0"})

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        def make(n: int) -> bytes:
            record = {"type": "event", "seq": 1, "ago": 0, "name": "visit"}
            return self.batch({"device_id": f"flood-{target.seed}-{n:09}", "batch": 1, "records": [record]})

        self.sending(target, stop, outcome, make)
        taken = outcome.statuses[201]
        allowed = self.MOST * (1 + (outcome.notes["s"] + 1) / 60)
        if taken > allowed:
            outcome.findings.append(f"{taken} batches of one address were taken, {allowed:.0f} are allowed")


class HugeBatches(PublicKey):
    number, name = "18", "huge batches of names that nobody used before"
    does = (
        "batches of 250 KB with 500 records and of 4 MB with 2,000, each event of another name, of new devices and of"
        " one of another app, from six addresses on 12 connections"
    )
    bound = (
        "`ONEFOLD_MAX_SDK_RECORDS`, `ONEFOLD_MAX_SDK_BATCH_KILOBYTES`; a share of the threads for a workspace;"
        " `ONEFOLD_CATALOGUE_NAMES`, `ONEFOLD_MAX_SERIES`; a device is one of an app"
    )
    unbound = MappingProxyType({"ONEFOLD_MAX_SDK_RECORDS": "2000", "ONEFOLD_MAX_SDK_BATCH_KILOBYTES": "4096"})
    addresses = ADDRESSES
    connections = 12
    #: (records, characters in each)
    SIZES: Final = ((500, 380), (2_000, 1_900))

    def prepare(self, stack: Stack, target: Target) -> None:
        super().prepare(stack, target)
        # Somebody else's device, of another app of the same workspace.
        record = {"type": "change_user", "seq": 1, "ago": 0, "user_id": "somebody-else"}
        document = {"device_id": OTHER, "batch": 1, "records": [record]}
        more = {"X-Onefold-SDK-Key": _app(stack, target.workspace)}
        client = Client(target.port)
        status, _, _ = client.ask(request("POST", PATH, body=_encoded(document), more=more))
        client.close()
        assert status == 201, f"the other device is answered {status}"

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        def make(n: int) -> bytes:
            count, characters = self.SIZES[n // self.connections % 2]
            text = {"text": "x" * characters}
            records = [
                {"type": "event", "seq": i + 1, "ago": 0, "name": f"name-{n}-{i}", "properties": text}
                for i in range(count)
            ]
            device = OTHER if n % 10 == 0 else f"huge-{target.seed}-{n:09}"
            return self.batch({"device_id": device, "batch": n + 1, "records": records})

        ready = [make(n) for n in range(4 * self.connections)]
        self.sending(target, stop, outcome, lambda n: ready[n % len(ready)])

    def judge(self, stack: Stack, workspace: Workspace, outcome: Outcome) -> None:
        key = workspace.key
        body = _encoded({"external_ids": ["somebody-else"], "fields_to_export": ["custom_events"]})
        client = Client(stack.ports[0])
        found = client.document(request("POST", "/users/export/ids", key, body)) or {"users": [{"nobody": True}]}
        client.close()
        if found["users"] != [{}]:
            outcome.findings.append("a device of another app was written to")


class EndlessMessages(PublicKey):
    number, name = "19", "message ids without end"
    does = "batches of 2,500 calls of the tracking API, each with a message id and a visitor of its own, 4 connections"
    bound = "`ONEFOLD_MAX_MESSAGE_IDS`, `ONEFOLD_MAX_TRACKING_BATCH_KILOBYTES`; a share of the threads for a workspace"
    #: Far fewer than by default, so that they are used up.
    MOST: Final = 4_000
    layout = replace(Attacker.layout, settings={"ONEFOLD_MAX_MESSAGE_IDS": str(MOST)})
    unbound = MappingProxyType({"ONEFOLD_MAX_MESSAGE_IDS": "1000000"})
    addresses = ADDRESSES[:4]
    connections = 4
    CALLS: Final = 2_500

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        def make(n: int) -> bytes:
            calls = [
                {"type": "track", "event": "e", "anonymousId": f"a{n}-{i}", "messageId": f"m{n}-{i}"}
                for i in range(self.CALLS)
            ]
            return request("POST", "/v1/batch", body=_encoded({"batch": calls}), more={"X-Write-Key": self.sdk_key})

        self.sending(target, stop, outcome, make)

    def judge(self, stack: Stack, workspace: Workspace, outcome: Outcome) -> None:
        with stack.database.read(stack.database.inbox) as connection:
            kept = connection.execute(_IDS, {"w": workspace.id}).scalar_one()
        outcome.notes["ids kept"] = kept
        if kept > self.MOST:
            outcome.findings.append(f"{kept} message ids are kept, {self.MOST} are allowed")


class SlowBatches(SlowBodies):
    number, name = "8c", "slow bodies of beacons"
    does = "1,000 beacons of six addresses, whose key stands in the body, each with a body that arrives a byte a second"
    bound = "a small pool for each address whose caller is not known yet; `ONEFOLD_RECEIVE_TIMEOUT_SECONDS`"
    two_keys = False

    def opening(self, target: Target, n: int) -> bytes:
        del target, n
        return head("POST", PATH, more={"Content-Type": "text/plain", "Content-Length": "100000"})


def _app(stack: Stack, workspace: Workspace) -> str:
    """The SDK key of a new app."""
    made = apps.App(str(uuid.uuid4()), "Page", "web", apps.new_sdk_key(), now_us())
    apps.create(stack.database, workspace.id, made, 10)
    return made.sdk_key


def _encoded(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
