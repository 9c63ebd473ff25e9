"""The specification's examples of track, identity, export, keys and limits, run as its README says (section 7)."""

import json
import re
import time
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from app.domain import times
from tests.api.harness import Answer, Json, Service, Workspace, rendered, times_now
from tests.polling import until
from workers.retention import Retention

EXAMPLES = Path(__file__).parent / "examples"

#: Examples of features that are not built yet, and those that need a clock that can be set.
NOT_YET = {
    "rate_limit_hourly": "hourly_refill = clock_hour is a later setting, and the clock of the buckets is Redis's own",
}
# Sentences that the specification tags as its own invention: they may be reworded.
REWORDABLE = {
    "'name' is required",
    "The value provided for the 'phone' field is not a valid phone number.",
}
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.json") if path.stem not in NOT_YET)


def test_every_example_is_run_or_excused() -> None:
    assert len(NAMES) == 36
    assert not {path.stem for path in EXAMPLES.glob("*.json")} - set(NAMES) - NOT_YET.keys()


@pytest.mark.parametrize("name", NAMES)
def test_example(service: Service, name: str) -> None:
    Run(service, json.loads((EXAMPLES / f"{name}.json").read_text())).all()


_TIME = {"time": "2026-02-10T09:15:00Z"}
_TRACK = ("attributes", "events", "purchases")
#: An object of each array that an example may ask to be filled.
FILLED: dict[str, Json] = {
    "attributes": {"color": "red"},
    "events": {"name": "e", **_TIME},
    "purchases": {"product_id": "p", "currency": "USD", "price": 1, **_TIME},
    "aliases_to_identify": {"external_id": "e", "user_alias": {"alias_label": "l", "alias_name": "n"}},
    "merge_updates": {"identifier_to_merge": {"external_id": "a"}, "identifier_to_keep": {"external_id": "b"}},
}


