"""A round: load, the scenario's blows, the end of the load, the backlog down to nothing, the verdict."""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.request import Request, urlopen

import psutil

from app.store.engine import DATABASE_ERRORS
from fault import judge
from fault.clients import Load, LoadPlan
from fault.processes import is_forked
from fault.proxy import HOST
from fault.stack import POSTGRESQL, Layout, Stack, Workspace
from tests.polling import until

#: How long a backlog may take before the round is given up; what is allowed is the scenario's.
DRAIN_SECONDS: Final = 60.0


class Unfit(Exception):  # noqa: N818 - it is a fact about this machine
    """The scenario cannot run here, and why."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of fault. `number` is its place in the list that the project was given.

    `blow` runs while the load does, leaves everything healed, and calls `Round.hit` when, and only when, the fault hit
    something: `proof` says what counts as that.
    """

    number: int
    name: str
    proof: str
    blow: Callable[["Round"], None]
    layout: Layout = field(default_factory=Layout)
    load: LoadPlan = field(default_factory=LoadPlan)
    stores: tuple[str, ...] = (POSTGRESQL,)
    #: From the end of fault and load until everything accepted is applied.
    lag_seconds: float = 5.0
    #: No answer but 2xx may be seen.
    clean: bool = False
    #: Connections may break or be refused: the fault hits what clients talk to.
    may_break: bool = False
    #: What is shorter or smaller than in the list.
    scaled: str = ""
    #: Checks of its own after the four comparisons; returns findings.
    check: Callable[["Round"], Sequence[str]] = lambda _round: ()
    #: Makes the layout where that needs something of the machine (a disk, a library). Raises Unfit.
    prepare: Callable[[Layout], Iterator[Layout]] | None = None


@dataclass(slots=True)
class Verdict:
    """What became of a round."""

    seed: int
    hits: int
    lag: float
    findings: list[str]
    requests: int
    notes: dict[str, float]

    @property
    def counted(self) -> bool:
        return self.hits > 0

    @property
    def equal(self) -> bool:
        return not self.findings


class Round:
    """What a scenario's blow works with."""

    def __init__(self, stack: Stack, scenario: Scenario, seed: int, *, short: bool = False) -> None:
        """`short`: a scenario that takes long does less."""
        self.stack = stack
        self.scenario = scenario
        self.seed = seed
        self.short = short
        self.rng = random.Random(f"{seed}/blows")
        self.workspace: Workspace = stack.workspace(scenario.load.plan, scenario.load.burst)
        self.load = Load(stack.ports, self.workspace.key, scenario.load, seed)
        self.findings: list[str] = []
        self.notes: dict[str, float] = {}
        self.hits = 0

    # -- for blows ---------------------------------------------------------------------------------------------------

    def hit(self, times: int = 1) -> None:
        """The fault has hit something, proven."""
        self.hits += times

    def blame(self, finding: str) -> None:
        self.findings.append(finding)

    def pause(self, least: float, most: float | None = None) -> None:
        """The moment of a blow: somewhere between so many seconds from now. The load goes on."""
        time.sleep(self.rng.uniform(least, most or least))

    def accept_more(self, count: int, seconds: float = 20.0) -> None:
        """Wait until `count` more requests have been accepted."""
        wanted = self.load.accepted() + count
        until(lambda: self.load.accepted() >= wanted, seconds, message="nothing is accepted")

    def in_batch(self, seconds: float = 5.0) -> bool:
        """Wait for a batch to be under way in our lane."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.stack.attempts(self.workspace.id) > 0:
                return True
        return False

    def cursor(self) -> int:
        return sum(self.stack.cursors(self.workspace.id))

    def moves(self, seconds: float) -> bool:
        """Whether the cursor moves, or there is nothing to do, within so many seconds."""
        before, deadline = self.cursor(), time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.cursor() != before or self.stack.behind(self.workspace.id) == 0:
                return True
            time.sleep(0.02)
        return False

    @contextmanager
    def outage(self, seconds: float) -> Iterator[None]:
        """A block that ends no earlier than `seconds` after it began."""
        ends = time.monotonic() + seconds
        yield
        time.sleep(max(0.0, ends - time.monotonic()))

    def call(self, site: Workspace, method: str, path: str, body: object = None) -> dict[str, Any]:
        """A call of the API with a tenant's key. Raises URLError, of which HTTPError is one."""
        headers = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://{HOST}:{self.stack.ports[0]}{path}", data, headers, method=method)
        with urlopen(request, timeout=10) as said:
            document: dict[str, Any] = json.loads(said.read())
        return document

    def kill_forked(self, *, jobs: bool) -> bool:
        """SIGKILL for a process that Celery forked: one that works on jobs, or one that applies. Celery starts another
        one. False where there was none."""
        family = [process for program in self.stack.programs() for process in program.family()]
        return self.kill([process for process in family if is_forked(process, jobs=jobs)])

    def kill(self, processes: Sequence[psutil.Process]) -> bool:
        """SIGKILL for one of them. False where there is none any more."""
        with suppress(psutil.NoSuchProcess):
            if processes:
                self.rng.choice(processes).kill()
                return True
        return False

    # -- the whole ---------------------------------------------------------------------------------------------------

    def run(self) -> Verdict:
        lag = DRAIN_SECONDS
        try:
            self.load.start()
            self.pause(0.2, 0.5)
            try:
                self.scenario.blow(self)
            except AssertionError:
                self.findings += [f"session: {session}" for session in self.stack.sessions()]
                raise
            finally:
                self.load.stop()
            began = time.monotonic()
            until(lambda: self.stack.behind(self.workspace.id) == 0, DRAIN_SECONDS, message="the backlog stays")
            lag = time.monotonic() - began
            if lag > self.scenario.lag_seconds:
                self.blame(f"lag: {lag:.1f} s to 0, {self.scenario.lag_seconds:g} s allowed")
        except (AssertionError, *DATABASE_ERRORS) as error:
            self.blame(f"stuck: {type(error).__name__}: {str(error)[:300]}")
        try:
            scenario = self.scenario
            rules = {"clean": scenario.clean, "may_break": scenario.may_break}
            self.findings += judge.every(self.stack.database, self.workspace, self.load, **rules)
            self.findings += scenario.check(self)
        except (LookupError, *DATABASE_ERRORS) as error:
            self.blame(f"comparison: {type(error).__name__}: {str(error)[:300]}")
        return Verdict(self.seed, self.hits, lag, self.findings, self.load.accepted(), self.notes)
