"""The verdict on a round: four comparisons, and the rules of answers. Every finding is a line of text; none = EQUAL."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy import text

from app.contract import kinds
from app.store import workspaces
from app.store.engine import Database
from fault.clients import Call, Load, Wire
from fault.ledger import Person, shown
from fault.stack import Workspace
from workers import replay

EXPORTED_AT_ONCE: Final = 50
_DEAD = text("select stream, seq, reason from dead where workspace_id = :workspace_id")
#: Requests of clients. Onefold queues changes of settings of its own, such as a newer table of rates.
_ROWS = text("select stream, seq, body from inbox where workspace_id = :workspace_id and kind <> :settings")


def reference(database: Database, workspace: Workspace) -> list[str]:
    """The database against the reducer of the inbox, one request after another."""
    found = replay.differences(database, workspace.id, workspaces.secret(database, workspace.id))
    return [f"reference: {difference}" for difference in found]


def ledgers(load: Load) -> list[str]:
    """What the API exports against the clients' books."""
    wire, found = Wire(load.ports, load.key), []
    try:
        users = _exported(wire, load.people)
    except LookupError as error:
        return [f"ledger: {error}"]
    finally:
        wire.close()
    taken = {name for person in load.people if person.exists for name in (person.external_id, person.alias)}
    for person in load.people:
        if not person.exists and not taken.isdisjoint({person.external_id, person.alias} - {None}):
            continue  # somebody else has its name by now
        expected = load.ledger.expected(person)
        mine = [user for user in users if _is(user, person)]
        if mine != expected:
            found.append(f"ledger: person {person.number} has {len(mine)} profiles" + _how(mine, expected))
    there = sum(person.exists for person in load.people)
    if len(users) != there:
        found.append(f"ledger: {len(users)} profiles for {there} people")
    return found


