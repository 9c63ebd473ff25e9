"""Merge rules and their schedule; what a rule would do; runs, and taking them back."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from app.contract import merge_rules as contract
from app.contract import stored
from app.contract.cursor import Cursors, Page
from app.contract.merge_rules import PreviewRequest
from app.domain.commands import STREAM_BULK, Command, MergeDuplicate, UndoMerge
from app.domain.jobs import DONE, MERGE_RUN, MERGE_UNDO
from app.domain.merging.match import Group, MergeRule
from app.domain.profile import CORE
from app.domain.reasons import ALIAS_RETIRED
from app.domain.segments.clock import Clock
from app.domain.settings import ApplySettings
from app.services import budget
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader, Seen
from app.services.refusals import JobUnderWayError, TooManyJobsError, UnknownRunError
from app.store import duplicates, jobs, lane, merge_runs, request_problems
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.jobs import Job
from app.store.merge_runs import Queued, Report, Setup
from app.store.segments.run import zone_of
from app.store.tables import MergeRun

__all__ = ["MergeRuns", "Setup"]

#: Identifiers that are looked at for one page of a preview, in pages of the store; then it may have fewer groups.
PAGES: Final = 6
#: Requests whose merges are one page of the list.
REQUESTS: Final = 2


@dataclass(frozen=True, slots=True)
class Preview:
    """Groups, and where the next page begins."""

    rule: MergeRule
    groups: list[Group]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """A run with its job and what came of it."""

    run: MergeRun
    job: Job
    report: Report
    #: The last one that was asked for; None = none was, or it was a week ago.
    undo: Job | None = None

    @property
    def rules(self) -> tuple[MergeRule, ...]:
        """As they were when it was queued."""
        return merge_runs.rules_of(self.run)


@dataclass(frozen=True, slots=True)
class Listed:
    """Runs, newest first."""

    runs: list[Run]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RunMerge:
    """A merge that a run asked for."""

    request_id: str
    index: int
    #: merged, undone, skipped, waiting, or gone: with somebody who was deleted.
    status: str
    id: str = ""
    #: "" where they are not known any more.
    kept_braze_id: str = ""
    merged_braze_id: str = ""
    #: Why it was skipped, or why an undo left it.
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunMerges:
    """Merges of a run, in their order."""

    merges: list[RunMerge]
    next_cursor: str | None


class MergeRuns:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        calls: StoreCalls,
        now_us: Callable[[], int],
        ring: Callable[[], None],
        most_jobs: int,
        answer_seconds: float,
    ) -> None:
        """`ring` tells the workers that a job is queued; a workspace has at most `most_jobs` unfinished ones."""
        self._database = database
        self._reader = reader
        self._calls = calls
        self._now_us = now_us
        self._ring = ring
        self._most_jobs = most_jobs
        self._answer_seconds = answer_seconds

    async def setup(self, caller: Caller) -> Setup:
        """Rules and schedule. Raises UnavailableError."""
        return await self._calls.run(lambda: setup(self._database, caller))

    async def set_rules(self, caller: Caller, rules: tuple[MergeRule, ...]) -> Setup:
        """Keep other rules; runs that are under way keep theirs. Raises UnavailableError."""
        return await self._calls.run(lambda: set_rules(self._database, caller, rules))

    async def set_schedule(self, caller: Caller, *, enabled: bool) -> Setup:
        """Turn the schedule on or off. Raises UnavailableError."""
        return await self._calls.run(lambda: set_schedule(self._database, caller, self._now_us(), enabled=enabled))

    async def next_day(self, caller: Caller, found: Setup) -> str | None:
        """The day of the workspace at whose beginning the schedule runs next: YYYY-MM-DD. Raises UnavailableError."""
        return await self._calls.run(lambda: next_day(self._database, caller, found, self._now_us()))

    async def rules_behind(self, caller: Caller, seqs: Sequence[int]) -> dict[int, str]:
        """What kind of rule asked for the merges of requests of the bulk stream, as far as runs are kept: email, phone.
        Raises UnavailableError.
        """
        return await self._calls.run(lambda: rules_behind(self._database, caller, seqs))

    async def preview(self, caller: Caller, wanted: PreviewRequest) -> Seen[Preview]:
        """A page of groups of duplicates with what a rule says of them now. Raises RefusedError, UnavailableError."""
        return await self._reader.read(caller, lambda: preview(self._database, caller, wanted))

    async def preview_csv(self, caller: Caller, kind: int | None) -> tuple[bytes, AsyncIterator[bytes], bool]:
        """All of it as CSV: the first line, the others in parts, and whether something is not applied yet.

        Raises RefusedError, UnavailableError; the parts raise the latter too.
        """
        found = await self.setup(caller)
        rule = contract.rule_of(found.rules, kind)
        stale = await self._reader.catch_up(caller.workspace_id)
        return contract.csv_header(), self._rows(caller, rule), stale

    async def start(self, caller: Caller, kind: int | None) -> Run:
        """Queue a run of all rules, or of the one for a kind of identifier.

        Raises RefusedError, JobUnderWayError, TooManyJobsError, UnavailableError.
        """
        run = await self._calls.run(lambda: start(self._database, caller, kind, self._now_us(), self._most_jobs))
        self._ring()
        return run

    async def listed(self, caller: Caller, page: Page) -> Listed:
        """Runs, newest first. Raises RefusedError for a wrong cursor, UnavailableError."""
        return await self._calls.run(lambda: listed(self._database, caller, page))

    async def one(self, caller: Caller, run_id: str) -> Run:
        """A run. Raises UnknownRunError, UnavailableError."""
        return await self._calls.run(lambda: one(self._database, caller, run_id))

    async def merges(self, caller: Caller, run_id: str, page: Page) -> RunMerges:
        """What a run asked for. Raises UnknownRunError, RefusedError for a wrong cursor, UnavailableError."""
        return await self._calls.run(lambda: merges(self._database, caller, run_id, page))

    async def undo(self, caller: Caller, run_id: str) -> Run:
        """Queue taking a run back.

        Raises UnknownRunError, JobUnderWayError while the run or another undo is under way, TooManyJobsError,
        UnavailableError.
        """
        run = await self._calls.run(lambda: undo(self._database, caller, run_id, self._now_us(), self._most_jobs))
        self._ring()
        return run

    async def _rows(self, caller: Caller, rule: MergeRule) -> AsyncIterator[bytes]:
        behind: str | None = ""
        while behind is not None:
            with budget.answering(self._answer_seconds):
                budget.charge(caller.workspace_id)
                position = behind
                found = await self._calls.run(lambda: _page(self._database, caller, rule, position))  # noqa: B023
            rows = contract.csv_rows(found.groups)
            if rows:
                yield rows
            behind = found.last


def setup(database: Database, caller: Caller) -> Setup:
    """As MergeRuns.setup."""
    with database.read() as connection:
        return merge_runs.setup(connection, caller.workspace_id)


def set_rules(database: Database, caller: Caller, rules: tuple[MergeRule, ...]) -> Setup:
    """As MergeRuns.set_rules."""
    with database.write() as connection:
        wanted = replace(merge_runs.setup(connection, caller.workspace_id), rules=rules)
        merge_runs.change(connection, caller.workspace_id, wanted)
    return wanted


def set_schedule(database: Database, caller: Caller, now_us: int, *, enabled: bool) -> Setup:
    """As MergeRuns.set_schedule. A schedule that is on keeps its beginning."""
    with database.write() as connection:
        found = merge_runs.setup(connection, caller.workspace_id)
        since = (found.scheduled_us or now_us) if enabled else None
        wanted = replace(found, scheduled_us=since)
        merge_runs.change(connection, caller.workspace_id, wanted)
    return wanted


def next_day(database: Database, caller: Caller, found: Setup, now_us: int) -> str | None:
    """As MergeRuns.next_day."""
    if found.scheduled_us is None:
        return None
    with database.read() as connection:
        clock = Clock(now_us, zone_of(connection, caller.workspace_id))
        due = merge_runs.is_due(connection, caller.workspace_id, found, clock)
    return (clock.today + timedelta(days=0 if due else 1)).isoformat()


def preview(database: Database, caller: Caller, wanted: PreviewRequest) -> Preview:
    """As MergeRuns.preview."""
    rule = contract.rule_of(setup(database, caller).rules, wanted.kind)
    cursors = Cursors(caller.workspace_id, caller.workspace_secret)
    question = ("merge_previews", rule.kind, rule.ties, rule.prioritization)
    place = wanted.page.behind(cursors, question)
    behind: str | None = "" if place is None else str(place[0])
    groups: list[Group] = []
    for _ in range(PAGES):
        if behind is None or len(groups) >= wanted.page.limit:
            break
        found = _page(database, caller, rule, behind)
        groups, behind = groups + found.groups, found.last
    if len(groups) > wanted.page.limit:
        groups = groups[: wanted.page.limit]
        behind = groups[-1].shared[2]
    return Preview(rule, groups, None if behind is None else cursors.make(question, [behind]))


def rules_behind(database: Database, caller: Caller, seqs: Sequence[int]) -> dict[int, str]:
    """As MergeRuns.rules_behind."""
    with database.read() as connection:
        found = merge_runs.rules_behind(connection, caller.workspace_id, seqs)
    return {seq: str(contract.shown_rule(rule)["identifier"]) for seq, rule in found.items()}


def start(database: Database, caller: Caller, kind: int | None, now_us: int, most_jobs: int) -> Run:
    """As MergeRuns.start."""
    id_, workspace_id = str(uuid4()), caller.workspace_id
    rules = setup(database, caller).rules
    chosen = rules if kind is None else (contract.rule_of(rules, kind),)
    try:
        with database.write() as connection:
            if jobs.unfinished(connection, workspace_id) >= most_jobs:
                raise TooManyJobsError
            merge_runs.start(connection, workspace_id, id_, chosen, caller.key_name, now_us)
    except jobs.JobUnderWayError:
        raise JobUnderWayError(MERGE_RUN) from None
    return one(database, caller, id_)


def listed(database: Database, caller: Caller, page: Page) -> Listed:
    """As MergeRuns.listed."""
    cursors, question = Cursors(caller.workspace_id, caller.workspace_secret), ("merge_runs",)
    place = page.behind(cursors, question)
    before = (2**62, "") if place is None else (int(place[0]), str(place[1]))
    with database.read() as connection:
        found = merge_runs.page(connection, caller.workspace_id, before, page.limit + 1)
        shown = found[: page.limit]
        runs = []
        for run in shown:
            job = _job(connection, run)
            report = msgspec.convert(job.result, Report) if job.state == DONE else _report(connection, caller, run)
            runs.append(Run(run, job, report))
    more = len(found) > page.limit
    return Listed(runs, cursors.make(question, [shown[-1].created_us, shown[-1].id]) if more else None)


def one(database: Database, caller: Caller, run_id: str) -> Run:
    """As MergeRuns.one."""
    with database.read() as connection:
        run = _found(connection, caller, run_id)
        last = jobs.latest(connection, caller.workspace_id, MERGE_UNDO, run.id)
        return Run(run, _job(connection, run), _report(connection, caller, run), last)


def merges(database: Database, caller: Caller, run_id: str, page: Page) -> RunMerges:
    """As MergeRuns.merges."""
    cursors, question = Cursors(caller.workspace_id, caller.workspace_secret), ("merge_run", run_id)
    place = page.behind(cursors, question)
    with database.read() as connection:
        _found(connection, caller, run_id)
        behind = 0 if place is None else int(place[0])
        queued = merge_runs.requests(connection, caller.workspace_id, run_id, behind, REQUESTS + 1)
    shown = queued[:REQUESTS]
    found = [merge for each in shown if each.seq for merge in _merges(database, caller, each)]
    return RunMerges(found, cursors.make(question, [shown[-1].n]) if len(queued) > REQUESTS else None)


def undo(database: Database, caller: Caller, run_id: str, now_us: int, most_jobs: int) -> Run:
    """As MergeRuns.undo."""
    workspace_id = caller.workspace_id
    try:
        with database.write() as connection:
            if not jobs.is_finished(_job(connection, _found(connection, caller, run_id))):
                raise JobUnderWayError(MERGE_RUN)
            if jobs.unfinished(connection, workspace_id) >= most_jobs:
                raise TooManyJobsError
            jobs.create(connection, workspace_id, str(uuid4()), MERGE_UNDO, run_id, {}, caller.key_name, now_us)
    except jobs.JobUnderWayError:
        raise JobUnderWayError(MERGE_UNDO) from None
    return one(database, caller, run_id)


def _page(database: Database, caller: Caller, rule: MergeRule, behind: str) -> duplicates.Found:
    with database.read() as connection:
        found = lane.read(connection, caller.workspace_id)
        settings = ApplySettings() if found is None else found.settings
        return duplicates.page(connection, caller.workspace_id, rule, settings, behind, CORE)


def _found(connection: Connection, caller: Caller, run_id: str) -> MergeRun:
    run = None if "\0" in run_id else merge_runs.fetch(connection, caller.workspace_id, run_id)
    if run is None:
        raise UnknownRunError
    return run


def _job(connection: Connection, run: MergeRun) -> Job:
    job = jobs.get(connection, run.workspace_id, run.id)
    if job is None:
        raise UnknownRunError
    return job


def _report(connection: Connection, caller: Caller, run: MergeRun) -> Report:
    queued = merge_runs.requests(connection, caller.workspace_id, run.id)
    return merge_runs.report(connection, caller.workspace_id, caller.workspace_secret, queued)


def _merges(database: Database, caller: Caller, queued: Queued) -> list[RunMerge]:
    """The merges of a request. Names of those that were not done are in the inbox, as long as it has the request."""
    workspace_id = caller.workspace_id
    ids = merge_runs.merge_ids(workspace_id, caller.workspace_secret, queued)
    asked = _read_back(database, workspace_id, queued.seq)
    undos = _read_back(database, workspace_id, queued.undo_seq or 0)
    with database.read() as connection:
        there = merge_runs.standing(connection, workspace_id, ids)
        found = lane.read(connection, workspace_id)
        applied = found is not None and found.cursors[STREAM_BULK] >= queued.seq
        problems = request_problems.read(connection, workspace_id, STREAM_BULK, queued.seq)
        refused = {index: reason for _, index, _, reason in problems if reason != ALIAS_RETIRED}
        against = request_problems.read(connection, workspace_id, STREAM_BULK, queued.undo_seq or 0)
    left = {undo.merge_id: "" for undo in undos if isinstance(undo, UndoMerge)}
    names = list(left)
    left |= {names[index]: reason for _, index, _, reason in against if index < len(names)}
    request_id = caller.request_id(STREAM_BULK, queued.seq)
    shown = []
    for index, id_ in enumerate(ids):
        merge = there.get(id_)
        if merge is not None:
            status = "undone" if merge.undone else "merged"
            reason = "" if merge.undone else left.get(id_, "")
            shown.append(RunMerge(request_id, index, status, id_, merge.kept_braze_id, merge.merged_braze_id, reason))
            continue
        status = "waiting" if not applied else "skipped" if index in refused else "gone"
        command = asked[index] if index < len(asked) and status != "gone" else None
        kept, merged = (
            (command.kept_braze_id, command.merged_braze_id) if isinstance(command, MergeDuplicate) else ("", "")
        )
        shown.append(RunMerge(request_id, index, status, "", kept, merged, refused.get(index, "")))
    return shown


def _read_back(database: Database, workspace_id: int, seq: int) -> Sequence[Command]:
    """The commands of a request of the bulk stream; none where it has aged out."""
    if not seq:
        return ()
    with database.read(database.inbox) as connection:
        rows = inbox.read(connection, workspace_id, STREAM_BULK, seq - 1, 0, 1)
    if not rows or rows[0].seq != seq:
        return ()
    _, codec, body = stored.opened(rows[0].codec, rows[0].body)
    return stored.commands(rows[0].kind, codec, body)
