"""The bars: what a victim may notice of an attack, and what may grow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from attack.attacker import Outcome
from attack.machine import API, WORKER
from attack.victim import Experience

#: p99 of the victim, in times of what it is beside a flood of /livez that burns as much CPU of the API.
TIMES: Final = 5.0
#: On a machine that does other things too, no p99 below this says anything.
NOISE_SECONDS: Final = 0.1
LAG_SECONDS: Final = 1.0
API_MB: Final = 300.0
WORKER_MB: Final = 400.0
#: Any other process may grow by so much, beyond what it had before or has once all that it needs is imported.
OTHER_MB: Final = 60.0
STARTED_MB: Final = 110.0
OURS: Final = ("sweeper", "launcher", "Celery")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one attack on one store."""

    number: str
    store: str
    victim: Experience
    #: The victim's p99 beside the plain flood, in seconds, and the API's CPU beside the attack, in cores.
    plain: float
    cores: float
    memory: Mapping[str, float]
    outcomes: list[Outcome]
    findings: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        return not self.findings

    def cells(self, name: str) -> tuple[str, ...]:
        v = self.victim
        return (
            self.number,
            name,
            self.store,
            f"{v.p50 * 1000:.0f} / {v.p99 * 1000:.0f}",
            f"{self.plain * 1000:.0f}",
            f"{v.failures.total()} of {v.requests}",
            str(v.stale),
            f"{v.lag:.1f}",
            f"{self.cores:.2f}",
            f"{self.memory.get(API, 0):.0f}",
            f"{self.memory.get(WORKER, 0):.0f}",
            "held" if self.held else "BROKEN",
        )


HEAD: Final = (
    "",
    "attack",
    "store",
    "victim's p50 / p99, ms",
    "beside a plain flood",
    "not answered 2xx",
    "stale",
    "lag, s",
    "API's cores",
    "API, MB",
    "worker, MB",
    "verdict",
)


def broken(
    victim: Experience, plain: float, before: Mapping[str, float], most: Mapping[str, float], slack: float
) -> list[str]:
    """Each bar that was not held, in words. `slack`: times may be so many times as long, on a busy machine."""
    found = []
    if victim.failures:
        shown = ", ".join(f"{count} x {status or 'no answer'}" for status, count in victim.failures.items())
        found.append(f"the victim's requests: {shown}, of {victim.requests}")
    if victim.requests == 0:
        found.append("the victim did not get one request through")
    allowed = max(TIMES * plain, NOISE_SECONDS) * slack
    if victim.p99 > allowed:
        found.append(f"p99 {victim.p99 * 1000:.0f} ms ({victim.slowest} the slowest), {allowed * 1000:.0f} ms allowed")
    if victim.lag > LAG_SECONDS * slack:
        found.append(f"lag {victim.lag:.1f} s, {LAG_SECONDS * slack:g} s allowed")
    if victim.stale:
        found.append(f"{victim.stale} stale exports")
    found += [f"{count} exports: {what}" for what, count in victim.wrong.items()]
    bars = {API: API_MB, WORKER: WORKER_MB}
    for kind, megabytes in most.items():
        start = max(before.get(kind, megabytes), STARTED_MB if kind in OURS else 0.0)
        bar = bars.get(kind, start + OTHER_MB)
        if megabytes > bar:
            found.append(f"memory of {kind}: {megabytes:.0f} MB, {bar:.0f} MB allowed")
    return found
