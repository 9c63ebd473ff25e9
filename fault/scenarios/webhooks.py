"""Faults on the way of change webhooks: every change arrives, in order for each person, and none that is taken back."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import psutil
from standardwebhooks import Webhook

from app.contract import request_id
from app.domain.webhooks import CHANGES
from fault.clients import LoadPlan, Wire
from fault.processes import role
from fault.proxy import HOST
from fault.rounds import Round, Scenario
from fault.stack import POSTGRESQL, SQLITE, Layout, Workspace
from tests.polling import until

PEOPLE: Final = 12
#: A message that fails three times meanwhile is sent two minutes after the third.
DONE_SECONDS: Final = 240.0
#: In the short form a message fails once, and is sent again five seconds later.
SHORT_SECONDS: Final = 45.0
#: A blow that nobody feels ends after this long.
BLOW_SECONDS: Final = 15.0
#: Between two writes about the same person.
_PAUSE_SECONDS: Final = 0.02
#: Written in turns, so that a person enters and leaves the segment again and again.
TIERS: Final = ("gold", "tin")
SEGMENT: Final = {
    "name": "gold",
    "groups": [{"filters": [{"field": "custom_attribute", "name": "tier", "op": "equals", "value": TIERS[0]}]}],
}
ENTERED, LEFT = "segment.entered", "segment.left"
#: What the receiver does.
GOOD, SLOW, FAILING, REDIRECTING = "good", "slow", "failing", "redirecting"


class Receiver(ThreadingHTTPServer):
    """Keeps what it is told and verifies it; answers as it is told to."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__((HOST, port), _Told)
        self.mode = GOOD
        self.secret = ""
        self.elsewhere = ""
        #: (webhook-id, what was told) in the order of arrival, of what was taken.
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.tampered = 0
        #: What was not taken.
        self.refused = 0
        self.lock = threading.Lock()

    def server_activate(self) -> None:
        super().server_activate()  # a socket that does not listen yet looks ready, and `accept` waits for the next call
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class _Told(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mode = server.mode
        if mode == SLOW:
            time.sleep(0.1)
        if mode in (GOOD, SLOW):
            with server.lock:
                try:
                    told = Webhook(server.secret).verify(body, dict(self.headers.items()))
                    server.taken.append((self.headers["webhook-id"], told))
                except Exception:  # noqa: BLE001 - whatever is wrong with it is a finding
                    server.tampered += 1
        else:
            server.refused += 1
        self.send_response({FAILING: 500, REDIRECTING: 302}.get(mode, 204))
        if mode == REDIRECTING:
            self.send_header("Location", server.elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing is printed."""


class _Writer(threading.Thread):
    """Writes about people, each write as one request; keeps the ids of those that were accepted, by person."""

    def __init__(self, now: Round, site: Workspace) -> None:
        super().__init__(daemon=True)
        self.accepted: dict[str, list[str]] = {f"p{n}": [] for n in range(PEOPLE)}
        #: Who is in the segment by the last write.
        self.inside = dict.fromkeys(self.accepted, False)
        self.stop = threading.Event()
        self._wire = Wire(now.stack.ports, site.key)

    def run(self) -> None:
        n = 0
        while not self.stop.wait(_PAUSE_SECONDS):
            person = f"p{n % PEOPLE}"
            tier = TIERS[n // PEOPLE % 2]
            body = json.dumps({"attributes": [{"external_id": person, "n": n, "tier": tier}]}).encode()
            while True:
                attempt, headers, _ = self._wire.post("/users/track", body, {"Idempotency-Key": f"webhook-{n}"})
                if attempt.status == 201:
                    self.accepted[person].append(headers["X-Request-Id"])
                    self.inside[person] = tier == TIERS[0]
                    break
                time.sleep(0.05)
            n += 1
        self._wire.close()


def hit_the_way(now: Round) -> None:
    """44: the receiver is slow, fails, redirects and is gone; what sends, what applies and the database are killed.

    Another webhook is told who enters a segment, and who leaves it.
    """
    site = now.stack.workspace("legacy", None)
    receiver, trap, watcher = Receiver(), Receiver(), Receiver()
    receiver.elsewhere = f"http://{HOST}:{trap.server_port}/"
    port = receiver.server_port
    made = now.call(site, "POST", "/v1/webhooks", {"url": f"http://{HOST}:{port}/", "events": list(CHANGES)})
    receiver.secret = made["secret"]
    segment = now.call(site, "POST", "/v1/segments", SEGMENT)["id"]
    of_segment = {"url": f"http://{HOST}:{watcher.server_port}/", "events": [ENTERED, LEFT], "segment_id": segment}
    also = now.call(site, "POST", "/v1/webhooks", of_segment)
    watcher.secret = also["secret"]
    writer = _Writer(now, site)
    writer.start()
    # In the short form no message fails twice: the third attempt is half a minute later.
    blows = [SLOW, FAILING, "sender"] if now.short else [SLOW, FAILING, REDIRECTING, "gone", "sender", "database"]
    now.rng.shuffle(blows)
    for blow in blows:
        now.pause(0.3, 0.8)
        before = len(receiver.taken)
        if blow in (SLOW, FAILING, REDIRECTING):
            receiver.mode, refused = blow, receiver.refused
            now.pause(0.6, 1.0)
            if blow != SLOW:
                _wait_until_felt(receiver, refused)
            receiver.mode = GOOD
        elif blow == "gone":
            receiver.shutdown()
            receiver.server_close()
            now.pause(0.6, 1.0)
            again = Receiver(port)
            again.secret, again.elsewhere = receiver.secret, receiver.elsewhere
            again.taken, again.tampered, receiver = receiver.taken, receiver.tampered, again
        elif blow == "sender":
            _kill_sender(now)
        else:
            _kill_database(now, site, (receiver, watcher))
        now.hit(len(writer.accepted["p0"]) > 0 and (blow == "database" or len(receiver.taken) >= before))
    writer.stop.set()
    writer.join()
    seconds = SHORT_SECONDS if now.short else DONE_SECONDS
    until(lambda: now.stack.behind(site.id) == 0, seconds, message="the writes are not applied")
    wanted = {one for accepted in writer.accepted.values() for one in accepted}
    with suppress(AssertionError):
        until(lambda: wanted <= _requests(receiver), seconds)
    with suppress(AssertionError):
        until(lambda: _inside(watcher) == writer.inside, seconds)
    _judge(now, writer, receiver)
    _judge_passages(now, writer, watcher)
    if trap.taken or trap.tampered:
        now.blame("webhooks: a redirect was followed")
    for one in (made["id"], also["id"]):  # a workspace has so many, and rounds follow
        now.call(site, "DELETE", f"/v1/webhooks/{one}")
    for server in (receiver, trap, watcher):
        server.shutdown()
        server.server_close()


def _wait_until_felt(receiver: Receiver, before: int) -> None:
    """Wait until a message was not taken: the sender may just have been killed."""
    with suppress(AssertionError):
        until(lambda: receiver.refused > before, BLOW_SECONDS)


def _kill_sender(now: Round) -> None:
    """SIGKILL for the sweeper, which sends; its launcher starts another one."""
    for node in now.stack.nodes:
        for process in node.family():
            with suppress(psutil.NoSuchProcess):
                if role(process) == "sweeper":
                    process.kill()


def _kill_database(now: Round, site: Workspace, receivers: Sequence[Receiver]) -> None:
    """SIGKILL for PostgreSQL while batches are applied and told. What was told by then is on its disk afterwards.

    On SQLite the processes are killed instead: there is no server.
    """
    server = now.stack.postgres
    if server is None:
        _kill_sender(now)
        return
    for node in now.stack.nodes:  # nobody applies again what was taken back before we have looked
        for process in node.family():
            with suppress(psutil.NoSuchProcess):
                process.suspend()
    server.kill9()
    for node in now.stack.nodes:
        node.kill9()
    server.start()
    told: list[str] = []
    for receiver in receivers:
        with receiver.lock:
            told += [one["data"]["request_id"] for _, one in receiver.taken if one["data"]["request_id"]]
    cursors = now.stack.cursors(site.id)
    for one in told:
        place = request_id.read(site.secret, site.id, one)
        if place is None or place[1] > cursors[place[0]]:
            now.blame(f"webhooks: told of request {place}, and applied are {cursors}")
    for node in now.stack.nodes:
        now.stack.start_one(node)
    now.stack.wait_until_ready()


def _requests(receiver: Receiver) -> set[str]:
    with receiver.lock:
        return {told["data"]["request_id"] for _, told in receiver.taken}


def _judge(now: Round, writer: _Writer, receiver: Receiver) -> None:
    taken = list(receiver.taken)
    now.notes["messages"] = float(len(taken))
    now.notes["twice"] = float(sum(n - 1 for n in Counter(id_ for id_, _ in taken).values()))
    if receiver.tampered:
        now.blame(f"webhooks: {receiver.tampered} messages do not verify")
    for person, accepted in writer.accepted.items():
        arrived = list(dict.fromkeys(_of(taken, person)))
        if arrived != accepted:
            missing = [one for one in accepted if one not in arrived]
            now.blame(f"webhooks: of {len(accepted)} changes of {person} {len(missing)} are missing, or out of order")
    ids = {id_: told["data"]["request_id"] for id_, told in taken}
    if len(ids) != len(set(ids.values())):
        now.blame("webhooks: a change was told under two ids")


def _passages(watcher: Receiver) -> dict[str, list[str]]:
    """What was told of each person: each message once, by its id."""
    with watcher.lock:
        taken = dict(watcher.taken)
    found: dict[str, list[str]] = {}
    for told in taken.values():
        found.setdefault(told["data"]["external_id"], []).append(told["type"])
    return found


def _inside(watcher: Receiver) -> dict[str, bool]:
    """Who is in the segment, as far as was told."""
    told = _passages(watcher)
    return {person: told.get(person, [LEFT])[-1] == ENTERED for person in (f"p{n}" for n in range(PEOPLE))}


def _judge_passages(now: Round, writer: _Writer, watcher: Receiver) -> None:
    """In turns, and the last one says where the person is."""
    told = _passages(watcher)
    now.notes["passages"] = float(sum(map(len, told.values())))
    if watcher.tampered:
        now.blame(f"webhooks: {watcher.tampered} messages about a segment do not verify")
    for person, passages in told.items():
        if any(passage != (LEFT if n % 2 else ENTERED) for n, passage in enumerate(passages)):
            now.blame(f"webhooks: {person} does not enter and leave in turns: {passages}")
    if wrong := [person for person, inside in _inside(watcher).items() if writer.inside[person] != inside]:
        now.blame(f"webhooks: the last passage of {wrong} is missing")


def _of(taken: Sequence[tuple[str, dict[str, Any]]], person: str) -> list[str]:
    return [told["data"]["request_id"] for _, told in taken if told["data"]["external_id"] == person]


SCENARIOS: Final = (
    Scenario(
        44,
        "webhooks: slow, failing, redirecting and gone receivers, killed senders and databases",
        "changes were accepted while something was broken",
        hit_the_way,
        Layout(settings={"ONEFOLD_HTTP_ALLOW_PRIVATE": "true"}),
        LoadPlan(clients=1, rate=5),
        stores=(POSTGRESQL, SQLITE),
        lag_seconds=15.0,
        may_break=True,
        scaled="seconds instead of hours",
    ),
)
