"""Whatever profiles a workspace has: exported, imported into an empty one, and exported again, they are the same."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.api.harness import Json, Service
from tests.api.objects import bodies, nearly_clean, recent
from tests.api.portable import imported, rows_of
from tests.applying import differences

ROUNDS = settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
#: What people got: everybody has the ids of `strategies`.
MESSAGES = st.builds(
    lambda who, kind, campaign, id_: {
        "external_id": who, "type": kind, "channel": "email", "campaign_id": campaign, "id": id_,
    },
    st.sampled_from(strategies.EXTERNAL_IDS),
    st.sampled_from(("received", "opened", "clicked")),
    st.sampled_from(("spring", "summer")),
    st.sampled_from(("m1", "m2", "m3")),
)  # fmt: skip
#: These wait for their answer; what they leave behind is in the table of test_imports.
_WAITING = "/users/external_ids/"


def _past(body: Json) -> Json:
    """An import takes a moment to come for the present one; /users/track takes a session of the year 2999 as it is."""
    found: Json = json.loads(json.dumps(body).replace("2999-", "1999-"))
    return found


@ROUNDS
@given(
    requests=st.lists(strategies.requests, min_size=1, max_size=12),
    tracked=st.lists(st.one_of(nearly_clean(), bodies()), max_size=3),
    messages=st.lists(MESSAGES, max_size=4),
)
def test_export_import_export(
    service: Service, requests: list[tuple[str, Json]], tracked: list[bytes], messages: list[Json]
) -> None:
    workspace, other = service.workspace("legacy"), service.workspace("legacy")
    for path, body in requests:
        if not path.startswith(_WAITING):
            workspace.post(path, _past(body), drain=False)
    for sent in tracked:
        workspace.track(recent(sent), drain=False)
    if messages:
        workspace.post("/v1/messages", {"messages": messages}, drain=False)
    workspace.drain()
    users = rows_of(workspace)
    run = imported(other, users)
    assert (run.report.refused, run.report.ignored) == (0, {})
    again = rows_of(other)
    # No comparison of whole lists: showing how they differ would take minutes.
    assert [(one, two) for one, two in zip(users, again, strict=True) if one != two][:1] == []
    assert differences(other.service.database, other.id) == []
