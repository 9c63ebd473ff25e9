"""Runs of merge rules, and taking one back: both queue requests in the bulk stream, and nobody else writes profiles.

A run looks at the identifiers in their order, page by page, and queues a request whenever so many merges have come
together. Each request is queued under a key of its own, with what is to be recorded of it. An attempt that follows one
which was killed right behind that finds it there, records it, and goes on behind its last group, whether it was applied
meanwhile or not. Where it stands is in the request itself: no table of runs names anybody.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from app.contract import idempotency as contract
from app.contract import stored
from app.contract.checked import commands_checked
from app.domain.commands import STREAM_BULK, Command, MergeDuplicate, StreamKey, UndoMerge
from app.domain.jobs import TARGET_GONE
from app.domain.merging.match import Group, MergeRule, commands
from app.domain.settings import ApplySettings
from app.store import duplicates, jobs, lane, merge_runs
from app.store.inbox import idempotency
from app.store.inbox import log as inbox
from app.store.inbox.log import Appended, Entry, IdempotencyKey, Repeated
from app.store.merge_runs import Queued
from workers.jobs.run import JobFailedError, LostError, Run, WaitingError

#: A request is queued once it has so many merges. A group is never divided.
MERGES: Final = 80
#: Requests of a run that wait to be applied at once: whoever writes to the bulk stream meanwhile is not kept long.
AHEAD: Final = 16
#: How often is looked whether they are; and for how long, while none is. Then jobs of others go first: the bulk stream
#: of a workspace may be hours behind.
PAUSE_S: Final = 0.1
PATIENCE_S: Final = 3.0

#: What takes the place of a path in the keys of these requests.
_KEYS: Final = "merge run"


def run_rules(run: Run) -> None:
    """The work of a job: rule after rule. One begins when the merges of the one before are done, and finds what they
    left."""
    adopt(run, run.parts.secret(run.job.workspace_id), run.job.id)
    with run.parts.database.read() as connection:
        found = merge_runs.fetch(connection, run.job.workspace_id, run.job.id)
        if found is None:
            raise JobFailedError(TARGET_GONE)
        rules = merge_runs.rules_of(found)
        total = sum(duplicates.count(connection, run.job.workspace_id, rule.kind) for rule in rules)
        queued = merge_runs.requests(connection, run.job.workspace_id, run.job.id)
    work = _Running(run, total, queued)
    with run.parts.database.write() as connection:
        run.progressed(connection, work.scanned, total, 0)
    for number, rule in enumerate(rules):
        if not work.is_over(number):
            work.queue_rule(number, rule)
        work.settle(0)
    with run.parts.database.write() as connection:
        run.progressed(connection, work.scanned, total, 0)
        report = merge_runs.report(connection, run.job.workspace_id, work.secret, work.queued)
        if not jobs.finish(connection, run.job, run.parts.now_us(), result=msgspec.to_builtins(report)):
            raise LostError


@dataclass(slots=True)
class _Running:
    """One attempt at a run."""

    run: Run
    total: int
    #: What was queued so far, in its order.
    queued: list[Queued]
    secret: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.secret = self.run.parts.secret(self.run.job.workspace_id)

    @property
    def scanned(self) -> int:
        return self.queued[-1].scanned if self.queued else 0

    def is_over(self, rule: int) -> bool:
        """Whether everything of a rule was queued."""
        return any(one.rule > rule or (one.rule == rule and one.seq == 0) for one in self.queued)

    def queue_rule(self, number: int, rule: MergeRule) -> None:
        """Queue what is left of a rule."""
        run, last = self.run, self.queued[-1] if self.queued else None
        behind = self._ends(last) if last is not None and last.rule == number and last.seq else ""
        merges: list[MergeDuplicate] = []
        alone: Counter[str] = Counter()
        position = self.scanned
        for group, scanned in _groups(run, rule, behind, self.scanned):
            if group is None:
                with run.parts.database.write() as connection:
                    run.progressed(connection, scanned, self.total, 0)
                position = scanned
                continue
            if group.reason:
                alone[group.reason] += 1
            merges += commands(rule, group, len(merges))
            if len(merges) >= MERGES:
                self._queue(number, merges, alone, scanned)
                merges, alone = [], Counter()
        if merges:
            self._queue(number, merges, alone, position)
            alone = Counter()
        self._record(Queued(len(self.queued) + 1, number, 0, 0, position, dict(alone)))

    def settle(self, most: int) -> None:
        """Wait until at most so many requests are not applied yet, and look what came of the others."""
        run, job, patience = self.run, self.run.job, _Patience(self.run)
        while True:
            waiting = [one for one in self.queued if one.seq and one.merged is None]
            before = len(waiting)
            with run.parts.database.write() as connection:
                for one in waiting:
                    if not merge_runs.settle(connection, job.workspace_id, self.secret, job.id, one):
                        break
            waiting = [one for one in waiting if one.merged is None]
            if len(waiting) <= most:
                return
            patience.pause(moved=len(waiting) < before)

    def _queue(self, rule: int, merges: list[MergeDuplicate], alone: Counter[str], scanned: int) -> None:
        self.settle(AHEAD - 1)
        number = len(self.queued) + 1
        told = msgspec.json.encode(_Told(rule, len(merges), scanned, dict(alone)))
        seq = queue(self.run, self.secret, f"{self.run.job.id}/{number}", merges, told)
        self.run.parts.after_step(self.run.job, "merges_queued")
        self._record(Queued(number, rule, seq, len(merges), scanned, dict(alone)))

    def _record(self, queued: Queued) -> None:
        run = self.run
        with run.parts.database.write() as connection:  # also where the job is not ours any more: it is queued
            merge_runs.keep(connection, run.job.workspace_id, run.job.id, queued)
        self.queued.append(queued)
        run.parts.after_step(run.job, "merges_recorded")
        run.check()

    def _ends(self, queued: Queued) -> str:
        """The identifier of the last group that a request has merges of. Where the request is gone, all is looked at
        once more: what is merged already is not found again."""
        merges = read_back(self.run, queued.seq)
        last = merges[-1] if merges else None
        return last.shared[2] if isinstance(last, MergeDuplicate) else ""


def _groups(run: Run, rule: MergeRule, behind: str, scanned: int) -> Iterator[tuple[Group | None, int]]:
    """(group, how many identifiers were looked at by then); None for the group at the end of a page."""
    last: str | None = behind
    while last is not None:
        run.check()
        with run.parts.database.read() as connection:
            found = lane.read(connection, run.job.workspace_id)
            settings = ApplySettings() if found is None else found.settings
            page = duplicates.page(connection, run.job.workspace_id, rule, settings, last)
        for group in page.groups:
            yield group, scanned
        scanned, last = scanned + page.scanned, page.last
        yield None, scanned


def undo_run(run: Run) -> None:
    """The work of a job: the merges of the run that is its target are taken back, the last one first."""
    job, database = run.job, run.parts.database
    secret = run.parts.secret(job.workspace_id)
    adopt(run, secret, job.target)
    with database.read() as connection:
        found = merge_runs.requests(connection, job.workspace_id, job.target)
    waiting: list[Queued] = []
    undoable = [one for one in reversed(found) if one.seq]
    for done, queued in enumerate(undoable, 1):
        _settle_undo(run, secret, waiting, AHEAD - 1)
        name = f"{job.id}/{queued.n}"
        before = queued_before(run, secret, name)
        seq = before.seq if before is not None else queue(run, secret, name, _undos(run, secret, queued))
        run.parts.after_step(job, "undo_queued")
        if seq:
            with database.write() as connection:
                merge_runs.undoing(connection, job.workspace_id, job.target, queued.n, seq)
            queued.undo_seq = seq
            waiting.append(queued)
        run.parts.after_step(job, "undo_recorded")
        with database.write() as connection:
            run.progressed(connection, done, len(undoable), 0)
    _settle_undo(run, secret, waiting, 0)
    with database.write() as connection:
        if not jobs.finish(connection, job, run.parts.now_us()):
            raise LostError


def _undos(run: Run, secret: bytes, queued: Queued) -> list[UndoMerge]:
    """What takes back the merges of a request that stand, the last one first."""
    with run.parts.database.read() as connection:
        ids = merge_runs.merge_ids(run.job.workspace_id, secret, queued)
        there = merge_runs.standing(connection, run.job.workspace_id, ids)
    wanted = [id_ for id_ in reversed(ids) if id_ in there and not there[id_].undone]
    return [UndoMerge(n, id_) for n, id_ in enumerate(wanted)]


def _settle_undo(run: Run, secret: bytes, waiting: list[Queued], most: int) -> None:
    job, patience = run.job, _Patience(run)
    while True:
        before = len(waiting)
        with run.parts.database.write() as connection:
            while waiting and merge_runs.settle_undo(connection, job.workspace_id, secret, job.target, waiting[0]):
                waiting.pop(0)
        if len(waiting) <= most:
            return
        patience.pause(moved=len(waiting) < before)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is recorded of a request of merges beside its number."""

    rule: int
    merges: int
    scanned: int
    alone: dict[str, int]