class Run:
    """One example on its way."""

    def __init__(self, service: Service, example: Json) -> None:
        self.example = example
        setup = example.get("setup", {})
        given = dict(setup.get("workspace", {}))
        limits = {
            ours: given.pop(theirs)
            for theirs, ours in (
                ("track_hourly_limit", "hourly_limit"),
                ("track_burst_limit", "burst_limit"),
                ("burst_window_seconds", "burst_window_seconds"),
            )
            if theirs in given
        }
        self.workspace = service.workspace(given.pop("plan", "mau_cy_24_25"), **limits)
        assert not given, "unknown setting of the workspace"
        assert setup.keys() <= {"profiles", "workspace", "groups", "segments"}
        for segment in setup.get("segments", []):
            self.workspace.add_segment(**segment)
        for group in setup.get("groups", []):
            made = self.workspace.post("/v1/subscription_groups", {"name": group["id"], **group})
            assert made.status == 201
        self.workspaces = {"": self.workspace}
        self.workspace.seed(setup.get("profiles", []))
        self.before = self.profiles()
        self.identify_key = service.key(self.workspace.id, "users.identify")
        self.last: Json = {}
        self.sent_at = 0.0
        #: Draining takes time, in which a small bucket fills again.
        self.drains = not limits

    def all(self) -> None:
        for step in self.example["steps"]:
            if "request" in step:
                self.last = step
                self.compare(step["response"], self.request(step))
            elif "repeat_previous" in step:
                for _ in range(step["repeat_previous"]):
                    assert self.request(self.last).status == self.last["response"]["status"]
            elif "expect" in step:
                self.expect(step["expect"])
            elif "expect_profiles" in step:
                assert len(self.stored()) == step["expect_profiles"]
            elif "filter" in step:
                self.filtered(step)
            elif "action" in step:
                assert step["action"] == "redeliver the same job to a second worker"
                assert self.workspace.service.drain(self.workspace.id).requests == 0
            elif "advance_clock_seconds" in step:
                self.advance(step["advance_clock_seconds"])
            elif "advance_clock_days" in step:
                self.age(step["advance_clock_days"])
            elif "clock" in step:
                self.clocked(step)
                return
            else:
                raise AssertionError(step)
        self.workspace.drain()
        self.after(self.example.get("after", {}))

    def request(self, step: Json) -> Answer:
        request = step["request"]
        workspace = self.workspace
        plan = step.get("workspace_plan")
        if plan is not None:
            workspace = self.workspaces.setdefault(plan, workspace.service.workspace(plan))
        headers = {
            name: value.replace("KEY_ALL", workspace.key).replace("KEY_IDENTIFY_ONLY", self.identify_key)
            for name, value in request["headers"].items()
        }
        if request["method"] == "GET":
            content = None
        elif "raw_body" in request:
            content = request["raw_body"].encode()
        else:
            body = {
                name: filled(name, value) if isinstance(value, str) else value
                for name, value in request["body"].items()
                if name in FILLED or not isinstance(value, str)
            } | {name: value for name, value in request["body"].items() if isinstance(value, str) and value[:1] != "<"}
            content = json.dumps(body).encode()
        # What is answered after it was applied needs somebody who applies it meanwhile.
        sync = request["path"].endswith("/sync")
        with workspace.service.draining(workspace.id) if sync else nullcontext():
            answer = self.send(workspace, request, content, headers)
        self.sent_at = time.monotonic()
        if answer.status in (201, 202) and self.drains:
            workspace.drain()
        return answer

    def send(self, workspace: Workspace, request: Json, content: bytes | None, headers: dict[str, str]) -> Answer:
        if request["method"] == "GET":
            path = f"{request['path']}?{urlencode(request.get('query', {}), doseq=True)}"
            return workspace.service.send(request["method"], path, content, headers, workspace.key)
        if "external_ids/re" not in request["path"]:
            return workspace.service.send(request["method"], request["path"], content, headers, workspace.key)
        with workspace.service.draining(workspace.id):  # the answer waits until it is applied
            return workspace.service.send(request["method"], request["path"], content, headers, workspace.key)

    def expect(self, wanted: Json) -> None:
        """Some profile has all of it; or, where keys say so, something about certain profiles."""
        wanted, found = dict(wanted), self.profiles()
        by_id = {user.get("external_id"): user for user in found.values()}
        aliases = {f"{a['alias_label']}:{a['alias_name']}" for user in found.values() for a in user["user_aliases"]}
        if "profile_count" in wanted:
            assert len(found) == wanted.pop("profile_count")
        if "external_id_absent" in wanted:
            assert wanted.pop("external_id_absent") not in by_id
        for ref in wanted.pop("unchanged", ()):
            assert found[self.workspace.seeded[ref]] == self.before[self.workspace.seeded[ref]], ref
        for alias in wanted.pop("alias_lookup_none", ()):
            assert alias not in aliases
        if "unused_orphaned_states" in wanted:
            states = self.workspace.state().addresses.values()
            unused = [state for state in states if state is not None and state.forget_us is not None]
            assert len(unused) == wanted.pop("unused_orphaned_states")
        for external_id in [
            name for name, fields in wanted.items() if isinstance(fields, dict) and fields.keys() == {"group_status"}
        ]:
            assert self.group_status(external_id) == wanted.pop(external_id)["group_status"]
        for external_id, fields in wanted.pop("profile_by_id", {}).items():
            assert covers(by_id[external_id], fields)
        for key in list(wanted):
            if match := re.fullmatch(r"(.+)_(.+)_alias", key):
                alias = {"alias_label": match[2], "alias_name": wanted.pop(key)}
                assert alias in by_id[match[1]]["user_aliases"]
            elif key in self.workspace.seeded:
                assert covers(found[self.workspace.seeded[key]], wanted.pop(key)), key
        assert not wanted or any(covers(user, wanted) for user in found.values()), found

    def group_status(self, external_id: str) -> str:
        """Of the example's group."""
        (group,) = self.example["setup"]["groups"]
        asked = urlencode({"subscription_group_id": group["id"], "external_id": external_id})
        answer = self.workspace.service.send(
            "GET", f"/subscription/status/get?{asked}", None, self.workspace.headers(), self.workspace.key
        )
        return str(answer.body["status"][external_id])

    def age(self, days: int) -> None:
        """What the retention does so many days later."""
        now_us = times_now() + days * times.DAY
        Retention(self.workspace.service.database, lambda: now_us, 24).work(now_us)

    def filtered(self, step: Json) -> None:
        """A filter alone in a segment has just these people."""
        wanted = dict(step["filter"])
        now = wanted.pop("now", None)
        found = self.workspace.segment({"groups": [{"filters": [wanted]}]}, None if now is None else times.parse(now))
        assert found == {self.workspace.seeded[ref] for ref in step["matches"]}

    def compare(self, wanted: Json, answer: Answer) -> None:
        assert answer.status == wanted["status"], answer.text
        for name, value in wanted.get("headers", {}).items():
            if value == "<epoch seconds>":
                assert re.fullmatch(r"\d+", answer.headers[name])
                assert int(answer.headers[name]) * 1_000_000 > times.parse("2026-03-10T00:00:00Z")  # type: ignore[operator]
            else:
                assert answer.headers[name] == value, name
        body, expected = dict(answer.body), dict(wanted["body"])
        assert entries(body.pop("errors", [])) == entries(expected.pop("errors", []))
        if "users" in expected and "email_address" in self.last["request"].get("body", {}):
            body["users"], expected["users"] = unordered(body["users"]), unordered(expected["users"])
        assert body == expected

    def advance(self, seconds: int) -> None:
        """The clock of the buckets is Valkey's, which nobody can set: a second has to pass."""
        over = self.sent_at + seconds
        until(lambda: time.monotonic() > over)

    def clocked(self, step: Json) -> None:
        """The first instant of an example by the clock: the only one that a test can be at without setting clocks."""
        answers = [
            self.workspace.track({"attributes": [{"external_id": "r"}]}, drain=False) for _ in range(step["requests"])
        ]
        assert [answer.status for answer in answers] == step["statuses"]
        # The bucket has been refilling while the requests were sent.
        wanted = int(step["headers"]["Retry-After"])
        assert wanted - 10 <= int(answers[-1].headers["Retry-After"]) <= wanted

    def profiles(self) -> dict[int, Json]:
        state = self.workspace.state()
        return {
            pid: {**rendered(state, profile), "braze_id": profile.braze_id, "updated": profile.recency}
            for pid, profile in state.profiles.items()
        }

    def stored(self) -> list[Json]:
        return self.workspace.stored()

    def after(self, wanted: Json) -> None:
        found = self.profiles()
        new = [user for pid, user in sorted(found.items()) if pid not in self.before]
        for key, value in wanted.items():
            if key == "profile_count":
                assert len(found) == value
            elif key == "unchanged":
                for ref in value:
                    pid = self.workspace.seeded[ref]
                    assert found[pid] == self.before[pid], ref
            elif key == "changed":
                for ref, fields in value.items():
                    assert covers(found[self.workspace.seeded[ref]], fields), ref
            elif key == "new_profile":
                assert len(new) == 1
                fields = dict(value)
                assert ("external_id" in new[0]) is fields.pop("has_external_id")
                assert covers(new[0], fields)
                assert new[0]["user_aliases"] == fields.get("user_aliases", [])
            elif key == "remaining_external_ids":
                assert [user.get("external_id") for user in found.values()] == value
            elif key == "alias_lookup_none":
                self.expect({key: value})
            elif key == "profiles":
                assert len(found) == len(value)
                for fields in value:
                    assert any(covers(user, fields) for user in found.values()), found
            elif key in ("custom_attributes", "custom_events"):
                assert len(found) == 1
                assert covers(next(iter(found.values())), {key: value})
            elif key == "segment_external_user_id_is_blank_contains":
                blank = {"groups": [{"filters": [{"field": "external_id", "op": "is_blank"}]}]}
                members = [found[pid] for pid in self.workspace.segment(blank)]
                aliases = {alias["alias_name"] for user in members for alias in user.get("user_aliases", ())}
                assert aliases >= set(value)
            else:
                raise AssertionError(key)