def _how(mine: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> str:
    if len(mine) != 1 or len(expected) != 1:
        return f", {len(expected)} expected"
    found = []
    for name, wanted in expected[0].items():
        got = mine[0][name]
        if got != wanted and isinstance(wanted, dict):
            found += [
                f"{name}.{k}: {got.get(k)} for {wanted.get(k)}" for k in wanted | got if got.get(k) != wanted.get(k)
            ]
        elif got != wanted:
            found.append(f"{name}: {got} for {wanted}")
    return ", " + "; ".join(found[:3])


def _is(user: dict[str, Any], person: Person) -> bool:
    return (person.external_id is not None and user["external_id"] == person.external_id) or (
        person.alias is not None and person.alias in user["aliases"]
    )


def _exported(wire: Wire, people: Sequence[Person]) -> list[dict[str, Any]]:
    users = []
    for first in range(0, len(people), EXPORTED_AT_ONCE):
        part = people[first : first + EXPORTED_AT_ONCE]
        aliases = [p.alias for p in part if p.external_id is None and p.alias is not None]
        body = {
            "external_ids": [p.external_id for p in part if p.external_id is not None],
            "user_aliases": [{"alias_label": label, "alias_name": name} for label, name in aliases],
        }
        attempt, headers, answer = wire.post("/users/export/ids", json.dumps(body).encode())
        if attempt.status != 201 or headers["X-Onefold-Stale"] is not None:
            raise LookupError(f"export answered {attempt.status} {attempt.error}, or stale")
        users += [shown(user) for user in json.loads(answer)["users"]]
    return users


def subscriptions(load: Load) -> list[str]:
    """What the API tells of groups against the clients' books."""
    told: dict[int, dict[str, str]] = {}
    people = [person for person in load.people if load.ledger.entries[person.number].groups]
    wire = Wire(load.ports, load.key)
    try:
        for first in range(0, len(people), EXPORTED_AT_ONCE):
            part = people[first : first + EXPORTED_AT_ONCE]
            query = urlencode({"email": [person.email for person in part]}, doseq=True)
            attempt, _, answer = wire.get(f"/subscription/user/status?{query}")
            if attempt.status != 200:
                return [f"subscriptions: answered {attempt.status} {attempt.error}"]
            by_email = {user["email"]: user["subscription_groups"] for user in json.loads(answer)["users"]}
            for person in part:
                groups = by_email.get(person.email, ())
                told[person.number] = {group["id"]: group["status"].lower() for group in groups}
    finally:
        wire.close()
    return [
        f"subscriptions: person {person.number} has other states of groups"
        for person in people
        if told[person.number] != load.ledger.entries[person.number].groups
    ]


def inbox(database: Database, workspace: Workspace, calls: Sequence[Call]) -> list[str]:
    """Each 2xx is one row of the inbox, under the number in its id, with its body; and there is no other row."""
    wanted = {"workspace_id": workspace.id, "settings": kinds.SETTINGS}
    with database.read(database.inbox) as connection:
        rows = {(r.stream, r.seq): bytes(r.body) for r in connection.execute(_ROWS, wanted)}
    places = Counter(call.place for call in calls if call.stored)
    found = [f"inbox: {n} requests were given place {place}" for place, n in places.items() if n > 1]
    for call in calls:
        if not call.stored:
            continue
        body = rows.get(call.place)
        if body is None:
            found.append(f"inbox: accepted request {call.place} is not there")
        elif call.sending.marker and f'"{call.sending.marker}"'.encode() not in body:
            found.append(f"inbox: row {call.place} holds another request")
    extra = rows.keys() - places.keys()
    if extra:
        found.append(f"inbox: {len(extra)} rows that no client has a 2xx for, for instance {min(extra)}")
    return found


def dead(database: Database, workspace: Workspace, calls: Sequence[Call]) -> list[str]:
    """Nothing died of a fault of the machine."""
    poison = {call.place for call in calls if call.accepted and call.sending.marker.startswith("poison")}
    with database.read() as connection:
        rows = connection.execute(_DEAD, {"workspace_id": workspace.id}).all()
    return [f"dead: request {(r.stream, r.seq)} of {r.reason}" for r in rows if (r.stream, r.seq) not in poison]


def real_time(calls: Sequence[Call]) -> list[str]:
    """A request first sent after another's 2xx has a higher number in its stream."""
    found = []
    accepted = [call for call in calls if call.stored]
    for stream in sorted({call.place[0] for call in accepted}):
        mine = [call for call in accepted if call.place[0] == stream]
        ended = sorted(mine, key=lambda call: call.answered)
        highest, at = 0, 0
        for call in sorted(mine, key=lambda call: call.attempts[0].sent):
            while at < len(ended) and ended[at].answered < call.attempts[0].sent:
                highest = max(highest, ended[at].place[1])
                at += 1
            if call.place[1] <= highest:
                found.append(f"real time: request {call.place} was sent after the 2xx of number {highest}")
    return found


def answers(load: Load, *, clean: bool, may_break: bool) -> list[str]:
    """No 4xx but 429, no 5xx but 503, both with Retry-After. `clean`: nothing but 2xx; else `may_break`: lost
    connections are the scenario's doing."""
    found = list(load.findings)
    for attempt in load.attempts():
        status = attempt.status
        if 200 <= status < 300:
            continue
        if status in (429, 503) and not attempt.retry_after:
            found.append(f"answers: {status} without Retry-After")
        elif status not in (0, 429, 503):
            found.append(f"answers: {status} {attempt.error}")
        elif clean or (status == 0 and not may_break):
            found.append(f"answers: {status} {attempt.error} after {attempt.seconds:.2f} s")
    return found


def every(database: Database, workspace: Workspace, load: Load, *, clean: bool, may_break: bool) -> list[str]:
    """All of it."""
    return [
        *answers(load, clean=clean, may_break=may_break),
        *dead(database, workspace, load.calls),
        *reference(database, workspace),
        *ledgers(load),
        *subscriptions(load),
        *inbox(database, workspace, load.calls),
        *real_time(load.calls),
    ]