def adopt(run: Run, secret: bytes, run_id: str) -> None:
    """Record a request that a run queued and could not record any more, since it was killed."""
    workspace_id, database = run.job.workspace_id, run.parts.database
    with database.read() as connection:
        number = len(merge_runs.requests(connection, workspace_id, run_id)) + 1
    before = queued_before(run, secret, f"{run_id}/{number}")
    if before is None:
        return
    if before.answer:
        told = msgspec.json.decode(before.answer, type=_Told)
    else:  # an earlier version queued it
        told = _Told(0, len(read_back(run, before.seq)), 0, {})
    with database.write() as connection:
        row = Queued(number, told.rule, before.seq, told.merges, told.scanned, told.alone)
        merge_runs.keep(connection, workspace_id, run_id, row)


def queue(run: Run, secret: bytes, name: str, asked: Sequence[Command], told: bytes = b"") -> int:
    """Queue a request under a name that was not used before: its number, 0 where nothing is asked for. `told` is kept
    with the name."""
    run.check()
    if not asked:
        return 0
    job, database, checked = run.job, run.parts.database, commands_checked(asked)
    signed = stored.signed(checked.codec, checked.body, job.created_by)
    entry = Entry(checked.kind, *signed, _key(secret, name, told))
    with database.write(database.inbox) as connection:
        (outcome,) = idempotency.append(connection, job.workspace_id, STREAM_BULK, [entry], run.parts.now_us())
    run.parts.ring(StreamKey(job.workspace_id, STREAM_BULK))
    if not isinstance(outcome, Appended):  # somebody else has the job by now, and was there first
        raise LostError
    return outcome.seq


