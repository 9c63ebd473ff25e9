"""Traces of a whole Onefold: from the call, over the request that it stored, to the batch that applied it."""

from collections import Counter
from pathlib import Path

from app.adapters.tracing import API, WORKER, place_of
from tests.e2e.service import up
from tests.polling import until
from tests.spans import links_of, place, spans

MARK = "zq7mark"


def test_each_accepted_request_has_a_trace_that_the_batch_which_applied_it_links_to(tmp_path: Path) -> None:
    file = tmp_path / "spans"
    env = {"ONEFOLD_TRACES_URL": f"file://{file}", "OTEL_BSP_SCHEDULE_DELAY": "100", "ONEFOLD_CANARY_SECONDS": "0"}
    with up(tmp_path / "data", env=env) as service:
        calls = [
            service.call("POST", "/users/track", {"attributes": [{"external_id": f"{MARK}{n}", "a": MARK}]})
            for n in range(5)
        ]
        service.call("POST", "/users/track", {"attributes": [{}]})  # refused: a call, and no request
        service.call("GET", f"/v1/requests/{MARK}")
        assert {status for status, _, _ in calls[:5]} == {201}
        wanted = {place_of(headers["x-request-id"]) for _, _, headers in calls}

        def applied() -> bool:
            linked = {link for span in spans(file) if span["name"] == "onefold.apply" for link in links_of(span)}
            return wanted <= linked if file.exists() else False

        until(lambda: file.exists() and applied(), 30, message="no batch links to them")
    found = spans(file)
    assert MARK not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    accepted = {place(span): span for span in found if span["name"] == "onefold.accept"}
    assert wanted <= accepted.keys()
    tracks = {place(span): span for span in found if span["name"] == "POST /users/track"}
    assert Counter(span["attributes"]["http.response.status_code"] for span in tracks.values()) == {201: 5, 400: 1}
    assert {"GET /v1/requests/{id}"} <= {span["name"] for span in found}
    assert all(links_of(accepted[one])[0] in tracks for one in wanted)
    services = {span["name"]: span["resource"]["attributes"]["service.name"] for span in found}
    assert (services["onefold.accept"], services["onefold.apply"]) == (API, WORKER)
    assert services["run/onefold.apply"] == WORKER
