"""A lane beside two exports and previews of its workspace, a large one: from 201 to applied of single requests."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any, Final

from bench import data
from bench.fair import ALONE_SECONDS, CONNECTIONS, Single, single_client
from bench.load import HOST, Run
from bench.options import Options
from bench.segments import ARTICLE, COUNTED, filled
from bench.stack import Generator, Site, Stack
from bench.table import BenchError, Row, median, say

#: Requests of 50 objects a second that the lane applies meanwhile.
STEADY_RATE: Final = 20.0
#: Milliseconds that no request may wait.
GOAL_MS: Final = 1_000.0
START_SECONDS: Final = 60.0
#: What the exports and the previews are about.
EXPORTED: Final = ("external_id is_blank", "attribute less_than")
PREVIEWED: Final = (ARTICLE, "attribute less_than", "more than 2 events in 30 days")


class Operator:
    """Somebody who exports and looks at segments, with a key of the workspace."""

    def __init__(self, port: int, site: Site) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: object | None = None) -> tuple[int, Any]:
        """(status, answer)."""
        connection = HTTPConnection(HOST, self._port, timeout=START_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def export(self, name: str) -> None:
        """Begin the export of everybody who matches the filters of this name. Raises BenchError."""
        groups = [{"filters": COUNTED[name]}]
        status, answer = self.call("POST", "/v1/segments", {"name": name, "groups": groups})
        if status == 201:
            status, answer = self.call("POST", "/users/export/segment", {"segment_id": answer["id"]})
        if status != 201:
            raise BenchError(f"an export was answered {status}: {answer}")

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs of the workspace, as the API shows them."""
        found: list[dict[str, Any]] = self.call("GET", "/v1/jobs")[1]["jobs"]
        return found


class Previews(threading.Thread):
    """One preview after the other, until it is stopped."""

    def __init__(self, operator: Operator) -> None:
        super().__init__(daemon=True)
        self._operator = operator
        self._stop_asked = threading.Event()
        self.seconds: list[float] = []
        self.refused = 0

    def run(self) -> None:
        while not self._stop_asked.is_set():
            name = PREVIEWED[(len(self.seconds) + self.refused) % len(PREVIEWED)]
            began = time.perf_counter()
            status, _ = self._operator.call("POST", "/v1/segments/preview", {"groups": [{"filters": COUNTED[name]}]})
            if status == 200:
                self.seconds.append(time.perf_counter() - began)
            else:
                self.refused += 1

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Raises BenchError when a request waited longer than the aim, or when the exports were over too early."""
    site, users = filled(stack, options)
    alone_seconds = options.seconds if options.quick else ALONE_SECONDS
    steady_seconds = alone_seconds + options.seconds + 2 * START_SECONDS
    with (
        single_client(stack, options, site, site) as (single, port),
        stack.job_worker(site, processes=2),
        stack.generator(options.users, data.UNIFORM, options.bodies) as steady,
    ):
        operator = Operator(port, site)
        run = Run(port, site.key, CONNECTIONS, steady_seconds, STEADY_RATE)
        single.during(1.0)  # the worker begins, and the steady load finds it there
        threading.Thread(target=_steadily, args=(steady, run), daemon=True).start()
        ends = time.monotonic() + START_SECONDS
        while max(single.during(1.0)) > GOAL_MS and time.monotonic() < ends:
            pass  # profiles that were read by nobody yet come from the disk
        alone = single.during(alone_seconds)
        beside, notes = _beside(stack, options, single, operator)
    label = f"from 201 to applied beside two exports and previews, {users:,} profiles, {stack.store}"
    for name, of in (("median", median), ("greatest", max)):
        yield Row(f"{label}, {name}", of(beside), "ms", of(alone), notes)
    say(f"  {label}: {median(beside):,.0f} / {max(beside):,.0f} ms (alone {max(alone):,.0f}). {notes}")
    if max(beside) > GOAL_MS and not options.quick and stack.postgres is not None:
        raise BenchError(f"a request waited for {max(beside):,.0f} ms")


def _steadily(steady: Generator, run: Run) -> None:
    with suppress(BenchError):  # it is stopped in the middle, when everything else was measured
        steady.run(run)


def _beside(stack: Stack, options: Options, single: Single, operator: Operator) -> tuple[list[float], str]:
    for name in EXPORTED:
        operator.export(name)
    waited = time.monotonic() + START_SECONDS
    while sum(job["state"] == "running" for job in operator.jobs()) < len(EXPORTED) and not options.quick:
        if time.monotonic() > waited:
            raise BenchError("the exports do not begin")
        time.sleep(0.1)
    previews, before = Previews(operator), stack.meter.read()
    previews.start()
    beside = single.during(options.seconds)
    shares = stack.meter.shares(before)
    jobs = operator.jobs()
    previews.stop()
    if not options.quick and not all(job["state"] == "running" for job in jobs):
        raise BenchError(f"the exports were {', '.join(job['state'] for job in jobs)} too early")
    done = ", ".join(f"{job['progress'] or 0:,}" for job in jobs)
    for job in jobs:
        operator.call("DELETE", f"/v1/jobs/{job['id']}")
    answered = f"{len(previews.seconds)} previews, median {median(previews.seconds):.1f} s, {previews.refused} refused"
    return beside, f"{STEADY_RATE:g} requests/s of {data.OBJECTS} objects; users exported: {done}; {answered}. {shares}"
