"""What an attacker is: a small class with a seed, run in a process of its own."""

import multiprocessing
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from types import MappingProxyType
from typing import ClassVar, Final

from attack.wire import Client, packed
from fault.stack import POSTGRESQL, SQLITE, Layout, Stack, Workspace
from tests.polling import until

#: The burst limit of the default plan: an attacker is an ordinary tenant.
BURST: Final = (1_000, 1)
END_SECONDS: Final = 60.0
#: A busy machine takes long to import everything.
START_SECONDS: Final = 180.0
#: An object of a little less than 100 KB, the most that an attribute may be; and how many of them a request can carry.
WIDE: Final = {f"k{n:04d}": "v" * 56 for n in range(1_450)}
ATTRIBUTES: Final = 39
#: Two, as on a small machine with two cores.
PROCESSES: Final = 2


@dataclass(frozen=True, slots=True)
class Target:
    """What an attacker knows: where the API is, its own keys, and its seed. `database`: PostgreSQL's, "" for SQLite."""

    port: int
    workspace: Workspace
    keys: tuple[str, ...]
    seed: int
    database: str = ""

    @property
    def key(self) -> str:
        return self.keys[0]


@dataclass(slots=True)
class Outcome:
    """What an attack saw: answers by status (0 = none), figures, and what should not have happened to itself."""

    statuses: Counter[int] = field(default_factory=Counter)
    notes: dict[str, float] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


class Attacker(ABC):
    """One way to be hostile. `number` is its line in the list of attacks, `does` says what it sends, `bound` names the
    settings and rules that hold it."""

    number: ClassVar[str]
    name: ClassVar[str]
    does: ClassVar[str]
    bound: ClassVar[str]
    stores: ClassVar[tuple[str, ...]] = (POSTGRESQL, SQLITE)
    layout: ClassVar[Layout] = Layout(processes=PROCESSES)
    #: Settings that lift the bound, where settings do: what the attack breaks then.
    unbound: ClassVar[Mapping[str, str]] = MappingProxyType({})
    two_keys: ClassVar[bool] = False
    #: The least time that the attack needs to do harm.
    seconds: ClassVar[float] = 6.0
    #: Times may be so many times as long, on a busy machine.
    slack: float = 1.0

    def prepare(self, stack: Stack, target: Target) -> None:  # noqa: B027 - most need nothing
        """What has to be there before: done by legal requests, before anything is measured."""

    def beside(self, stack: Stack) -> AbstractContextManager[object]:
        """What goes on from the beginning of the attack, and is not done by the attacker itself."""
        del stack
        return nullcontext()

    @abstractmethod
    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        """Attack until `stop`. Runs in a process of its own."""

    def judge(self, stack: Stack, workspace: Workspace, outcome: Outcome) -> None:  # noqa: B027 - as above
        """After the attack: further findings, by a look at the attacker's own workspace."""


class Running:
    """An attack under way."""

    def __init__(self, attacker: Attacker, target: Target) -> None:
        # Processes of a server that has imported everything start at once; this one has threads and cannot fork.
        spawn = multiprocessing.get_context("forkserver")
        spawn.set_forkserver_preload(["attack.attackers"])
        self._stop = spawn.Event()
        self._pipe, other = spawn.Pipe(duplex=False)
        self._process = spawn.Process(target=_main, args=(attacker, target, self._stop, other), daemon=True)
        self._process.start()
        other.close()
        until(lambda: self._pipe.poll() or not self._process.is_alive(), START_SECONDS, message="no attacker")
        self._pipe.recv()

    def end(self) -> Outcome:
        """Stop it, and what it saw."""
        self._stop.set()
        try:
            if self._pipe.poll(END_SECONDS):
                found: Outcome = self._pipe.recv()
                return found
        except EOFError:
            pass
        finally:
            self._process.join(1)
            if self._process.is_alive():
                self._process.kill()
        return Outcome(findings=["the attacker did not end"])


def _main(attacker: Attacker, target: Target, stop: Event, pipe: Connection) -> None:
    outcome = Outcome()
    pipe.send("ready")
    attacker.run(target, stop, outcome)
    pipe.send(outcome)


@contextmanager
def crowd(count: int, work: Callable[[int], None]) -> Iterator[None]:
    """`work(n)` in so many threads; on leaving, waits for them for a while."""
    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    yield
    ends = time.monotonic() + END_SECONDS / 2
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))


def paced(stop: Event, rate: float) -> Iterator[int]:
    """0, 1, 2, … at so many a second until `stop`; what was missed is not made up for."""
    due, n = time.monotonic(), 0
    while not stop.is_set():
        yield n
        n += 1
        due = max(due + 1 / rate, time.monotonic())
        stop.wait(due - time.monotonic())


def flood(
    target: Target, stop: Event, outcome: Outcome, clients: int, make: Callable[[int], bytes], rate: float
) -> None:
    """Requests from several connections, each `rate` a second, until `stop`."""

    def work(number: int) -> None:
        client = Client(target.port)
        for n in paced(stop, rate):
            status, _, _ = client.ask(make(n * clients + number))
            outcome.statuses[status] += 1
        client.close()

    with crowd(clients, work):
        stop.wait()


def write(target: Target, path: str, documents: Iterable[object]) -> None:
    """Legal requests, one after another. Raises AssertionError when one is not taken."""
    client = Client(target.port)
    for document in documents:
        data = packed(path, target.key, document)
        until(lambda data=data: client.ask(data)[0] in (201, 202), 30, 0.2, "a legal request is refused")  # type: ignore[misc]
    client.close()


def applied(stack: Stack, workspace: int, seconds: float = 120.0) -> None:
    """Wait until everything of a workspace is applied."""
    until(lambda: stack.behind(workspace) == 0, seconds, 0.1, "what was prepared is not applied")