def queued_before(run: Run, secret: bytes, name: str) -> Repeated | None:
    """The request that was queued under a name; None where none was."""
    with run.parts.database.read(run.parts.database.inbox) as connection:
        return idempotency.find(connection, run.job.workspace_id, _key(secret, name))


def read_back(run: Run, seq: int) -> list[Command]:
    """The commands of a request of the bulk stream; none where it has aged out."""
    database = run.parts.database
    with database.read(database.inbox) as connection:
        rows = inbox.read(connection, run.job.workspace_id, STREAM_BULK, seq - 1, 0, 1)
    if not rows or rows[0].seq != seq:
        return []
    _, codec, body = stored.opened(rows[0].codec, rows[0].body)
    return stored.commands(rows[0].kind, codec, body)


def _key(secret: bytes, name: str, told: bytes = b"") -> IdempotencyKey:
    return IdempotencyKey(contract.digest(secret, _KEYS, name), contract.fingerprint(secret, b""), answer=told)


class _Patience:
    """Waits for requests to be applied."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._since = time.monotonic()

    def pause(self, *, moved: bool) -> None:
        """Until the next look. Raises WaitingError when none has `moved` for too long."""
        now = time.monotonic()
        if moved:
            self._since = now
        if now - self._since > PATIENCE_S:
            raise WaitingError
        self._run.lost.wait(PAUSE_S)
        self._run.check()
