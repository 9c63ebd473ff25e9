"""The victim: a workspace that sends a steady mix beside the attack, and keeps every answer's time and kind."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fault.clients import Attempt, Call, Wire
from fault.operations import Sending
from fault.stack import Stack, Workspace

#: What the victim does, and how often a second.
RATES: Final = {"track": 10.0, "sync": 2.0, "export": 6.0, "identify": 2.0}
PEOPLE: Final = 20
#: A client opens a new connection after so many requests: whoever keeps newcomers out is seen.
PER_CONNECTION: Final = 8
LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of the victim: when, its status (0 = no answer), and how long that took in seconds."""

    kind: str
    at: float
    status: int
    seconds: float
    stale: bool
    wrong: str = ""


class Victim:
    """Sends until `stop`. Exports read what the victim itself wrote before, so a torn or old one is seen."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.workspace: Workspace = stack.workspace("mau_cy_24_25", None)
        self.samples: list[Sample] = []
        #: (when, age in seconds of the oldest accepted request that is not applied).
        self.lags: list[tuple[float, float]] = []
        self._written: dict[str, int] = {}
        self._unapplied: list[tuple[float, int, int]] = []
        self._stop = threading.Event()
        work: dict[str, Callable[[Wire, int], None]] = {
            "track": self._track,
            "sync": self._sync,
            "export": self._export,
            "identify": self._identify,
        }
        self._threads = [threading.Thread(target=self._run, args=(RATES[k], work[k]), daemon=True) for k in work]
        self._watch = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        for thread in (*self._threads, self._watch):
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in (*self._threads, self._watch):
            thread.join(30)

    # -- what it sends -----------------------------------------------------------------------------------------------

    def _track(self, wire: Wire, n: int) -> None:
        who = f"victim-{n % PEOPLE}"
        event = {"external_id": who, "name": "visit", "time": "2026-11-20T10:00:00Z"}
        document = {"attributes": [{"external_id": who, "n": n}], "events": [event]}
        if self._send(wire, "track", "/users/track", document) is not None:
            self._written[who] = n

    def _sync(self, wire: Wire, n: int) -> None:
        document = {"attributes": [{"external_id": f"sync-{n % PEOPLE}", "n": n}]}
        self._send(wire, "sync", "/users/track/sync", document)

    def _export(self, wire: Wire, n: int) -> None:
        who = f"victim-{n % PEOPLE}"
        least = self._written.get(who)

        def wrong(answer: dict[str, Any]) -> str:
            users = answer.get("users", [])
            if least is None:
                return ""
            if len(users) != 1:
                return f"{len(users)} profiles of one that is there"
            shown = users[0].get("custom_attributes", {}).get("n", -1)
            return "" if shown >= least else "older than what was written before"

        document = {"external_ids": [who], "fields_to_export": ["external_id", "custom_attributes"]}
        self._send(wire, "export", "/users/export/ids", document, wrong)

    def _identify(self, wire: Wire, n: int) -> None:
        alias = {"alias_label": "victim", "alias_name": str(n // 2)}
        if n % 2 == 0:
            attributes = [{"user_alias": alias, "_update_existing_only": False, "alias": n}]
            self._send(wire, "track", "/users/track", {"attributes": attributes})
        else:
            pair = {"external_id": f"victim-{n % PEOPLE}", "user_alias": alias}
            self._send(wire, "identify", "/users/identify", {"aliases_to_identify": [pair]})

    # -- how ---------------------------------------------------------------------------------------------------------

    def _run(self, rate: float, work: Callable[[Wire, int], None]) -> None:
        wire, n, due = Wire(self._stack.ports, self.workspace.key), 0, time.monotonic()
        while not self._stop.is_set():
            work(wire, n)
            n += 1
            if n % PER_CONNECTION == 0:
                wire.close()
            due = max(due + 1 / rate, time.monotonic() - 0.2)
            self._stop.wait(max(0.0, due - time.monotonic()))
        wire.close()

    def _send(
        self,
        wire: Wire,
        kind: str,
        path: str,
        document: dict[str, Any],
        wrong: Callable[[dict[str, Any]], str] = lambda _answer: "",
    ) -> dict[str, Any] | None:
        """The answer; None unless it was a 2xx."""
        body = json.dumps(document).encode()
        began = time.monotonic()
        attempt, headers, answer = wire.post(path, body)
        good = 200 <= attempt.status < 300
        stale = good and headers["X-Onefold-Stale"] is not None
        found = json.loads(answer) if good else None
        mistake = wrong(found) if found is not None and not stale else ""
        seconds = time.monotonic() - began
        self.samples.append(Sample(kind, began, attempt.status, seconds, stale, mistake))
        if good and kind in ("track", "identify") and not self._stop.is_set():
            self._await_applied(path, document, body, attempt, headers["X-Request-Id"])
        return found

    def _await_applied(self, path: str, document: dict[str, Any], body: bytes, attempt: Attempt, name: str) -> None:
        sending = Sending(path, document, lambda _ledger: None, "")
        stream, seq = Call(0, sending, body, "", [attempt], 0.0, attempt.status, name).place
        self._unapplied.append((time.monotonic(), stream, seq))

    def _look(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            waiting = list(self._unapplied)
            cursors = self._stack.cursors(self.workspace.id)
            now = time.monotonic()
            late = [entry for entry in waiting if cursors[entry[1]] < entry[2]]
            self.lags.append((now, now - min((entry[0] for entry in late), default=now)))
            for entry in waiting:
                if entry not in late:
                    self._unapplied.remove(entry)


@dataclass(frozen=True, slots=True)
class Experience:
    """What the victim went through between two instants. Times in seconds."""

    requests: int
    p50: float
    p99: float
    #: Requests without a 2xx, by status.
    failures: Counter[int]
    stale: int
    wrong: Counter[str]
    lag: float
    slowest: str


def experience(victim: Victim, begin: float, end: float) -> Experience:
    """Of the requests sent between two instants of the monotonic clock."""
    samples = [sample for sample in list(victim.samples) if begin <= sample.at < end]
    times = sorted(sample.seconds for sample in samples)
    worst: dict[str, float] = defaultdict(float)
    for sample in samples:
        worst[sample.kind] = max(worst[sample.kind], sample.seconds)
    return Experience(
        len(samples),
        times[len(times) // 2] if times else 0.0,
        times[min(len(times) - 1, len(times) * 99 // 100)] if times else 0.0,
        Counter(sample.status for sample in samples if not 200 <= sample.status < 300),
        sum(sample.stale for sample in samples),
        Counter(sample.wrong for sample in samples if sample.wrong),
        max((lag for at, lag in list(victim.lags) if begin <= at < end), default=0.0),
        max(worst, key=lambda kind: worst[kind], default=""),
    )
