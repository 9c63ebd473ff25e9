"""Attacks on the workers: little on the wire that is much to apply, and profiles without end."""

import time
from multiprocessing.synchronize import Event
from typing import Final

from sqlalchemy import Connection, text

from attack.attacker import ATTRIBUTES, WIDE, Attacker, Outcome, Target, applied, flood, write
from attack.wire import Client, packed
from fault import judge
from fault.stack import Stack, Workspace
from tests.polling import until

PROFILES: Final = 10
#: A request is applied with its skips, or buried, within this many seconds.
APPLIED_SECONDS: Final = 10.0


class MergedObjects(Attacker):
    number, name = "C1", "updates of large objects"
    does = "ten profiles of 39 objects of 100 KB, then one bulk request with 900 `_merge_objects` updates"
    bound = "a budget of work for a request (`too_much_work`); eight attempts of a request alone"
    seconds = 12.0

    def prepare(self, stack: Stack, target: Target) -> None:
        values = {f"o{n}": WIDE for n in range(ATTRIBUTES)}
        write(target, "/users/track", [{"attributes": [{"external_id": f"p{p}", **values}]} for p in range(PROFILES)])
        applied(stack, target.workspace.id)

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        updates = [
            {
                "external_id": f"p{n % PROFILES}",
                "_merge_objects": True,
                **{f"o{a}": {"z": n} for a in range(ATTRIBUTES)},
            }
            for n in range(900)
        ]
        data = packed("/users/track/bulk", target.key, {"attributes": updates})
        outcome.notes["bytes on the wire"] = len(data)
        outcome.statuses[Client(target.port).ask(data)[0]] += 1
        stop.wait()

    def judge(self, stack: Stack, workspace: Workspace, outcome: Outcome) -> None:
        began, allowed = time.monotonic(), APPLIED_SECONDS * self.slack
        try:
            until(lambda: stack.behind(workspace.id) == 0, 3 * allowed, 0.1, "not applied")
        except AssertionError:
            seconds = self.seconds + 3 * allowed
            outcome.findings.append(f"the request is not applied, nor buried, after {seconds:g} s")
            return
        if time.monotonic() - began > max(0.5, allowed - self.seconds):
            outcome.findings.append(f"applied only {time.monotonic() - began:.0f} s after {self.seconds:g} s")
        outcome.findings += judge.reference(stack.database, workspace)


class EndlessProfile(Attacker):
    number, name = "6a", "a profile without end"
    does = "three profiles grow to 39 MB each, 4 MB a request; then small requests touch all three, 4/s"
    bound = "a bound on a profile (`profile_full`, D73), and on the bytes loaded for a batch"
    PROFILES: Final = 3
    #: Requests about each profile.
    GROWTH: Final = 10

    def prepare(self, stack: Stack, target: Target) -> None:
        grown = [
            {"attributes": [{"external_id": f"endless-{p}", **{f"o{n}-{a}": WIDE for a in range(ATTRIBUTES)}}]}
            for n in range(self.GROWTH)
            for p in range(self.PROFILES)
        ]
        write(target, "/users/track", grown)
        applied(stack, target.workspace.id)

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        people = [{"external_id": f"endless-{p}", "t": 1} for p in range(self.PROFILES)]
        data = packed("/users/track", target.key, {"attributes": people})
        flood(target, stop, outcome, 1, lambda _n: data, 4)


class Problems(Attacker):
    number, name = "14", "rows of problems"
    does = "requests of 1 KB with 200 sums of texts under long names, all of them skipped, 10/s"
    bound = "one row of problems for a request, of a bounded size"
    #: Bytes that a request of some hundred bytes may leave.
    MOST: Final = 10_000
    NAMES: Final = tuple(f"{'n' * 250}{n:03d}" for n in range(200))
    #: Attributes of an object.
    EACH: Final = 25

    def prepare(self, stack: Stack, target: Target) -> None:
        write(target, "/users/track", [self._document("text")])
        applied(stack, target.workspace.id)

    def _document(self, value: object) -> dict[str, list[dict[str, object]]]:
        parts = [self.NAMES[first : first + self.EACH] for first in range(0, len(self.NAMES), self.EACH)]
        return {"attributes": [{"external_id": "p", **dict.fromkeys(part, value)} for part in parts]}

    def run(self, target: Target, stop: Event, outcome: Outcome) -> None:
        data = packed("/users/track", target.key, self._document({"inc": 1}))
        outcome.notes["bytes on the wire"] = len(data)
        flood(target, stop, outcome, 2, lambda _n: data, 5)

    def judge(self, stack: Stack, workspace: Workspace, outcome: Outcome) -> None:
        applied(stack, workspace.id)

        def work() -> int:
            with stack.database.read() as connection:
                size = _size_of_row(connection)
                sql = text(f"select coalesce(sum({size}), 0) from problem where workspace_id = :w")
                return int(connection.execute(sql, {"w": workspace.id}).scalar() or 0)

        kept = stack.look(work) / max(1, outcome.statuses[201])
        outcome.notes["bytes kept a request"] = kept
        if kept > self.MOST:
            outcome.findings.append(
                f"a request of {outcome.notes['bytes on the wire']:.0f} bytes leaves {kept:,.0f} bytes"
            )


def _size_of_row(connection: Connection) -> str:
    """An expression for the bytes of a row of `problem`, whatever columns it has."""
    if connection.dialect.name == "postgresql":
        return "pg_column_size(problem.*)"
    columns = [row[1] for row in connection.exec_driver_sql("pragma table_info(problem)")]
    return " + ".join(f"length({column})" for column in columns)
