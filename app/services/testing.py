"""Test mode, of `onefold up --test`: a workspace begins anew, the clock is set, and calls go wrong on purpose.

What goes wrong is remembered by this process alone: test mode has one API process.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from app.adapters import clock
from app.contract.testing import ClockChange, Fault
from app.quota.bucket import Grant
from app.services import workspaces
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.quotas import Admission
from app.services.refusals import InjectedError, RateLimitedError, UnknownWorkspaceNameError
from app.store import lane
from app.store.engine import Database
from app.store.renewal import renew
from app.store.workspaces import UnknownNameError

__all__ = ["ClockChange", "Fault", "Testing"]

log = structlog.get_logger()

#: Settings of the workspace that a reset leaves. Data rules, and what else clients set by the API, are gone.
KEPT: Final = workspaces.APPLIED | {"rates_until"}
#: Keys with a fault; beyond it the oldest fault goes.
MAX_FAULTS: Final = 10_000


class Testing:
    """One per API process in test mode."""

    def __init__(self, database: Database, calls: StoreCalls, forget: Callable[[int], None]) -> None:
        """`forget` makes this process look the keys of a workspace up again."""
        self._database = database
        self._calls = calls
        self._forget = forget
        self._faults: dict[str, Fault] = {}

    async def reset(self, caller: Caller) -> None:
        """The caller's workspace begins anew, with its keys, apps, roles and limits; faults of the key are taken away.

        Raises UnknownWorkspaceNameError where somebody else has reset it meanwhile, UnavailableError.
        """
        self.set_fault(caller, None)
        clock.set_time(None)
        try:
            renewed = await self._calls.run(lambda: self._renew(caller.workspace_id))
        except UnknownNameError as error:
            raise UnknownWorkspaceNameError from error
        self._forget(caller.workspace_id)
        log.info("workspace_renewed", workspace=caller.workspace_id, renewed=renewed)

    def fault(self, caller: Caller) -> Fault | None:
        """What goes wrong with calls of this key."""
        return self._faults.get(caller.key_id)

    def set_fault(self, caller: Caller, fault: Fault | None) -> None:
        """Let calls of this key go wrong from now on; None = they are served."""
        self._faults.pop(caller.key_id, None)
        if fault is not None:
            while len(self._faults) >= MAX_FAULTS:
                del self._faults[next(iter(self._faults))]
            self._faults[caller.key_id] = fault

    def set_clock(self, change: ClockChange) -> None:
        """Change the clock of this Onefold, with all its workspaces. Raises RefusedError(400)."""
        clock.set_time(change.at(clock.now_us()), frozen=clock.is_frozen() if change.frozen is None else change.frozen)

    def real_clock(self) -> None:
        """Go by the clock of the machine."""
        clock.set_time(None)

    def clock(self) -> tuple[int, bool]:
        """(what time it is, whether the clock stands still)."""
        return clock.now_us(), clock.is_frozen()

    def meet(self, caller: Caller, path: str) -> Fault | None:
        """The fault that a call of an endpoint meets, which counts as one of its times; None = none."""
        fault = self._faults.get(caller.key_id)
        if fault is None or (fault.paths and path not in fault.paths):
            return None
        if fault.times is not None:
            self.set_fault(caller, replace(fault, times=fault.times - 1) if fault.times > 1 else None)
        return fault

    def refuse(self, caller: Caller, fault: Fault, group: str, *, ietf: bool = False) -> None:
        """Answer a call as a fault says. Raises RateLimitedError, as where a limit is used up, and InjectedError."""
        if fault.status == 429:
            quota = caller.quota(group, ietf=ietf)
            now_ms = time.time_ns() // 1_000_000  # limits go by the clock of the machine
            wait_ms = fault.retry_after_seconds * 1000
            bucket = quota.buckets[0]
            grant = Grant(0, bucket.capacity, 0, now_ms + wait_ms, wait_ms, bucket.name, now_ms)
            raise RateLimitedError(Admission(grant, quota))
        if fault.status:
            raise InjectedError(fault.status, fault.retry_after_seconds)

    def _renew(self, workspace_id: int) -> int:
        """The new number. Settings that the reducer reads are in its log, as those of any new workspace."""
        with self._database.read() as connection:
            before = lane.settings(connection, workspace_id)
        renewed, now_us = renew(self._database, workspace_id, clock.now_us()), clock.now_us()
        kept = {name: getattr(before, name) for name in sorted(KEPT)}
        caller = workspaces.operator_of(self._database, renewed, "")
        if caller is not None:
            workspaces.change_applied(self._database, caller, kept, now_us)
        return renewed