def filled(array: str, placeholder: str) -> list[Json] | str:
    """`<51 valid objects>`, `<25>`."""
    if not placeholder.startswith("<"):
        return placeholder
    return [
        {**FILLED[array], **({"external_id": f"filled-{n}"} if array in _TRACK else {})}
        for n in range(int(re.findall(r"\d+", placeholder)[0]))
    ]


def entries(errors: list[Json]) -> list[tuple[str, int, str]]:
    return [
        (e["input_array"], e["index"], "" if e["type"] in REWORDABLE or "phone" in e["type"] else e["type"])
        for e in errors
    ]


def covers(found: object, wanted: object) -> bool:
    """Whether `found` has all that `wanted` has. The order of lists does not count; moments compare as moments."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(k in found and covers(found[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return False
        rest: list[Any] = list(found)
        for value in wanted:
            match = next((n for n, other in enumerate(rest) if covers(other, value)), None)
            if match is None:
                return False
            del rest[match]
        return True
    if isinstance(wanted, str) and isinstance(found, str) and re.match(r"\d{4}-\d\d-\d\dT", wanted):
        return datetime.fromisoformat(wanted) == datetime.fromisoformat(found)
    return type(found) is type(wanted) and found == wanted


def unordered(users: list[Json]) -> list[str]:
    return sorted(json.dumps(user, sort_keys=True) for user in users)


def test_covers_is_no_rubber_stamp() -> None:
    assert covers({"a": [1, {"b": 2, "c": 3}]}, {"a": [{"b": 2}, 1]})
    assert covers("2026-02-10T09:15:00.000Z", "2026-02-10T09:15:00Z")
    assert not covers({"a": [1]}, {"a": [1, 1]})
    assert not covers({"a": 1}, {"a": 1.0})
    assert not covers({"a": 1}, {"b": 1})
    assert not covers({}, {"a": None})
