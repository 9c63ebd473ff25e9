"""What a batch leaves beside profiles: problems, settings, what webhooks are told, and how far the lane is."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from app.contract import stored
from app.domain.profile import Problem
from app.domain.progress import Progress
from app.store import dead_letters, lane, request_problems, webhook_events
from app.store.inbox.log import Stored
from app.store.lane import Lane
from workers.parts import Applied


def tell(
    connection: Connection, workspace_id: int, applied: Applied, begun: Progress | None, batch: Sequence[Stored]
) -> None:
    """Keep what webhooks are told. `begun` as for `finish`."""
    if not applied.events and not applied.addresses:
        return
    cut = {batch[0].seq} if begun is not None else set()
    if applied.progress is not None:
        cut.add(batch[applied.requests].seq)
    webhook_events.write(connection, workspace_id, applied.events, applied.addresses, cut)


def finish(
    connection: Connection,
    workspace_id: int,
    locked: Lane,
    applied: Applied,
    begun: Progress | None,
    batch: Sequence[Stored],
    next_last: int | None = None,
) -> None:
    """Write what a batch leaves beside profiles, and move the cursor behind it. `begun` is how far its first request
    was before; `next_last`: see lane.advance."""
    problems = [*begun.problems, *applied.problems] if begun is not None else applied.problems
    if applied.progress is not None:
        place = (batch[applied.requests].stream, batch[applied.requests].seq)
        kept = [problem for problem in problems if (problem.stream, problem.seq) == place]
        problems = [problem for problem in problems if (problem.stream, problem.seq) != place]
        applied.progress = replace(applied.progress, problems=kept)
    _write_problems(connection, workspace_id, problems, batch)
    if applied.settings is not None:
        lane.save_settings(connection, workspace_id, applied.settings)
    if applied.requests:
        lane.advance(connection, workspace_id, locked, batch[applied.requests - 1], next_last)
    if applied.progress is not None:
        lane.suspend(connection, workspace_id, locked, batch[0].stream, applied.progress)


def bury(
    connection: Connection, workspace_id: int, request: Stored, reason: str, now_us: int, progress: Progress | None
) -> None:
    """Keep a request as a dead letter: the whole, or what is left of one of which some parts have taken effect."""
    done = 0
    if progress is not None:
        _write_problems(connection, workspace_id, progress.problems, [request])
        codec, body = stored.begun(request.codec, request.body, progress)
        request, done = replace(request, codec=codec, body=body), progress.done
    dead_letters.bury(connection, workspace_id, request, reason, now_us, done)


def _write_problems(
    connection: Connection, workspace_id: int, problems: Sequence[Problem], requests: Sequence[Stored]
) -> None:
    accepted = {(request.stream, request.seq): request.accepted_us for request in requests}
    request_problems.write(connection, workspace_id, problems, accepted)
