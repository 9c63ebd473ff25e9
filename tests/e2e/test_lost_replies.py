"""The reply to a commit is lost on its way to the API: stored, and nobody knows. With a key a client finds out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from fault.proxy import HOST, Proxy
from fault.scenarios.postgres import committed
from tests.api.harness import Answer, Workspace, running, settings_for
from tests.servers import ValkeyServer, postgres

ORDER = {"events": [{"external_id": "ada", "name": "order", "time": "2026-11-20T10:00:00Z"}]}


@pytest.fixture(scope="module")
def wire(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Proxy]]:
    """A workspace whose API reaches PostgreSQL through a proxy."""
    with postgres(private=True) as server:
        server.create_database("behind")
        socket = Path(str(conninfo_to_dict(server.dsn)["host"])) / ".s.PGSQL.5432"
        proxy = Proxy(socket, 1)
        url = f"postgresql://postgres@{HOST}:{proxy.port}/behind"
        try:
            with running(settings_for(url, valkey_server.url, tmp_path_factory.mktemp("behind"))) as service:
                yield service.workspace(), proxy
        finally:
            proxy.close()


def cut(wire: tuple[Workspace, Proxy], **headers: str) -> Answer:
    """The answer to an order whose commit was done, and whose reply was lost."""
    workspace, proxy = wire
    before = proxy.cut
    proxy.swallow(committed)
    answer = workspace.track(ORDER, drain=False, **headers)
    assert proxy.cut == before + 1
    return answer


def orders(workspace: Workspace) -> int:
    workspace.drain()
    return int(workspace.user("ada")["custom_events"][0]["count"])


def test_a_repeat_with_the_same_key_finds_the_first_request(wire: tuple[Workspace, Proxy]) -> None:
    workspace, _ = wire
    assert workspace.track(ORDER).status == 201
    before = orders(workspace)
    assert cut(wire, Idempotency_Key="order 1").status == 503
    again = workspace.track(ORDER, Idempotency_Key="order 1")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert workspace.status(again.request_id).body["status"] == "applied"
    assert orders(workspace) == before + 1


def test_without_a_key_it_is_never_stored_twice_by_itself_and_never_called_accepted(
    wire: tuple[Workspace, Proxy],
) -> None:
    workspace, _ = wire
    assert workspace.track(ORDER).status == 201
    before = orders(workspace)
    assert cut(wire).status == 503
    assert orders(workspace) == before + 1
    again = workspace.track(ORDER)  # a client that sends it again without a key has sent two orders
    assert (again.status, "Idempotent-Replayed" in again.headers) == (201, False)
    assert orders(workspace) == before + 2
