"""A node of several dies, or hangs: its workspaces stop, and no others."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fault import judge
from fault.clients import Load, LoadPlan
from fault.rounds import DRAIN_SECONDS, Round, Scenario
from fault.stack import Layout, Workspace
from tests.citus import Cluster
from tests.polling import until

#: How soon workspaces of the other nodes have to go on.
SOON_SECONDS: Final = 20.0
#: The same where a node hangs: what waits for it is given up when its statement is past its time-out.
HUNG_SECONDS: Final = 35.0
#: What has to be accepted of them, and applied, while the node is away.
BESIDE: Final = 40


def lose_a_node(now: Round) -> None:
    """52: SIGKILL for the node of a workspace, while clients write to that workspace and to one of the other node; and
    for Redis, so that nobody rings and sweepers have to find what is to be applied."""
    cluster, valkey = now.stack.cluster, now.stack.valkey
    assert cluster is not None
    assert valkey is not None
    with _beside(now, cluster) as (neighbour, beside):
        node = cluster.node(now.stack.database, now.workspace.id)
        before = now.load.statuses(503)
        node.kill9()
        _goes_on(now, neighbour, beside)
        valkey.kill9()
        _goes_on(now, neighbour, beside)
        valkey.start()
        now.pause(0.0, 2.0)
        node.start()
        now.accept_more(20)
        now.hit(now.load.statuses(503) - before)


def hang_a_node(now: Round) -> None:
    """54: SIGSTOP for all processes of the node of a workspace, while clients write to that workspace and to one of the
    other node; SIGCONT when the other one went on in spite of it."""
    cluster = now.stack.cluster
    assert cluster is not None
    with _beside(now, cluster) as (neighbour, beside):
        node = cluster.node(now.stack.database, now.workspace.id)
        before = now.load.statuses(503)
        node.hang()
        try:
            _goes_on(now, neighbour, beside, HUNG_SECONDS)
            now.pause(0.0, 4.0)
            _goes_on(now, neighbour, beside, HUNG_SECONDS)
        finally:
            node.go_on()
        now.accept_more(20)
        now.hit(now.load.statuses(503) - before)


@contextmanager
def _beside(now: Round, cluster: Cluster) -> Iterator[tuple[Workspace, Load]]:
    """A workspace of the other node, and clients that write to it meanwhile. Behind the block it is judged as well."""
    neighbour = _neighbour(now, cluster)
    beside = Load(now.stack.ports, neighbour.key, now.scenario.load, f"{now.seed}/beside")
    beside.start()
    now.pause(0.0, 0.8)
    accepted = beside.accepted()
    yield neighbour, beside
    now.notes["beside"] = beside.accepted() - accepted
    now.notes["slowest beside, s"] = max(attempt.seconds for attempt in beside.attempts())
    beside.stop()
    until(lambda: now.stack.behind(neighbour.id) == 0, DRAIN_SECONDS, message="the backlog of the neighbour stays")
    now.findings += judge.every(now.stack.database, neighbour, beside, clean=True, may_break=False)


def _goes_on(now: Round, neighbour: Workspace, beside: Load, seconds: float = SOON_SECONDS) -> None:
    """Wait until more is accepted, and all that was accepted before is applied."""
    accepted = beside.accepted()
    until(lambda: beside.accepted() > accepted + BESIDE, SOON_SECONDS, message="the other node's clients wait")
    heads = sum(now.stack.heads(neighbour.id))
    until(
        lambda: sum(now.stack.cursors(neighbour.id)) >= heads,
        seconds,
        message="the other node's workspace is not applied",
    )


def _neighbour(now: Round, cluster: Cluster) -> Workspace:
    """Another tenant, on another node."""
    node = cluster.node(now.stack.database, now.workspace.id)
    while True:
        other = now.stack.workspace(now.scenario.load.plan, now.scenario.load.burst)
        if cluster.node(now.stack.database, other.id) is not node:
            return other


SCENARIOS: Final = (
    Scenario(
        52,
        "Citus: kill -9 of a node, and of Redis meanwhile",
        "clients of its workspace were answered 503",
        lose_a_node,
        # The neighbour may see nothing but 2xx: a slow machine must not pass for a fault.
        layout=Layout(apis=2, nodes=2, cluster=True, settings={"ONEFOLD_ANSWER_SECONDS": "10"}),
        load=LoadPlan(clients=4, rate=40),
        lag_seconds=15,
    ),
    Scenario(
        54,
        "Citus: SIGSTOP of a node",
        "clients of its workspace were answered 503",
        hang_a_node,
        layout=Layout(apis=2, nodes=2, cluster=True),
        load=LoadPlan(clients=4, rate=40),
        lag_seconds=15,
    ),
)
