"""All endpoints that write, driven with colliding identifiers through the API: after each drain the store holds exactly
what the pure model makes of the same bodies, and the answers say what it says.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.contract import stored
from app.domain.apply import reduce
from app.domain.commands import Request
from app.domain.state import State
from app.store import workspaces
from app.store.inbox import log as inbox
from tests import strategies
from tests.accepting import entry
from tests.api.harness import Json, Service
from workers import replay

flag_changes = st.builds(
    lambda who, flags: who | flags,
    st.one_of(
        st.sampled_from(strategies.EXTERNAL_IDS).map(lambda value: {"external_id": value}),
        st.sampled_from(strategies.EMAILS).map(lambda value: {"email": value}),
    ),
    st.fixed_dictionaries({}, optional={"test_user": st.booleans(), "global_control_group": st.booleans()}),
)
EXTERNAL_IDS = (*strategies.EXTERNAL_IDS, "new")


def test_the_store_follows_the_model(service: Service) -> None:
    class Machine(IdentityMachine):
        pass

    Machine.service = service
    run_state_machine_as_test(
        Machine,
        settings=settings(
            deadline=None,
            max_examples=8,
            stateful_step_count=14,
            suppress_health_check=list(HealthCheck),
        ),
    )


class IdentityMachine(RuleBasedStateMachine):
    """A workspace, and beside it a state in memory to which the same requests are applied."""

    service: Service

    @initialize()
    def begin(self) -> None:
        self.workspace = self.service.workspace("legacy")
        self.model = State(complete=True)
        self.seq = 0
        self.drained = True

    @rule(sent=strategies.requests)
    def send(self, sent: tuple[str, Json]) -> None:
        path, body = sent
        if path.startswith("/users/external_ids/"):
            self.wait_for(path, body)
            return
        answer = self.workspace.post(path, body, drain=False)
        assert (answer.status in (201, 202)) == self.accepted(path, body), answer.text
        self.drained = False

    def wait_for(self, path: str, body: Json) -> None:
        """Renames and removals answer what the model says came of each item."""
        with self.service.draining(self.workspace.id):
            answer = self.workspace.post(path, body, drain=False)
        before = len(self.model.changes.problems)
        assert (answer.status == 201) == self.accepted(path, body), answer.text
        failed = [problem.index for problem in self.model.changes.problems[before:]]
        errors = answer.body["rename_errors" if path.endswith("rename") else "removal_errors"]
        assert [index for index, _ in errors] == failed
        self.drained = False

    @rule(elements=st.lists(flag_changes, min_size=1, max_size=3))
    def flag(self, elements: list[Json]) -> None:
        """In the control group nobody is merged, and a test user stays one."""
        self.send(("/v1/flags", {"flags": elements}))

    @rule()
    def drain(self) -> None:
        self.workspace.drain()
        self.drained = True

    @rule(ids=st.lists(st.sampled_from(EXTERNAL_IDS), min_size=1, max_size=3, unique=True))
    def export(self, ids: list[str]) -> None:
        """An export sees everything that was accepted, under the names that the model knows."""
        self.drain()
        answer = self.workspace.post("/users/export/ids", {"external_ids": ids}, drain=False)
        owners = [self.model.owner((1, "", value)) for value in ids]
        found = list(dict.fromkeys(owner.braze_id for owner in owners if owner is not None))
        assert [user["braze_id"] for user in answer.body["users"]] == found
        unknown = [value for value, owner in zip(ids, owners, strict=True) if owner is None]
        assert answer.body.get("invalid_user_ids", []) == unknown

    @invariant()
    def equal(self) -> None:
        if not self.drained:
            return
        secret = workspaces.secret(self.service.database, self.workspace.id)
        assert replay.differences(self.service.database, self.workspace.id, secret) == []
        stored_state = self.workspace.state()
        assert facts(stored_state) == facts(self.model)

    def accepted(self, path: str, body: Json) -> bool:
        """Whether the contract takes the body; then the model applies it, at the time of the inbox."""
        found = entry(path, body)
        if found is None:
            return False
        self.seq += 1
        with self.service.database.read(self.service.database.inbox) as connection:
            accepted_us = inbox.accepted_us(connection, self.workspace.id, 0, self.seq)
        assert accepted_us is not None
        commands = stored.commands(found.kind, found.codec, found.body)
        request = Request(0, self.seq, accepted_us, commands)
        reduce([request], self.model, self.workspace.id, self.workspace.secret)
        return True


def facts(state: State) -> Any:
    return (
        {pid: repr(profile) for pid, profile in state.profiles.items()},
        {key: pids for key, pids in state.index.items() if pids},
        {address: consent for address, consent in state.addresses.items() if consent is not None},
    )
