"""One attack on one store: a stack, a victim, the attackers, and the verdict."""

import math
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final

from sqlalchemy import text

from attack.attacker import BURST, Attacker, Running, Target
from attack.attackers import number
from attack.attackers.http import LivezFlood
from attack.machine import Machine, Usage
from attack.verdict import Verdict, broken
from attack.victim import Victim, experience
from fault import stack
from fault.processes import environment
from fault.stack import SCRIPTS, Layout, Stack, Workspace

#: Descriptors that our processes start with, as on most systems; what they raise is theirs to raise.
DESCRIPTORS: Final = 1_024
WARM_SECONDS: Final = 1.0
#: Measuring beside the plain flood: until it burns what it should, and then.
SETTLE_SECONDS: Final = 3.0
PLAIN_SECONDS: Final = 5.0
#: CPU of the API in cores: figures of the plain flood are shared between attacks that burn about the same.
LEVEL: Final = 0.25


class Arena:
    """Where attacks take place, one after another: each on a new stack, beside a new victim."""

    def __init__(self, seed: int, slack: float, seconds: float | None, *, unbound: bool = False) -> None:
        """`seconds`: of each attack, instead of what it needs. `unbound`: without what holds it."""
        self._seed = seed
        self._slack = slack
        self._seconds = seconds
        self._unbound = unbound
        #: (store, level of CPU) -> p99 of a victim beside the plain flood.
        self._plain: dict[tuple[str, int], float] = {}

    def attack(self, attackers: tuple[type[Attacker], ...], store: str) -> Verdict:
        """Raises ServerUnavailable."""
        chosen = [kind() for kind in attackers]
        for one in chosen:
            one.slack = self._slack
        settings = {name: value for one in chosen for name, value in one.layout.settings.items()}
        if self._unbound:
            settings |= {name: value for one in chosen for name, value in one.unbound.items()}
        layout = replace(chosen[0].layout, settings=settings)
        with ExitStack() as held:
            running = held.enter_context(_started(store, layout, self._seed))
            targets = [self._target(running, n, one.two_keys) for n, one in enumerate(chosen)]
            victim = Victim(running)
            for one, target in zip(chosen, targets, strict=True):
                one.prepare(running, target)
            machine = Machine(running)
            held.callback(machine.stop)
            held.callback(victim.stop)
            victim.start()
            time.sleep(WARM_SECONDS)
            attacks = [Running(one, target) for one, target in zip(chosen, targets, strict=True)]
            usage, begin = Usage(machine), time.monotonic()
            for one in chosen:
                held.enter_context(one.beside(running))
            time.sleep(self._seconds or max(one.seconds for one in chosen))
            cores, end = usage.cores(), time.monotonic()
            outcomes = [attack.end() for attack in attacks]
            machine.stop()
            found = []
            for one, target, outcome in zip(chosen, targets, outcomes, strict=True):
                one.judge(running, target.workspace, outcome)
                found += outcome.findings
            plain = self._beside_plain(running, victim, machine.api(), cores)
            victim.stop()
            seen = experience(victim, begin, end)
        found = broken(seen, plain, machine.before, machine.most, self._slack) + found
        return Verdict(number(attackers), store, seen, plain, cores, machine.most, outcomes, found)

    def _target(self, running: Stack, n: int, two_keys: bool) -> Target:
        workspace = running.workspace("mau_cy_24_25", BURST)
        second = (_second_key(running, workspace),) if two_keys else ()
        url = running.url if running.postgres is not None else ""
        return Target(running.ports[0], workspace, (workspace.key, *second), self._seed + n, url)

    def _beside_plain(self, running: Stack, victim: Victim, api: int, cores: float) -> float:
        """p99 of the victim beside a flood of /livez that burns as much CPU of the API. Nothing else may go on."""
        level = math.ceil(cores / LEVEL)
        if (running.store, level) not in self._plain:
            target = Target(running.ports[0], victim.workspace, (victim.workspace.key,), self._seed)
            flood = Running(LivezFlood(api, level * LEVEL), target)
            time.sleep(SETTLE_SECONDS)
            begin = time.monotonic()
            time.sleep(PLAIN_SECONDS)
            end = time.monotonic()
            flood.end()
            self._plain[running.store, level] = experience(victim, begin, end).p99
        return self._plain[running.store, level]


def _second_key(running: Stack, workspace: Workspace) -> str:
    """Another key of a workspace, made by the command line: that is the same in every version of the app."""
    sql = text("select name from workspace where id = :id")
    with running.database.read() as connection:
        name = str(connection.execute(sql, {"id": workspace.id}).scalar_one())
    words = ("keys", "create", "--all", "--name", "second", "--workspace", name, "--data-dir", str(running.folder))
    env = environment({"DATABASE_URL": running.url} if running.postgres is not None else {})
    made = subprocess.run([SCRIPTS / "onefold", *words], env=env, capture_output=True, text=True, check=True)
    return made.stdout.strip()


@contextmanager
def _started(store: str, layout: Layout, seed: int) -> Iterator[Stack]:
    """A stack whose processes start with as many descriptors as most systems give; we keep ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as held:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))
        try:
            running = held.enter_context(stack.started(store, layout, seed))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        yield running
