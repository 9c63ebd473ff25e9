"""Bugs on purpose: what `fault.mutants` plants."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: in a file, each text (there exactly once) is replaced; `scenario` has to see it."""

    name: str
    scenario: int
    file: str
    edits: tuple[tuple[str, str], ...]
    rounds: int = 10
    #: The scenario as CI runs it, where it takes long otherwise.
    short: bool = False
    #: The same in further files, where the bug needs it.
    also: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


MUTANTS: Final = (
    Mutant(
        "no lane lock",
        19,
        "app/store/lane.py",
        (('_TAKEN: Final = f"{_OF} for update skip locked"', "_TAKEN: Final = _OF"),),
    ),
    Mutant(
        "an applier trusts the cursor that it remembers: no fence against another one",
        19,
        "workers/apply.py",
        (
            (
                "            after, hour = locked.cursors[stream], locked.hours[stream]\n",
                (
                    "            after, hour = locked.cursors[stream], locked.hours[stream]\n"
                    "            mine = self.__dict__.setdefault('_mine', {})\n"
                    "            after = locked.cursors[stream] = mine.get((workspace_id, stream), after)\n"
                ),
            ),
            (
                "        self._crowds.remember(workspace_id, locked.place, known)\n",
                (
                    "        self._crowds.remember(workspace_id, locked.place, known)\n"
                    "        mine[workspace_id, stream] = batch[-1].seq\n"
                ),
            ),
        ),
    ),
    Mutant(
        "cursor committed before the effects",
        1,
        "workers/apply.py",
        (
            (
                "            try:\n                begun = None if locked.begun is None else",
                (
                    "            lane.advance(connection, workspace_id, locked, batch[-1])\n"
                    "            connection.connection.driver_connection.commit()\n"
                    "            try:\n                begun = None if locked.begun is None else"
                ),
            ),
        ),
    ),
    Mutant(
        "effects committed before the cursor",
        12,
        "workers/leavings.py",
        (
            (
                "    if applied.requests:\n        lane.advance(",
                (
                    "    connection.connection.driver_connection.commit()\n"
                    "    if applied.requests:\n        lane.advance("
                ),
            ),
        ),
        20,
    ),
    Mutant(
        "numbers become visible before their rows, as those of a sequence",
        36,
        "app/store/inbox/log.py",
        (
            (
                "        rows = driver.execute(statement, values | _packed(entries)).fetchall()\n",
                (
                    "        values |= _packed(entries)\n"
                    "        bump, _, insert = statement.partition('insert into inbox')\n"
                    "        bump = bump.replace('with n as (', '').strip().removesuffix(')')\n"
                    "        base, first_us, *_ = driver.execute(bump, values).fetchone()\n"
                    "        driver.commit()\n"
                    "        values |= {'base': base, 'first_us': first_us}\n"
                    "        given = 'with n as (select %(base)s::bigint as base, %(first_us)s::bigint as first_us) '\n"
                    "        rows = driver.execute(given + 'insert into inbox' + insert, values).fetchall()\n"
                ),
            ),
        ),
        # The event loop's statement does both at once: it leaves that to the thread.
        also=(
            (
                "app/store/inbox/alone.py",
                (
                    (
                        "        self.close()\n        if self._is_distributed",
                        "        return\n        if self._is_distributed",
                    ),
                ),
            ),
        ),
    ),
    Mutant(
        "no look after the bell was cleared",
        35,
        "workers/apply.py",
        (
            (
                (
                    "            self._bell.clear(workspace_id)\n"
                    "            waiting = backlog.waiting(self._database, workspace_id)\n"
                    "            if not any(waiting.streams.values()):\n                return True\n"
                ),
                # As slow as a server of bells far away: otherwise hardly anything comes between.
                "            time.sleep(0.005)\n            self._bell.clear(workspace_id)\n            return True\n",
            ),
        ),
    ),
    Mutant(
        "a flush that fails fails one of its waiters, the others get their 201",
        9,
        "app/services/accepting/writer.py",
        (
            (
                "                if not future.done():\n                    error = UnavailableError()",
                (
                    "                if future is not waiters[0][1] and not future.done():\n"
                    "                    future.set_result(Appended(1, 0))\n"
                    "                if not future.done():\n                    error = UnavailableError()"
                ),
            ),
        ),
    ),
    Mutant(
        "a redo goes by the clock instead of the time of acceptance",
        1,
        "workers/parts.py",
        (
            (
                "        step = Step(state, request, workspace_id, secret)\n        order",
                (
                    "        now = time.time_ns() // 1000\n"
                    "        request = Request(request.stream, request.seq, now, request.commands)\n"
                    "        step = Step(state, request, workspace_id, secret)\n        order"
                ),
            ),
        ),
    ),
    Mutant(
        "profiles stay in memory though another worker has had the lane",
        46,
        "workers/flows.py",
        (("        if found is not None and found.place != place:\n", "        if False:\n"),),
        10,
    ),
    Mutant(
        "a profile that is being written is read from the database",
        46,
        "app/store/profiles/resident.py",
        (
            (
                "known = here.get(pid)\n                if known is None:\n                    sections",
                "known = None\n                if known is None:\n                    sections",
            ),
            (
                "            known = here.get(pid)\n            if known is None:\n                known = here",
                "            known = here.get(pid)\n            if True:\n                known = here",
            ),
        ),
        10,
    ),
    Mutant(
        "an idempotency key is stored and never looked for",
        13,
        "app/store/inbox/idempotency.py",
        (
            ("first = known.get(key.digest) if key is not None else None", "first = None"),
            ("        if kept:\n", "        if False:\n"),
        ),
    ),
    Mutant(
        "a fault of the machine is the death of a request",
        12,
        "app/store/engine.py",
        (
            (
                "    if isinstance(error, DBAPIError):\n        if error.connection_invalidated:",
                (
                    "    if isinstance(error, SQLAlchemyError):\n        return False\n"
                    "    if isinstance(error, DBAPIError):\n        if error.connection_invalidated:"
                ),
            ),
        ),
        20,
    ),
    Mutant(
        "503 without Retry-After",
        9,
        "app/services/statuses.py",
        (("Status(503, errors.UNAVAILABLE, 1)", "Status(503, errors.UNAVAILABLE)"),),
    ),
    Mutant(
        "an outage of the database is the client's fault",
        9,
        "app/services/statuses.py",
        (("Status(503, errors.UNAVAILABLE", "Status(400, errors.UNAVAILABLE"),),
    ),
    Mutant(
        "a poison request takes its batch along",
        28,
        "workers/apply.py",
        (("            if len(poison.batch) > 1:\n", "            if len(poison.batch) > 512:\n"),),
    ),
    Mutant(
        "subscription calls are left out of a batch that is applied again, as if they had been applied",
        1,
        "workers/apply.py",
        (
            (
                "        attempts, limit = begun.attempts, min(begun.limit, self._sizes[stream].requests)\n",
                (
                    "        self._again = begun.careful\n"
                    "        attempts, limit = begun.attempts, min(begun.limit, self._sizes[stream].requests)\n"
                ),
            ),
            (
                "                requests = ready.requests if ready else [decoded(request) for request in batch]\n",
                (
                    "                requests = ready.requests if ready else [decoded(request) for request in batch]\n"
                    "                if self._again:\n"
                    "                    for one in requests:\n"
                    "                        one.commands[:] = [\n"
                    "                            c for c in one.commands if type(c).__name__ != 'SetGroupState'\n"
                    "                        ]\n"
                ),
            ),
        ),
        20,
    ),
    Mutant(
        "a job that goes on takes its last part for written, and makes a file of what is there",
        38,
        "workers/jobs/parts.py",
        (
            (
                "        users += len(part.pids)\n        sizes.add(_written(run, part, lines))\n",
                "        users += len(part.pids)\n",
            ),
            (
                '    with gzip.open(path, "rb") as file:\n',
                '    if not path.exists():\n        return\n    with gzip.open(path, "rb") as file:\n',
            ),
        ),
    ),
    Mutant(
        "the sweeper rings and never drains",
        17,
        "workers/sweep.py",
        (("            summary = self._drain(workspace_id)\n", "            summary = Summary()\n"),),
        1,
    ),
    Mutant(
        "the number of a batch is not remembered",
        42,
        "app/domain/batches.py",
        ((" or (behind >= 0 and bool(self.arrived >> behind & 1))\n", "\n"),),
        short=True,
    ),
    Mutant(
        "the message id of a call is not remembered",
        42,
        "app/store/inbox/messages.py",
        (("                fresh.setdefault(digest[:APP_BYTES], []).append(digest)\n", "                pass\n"),),
        short=True,
    ),
    Mutant(
        "records take effect in the order of the array",
        42,
        "app/contract/sdk.py",
        (("    return sorted(read, key=lambda one: one.sequence), errors\n", "    return read, errors\n"),),
        short=True,
    ),
    Mutant(
        "records of later merges are left as they were when one below them is undone",
        37,
        "app/store/merges.py",
        (
            (
                (
                    '    update=("previous", "kept_updated_us", "kept_updated_index", "plan", "snapshot", "undone",'
                    ' "unseparated"),\n'
                ),
                '    update=("undone", "unseparated"),\n',
            ),
        ),
    ),
    Mutant(
        "who is inside is not remembered together with what is told",
        44,
        "workers/watches.py",
        (("watches.change(connection, watch, now - before, before - now, self._most)", "False"),),
        3,
        short=True,
    ),
    Mutant(
        "events are forgotten before their messages are kept",
        44,
        "workers/webhook_events.py",
        (
            (
                "            told = [one for one in webhooks.listed(connection, workspace_id) if one.enabled]\n",
                (
                    "            webhook_events.delete(connection, workspace_id, portion)\n"
                    "            connection.connection.driver_connection.commit()\n"
                    "            time.sleep(0.2)\n"
                    "            told = [one for one in webhooks.listed(connection, workspace_id) if one.enabled]\n"
                ),
            ),
        ),
        3,
        short=True,
    ),
)
