"""Merge rules, what they would do, their runs and their schedule. Endpoints of our own."""

from typing import Annotated, Final

from fastapi import Request
from msgspec import Meta

from app.api.answers import STALE, Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, posting
from app.api.merge_runs import answers
from app.api.merge_runs.models import (
    MergePreview,
    MergeRules,
    PreviewBody,
    RulesShown,
    RunBody,
    RunList,
    RunMergeList,
    RunShown,
    Schedule,
    ScheduleBody,
    WholePreviewBody,
)
from app.api.merges.endpoints import PERMISSION
from app.api.refusals import Refusal
from app.contract import merge_rules as contract
from app.contract.merge_rules import MAX_RUNS
from app.services.caller import Caller
from app.services.registry import Services

_TAG: Final = "Merge rules"
_STALE: Final = {"X-Onefold-Stale": "`true` when some of what was accepted before is not applied yet."}
_ID: Final = Parameter("id", "path", str, "The run's id.")
_CURSOR: Final = Parameter("cursor", "query", str, "`next_cursor` of the page before.")
_RULE: Final = {"identifier": "email", "resolve_ties_using": "updated_at", "prioritization": "newest"}

_RULES: Final = Documentation(
    title="Merge rules of the workspace",
    tag=_TAG,
    text="In the order in which they are run.",
    answers={200: RulesShown},
)
_SET_RULES: Final = Documentation(
    title="Set the merge rules",
    tag=_TAG,
    text="All of them. Runs that are under way keep those that they began with.",
    body=MergeRules,
    example={"merge_rules": [_RULE]},
    answers={200: RulesShown},
)
_PREVIEW: Final = Documentation(
    title="What a merge rule would do",
    tag=_TAG,
    text="Groups of profiles that share an identifier: who would be kept, who would be merged into it, or why nobody "
    "would be. Nothing changes.",
    body=PreviewBody,
    example={"identifier": "email", "limit": 10},
    answers={200: MergePreview},
    headers=_STALE,
)
_PREVIEW_CSV: Final = Documentation(
    title="What a merge rule would do, as CSV",
    tag=_TAG,
    text="All groups, a line for each profile. A text that a spreadsheet would take for a formula has a `'` before it.",
    body=WholePreviewBody,
    example={"identifier": "email"},
    answers={200: str},
    media_type="text/csv",
    headers=_STALE,
)
_START: Final = Documentation(
    title="Run the merge rules",
    tag=_TAG,
    text="Queued as a job; one run at a time. Its merges go to the bulk stream, and each is checked again when it is "
    "applied. `DELETE /v1/jobs/{id}` ends a run; what it has queued is applied.",
    body=RunBody,
    example={"identifier": "email"},
    answers={202: RunShown},
)
_LIST: Final = Documentation(
    title="Runs of merge rules",
    tag=_TAG,
    text="With what came of them.",
    answers={200: RunList},
    parameters=(
        Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_RUNS)], "Runs in a page; 20 by default."),
        _CURSOR,
    ),
)
_ONE: Final = Documentation(
    title="A run of merge rules",
    tag=_TAG,
    text="How far it is, and what came of it.",
    answers={200: RunShown, 404: Refusal},
    parameters=(_ID,),
)
_MERGES: Final = Documentation(
    title="Merges of a run",
    tag=_TAG,
    text="Each merge that the run asked for: whether it was done, why not, and why an undo left it.",
    answers={200: RunMergeList, 404: Refusal},
    parameters=(_ID, _CURSOR),
)
_UNDO: Final = Documentation(
    title="Take a run back",
    tag=_TAG,
    text="Queued as a job. Its merges are undone, the last one first; what cannot be undone any more stays merged, and "
    "the list of its merges says why.",
    answers={202: RunShown, 404: Refusal},
    parameters=(_ID,),
)
_SCHEDULE: Final = Documentation(
    title="The schedule of the merge rules", tag=_TAG, text="Whether they are run daily.", answers={200: Schedule}
)
_SET_SCHEDULE: Final = Documentation(
    title="Turn the schedule on or off",
    tag=_TAG,
    text="While it is on, all rules are run once a day of the workspace's time zone, soon after it begins; for the "
    "first time on the next day.",
    body=ScheduleBody,
    example={"enabled": True},
    answers={200: Schedule},
)


def endpoints(services: Services) -> list[Endpoint]:
    runs = services.merge_runs

    async def rules(caller: Caller, _request: Request) -> Answer:
        return answered(200, answers.rules(await runs.setup(caller)))

    async def set_rules(caller: Caller, body: bytes) -> Answer:
        return answered(200, answers.rules(await runs.set_rules(caller, contract.read_rules(body))))

    async def preview(caller: Caller, body: bytes) -> Answer:
        seen = await runs.preview(caller, contract.read_preview(body))
        return answered(200, answers.preview(seen.value), stale=seen.stale)

    async def preview_csv(caller: Caller, body: bytes) -> Answer:
        first, rest, stale = await runs.preview_csv(caller, contract.read_run(body))
        return Answer(200, first, headers=STALE if stale else (), rest=rest, media_type="text/csv")

    async def start(caller: Caller, body: bytes) -> Answer:
        run = await runs.start(caller, contract.read_run(body))
        return answered(202, {"merge_run": answers.shown(run)})

    async def listed(caller: Caller, request: Request) -> Answer:
        return answered(200, answers.listed(await runs.listed(caller, contract.read_runs(request.query_params))))

    async def one(caller: Caller, request: Request) -> Answer:
        return answered(200, {"merge_run": answers.shown(await runs.one(caller, request.path_params["id"]))})

    async def merges(caller: Caller, request: Request) -> Answer:
        page = contract.read_runs(request.query_params)
        return answered(200, answers.merges(await runs.merges(caller, request.path_params["id"], page)))

    async def undo(caller: Caller, request: Request) -> Answer:
        return answered(202, {"merge_run": answers.shown(await runs.undo(caller, request.path_params["id"]))})

    async def schedule(caller: Caller, _request: Request) -> Answer:
        found = await runs.setup(caller)
        return answered(200, answers.schedule(found, await runs.next_day(caller, found)))

    async def set_schedule(caller: Caller, body: bytes) -> Answer:
        found = await runs.set_schedule(caller, enabled=contract.read_schedule(body))
        return answered(200, answers.schedule(found, await runs.next_day(caller, found)))

    return [
        Endpoint("GET", "/v1/merge_rules", PERMISSION, "default", rules, _RULES),
        Endpoint("PUT", "/v1/merge_rules", PERMISSION, "default", posting(services, set_rules), _SET_RULES),
        Endpoint("POST", "/v1/merge_previews", PERMISSION, "default", posting(services, preview), _PREVIEW),
        Endpoint("POST", "/v1/merge_previews/csv", PERMISSION, "default", posting(services, preview_csv), _PREVIEW_CSV),
        Endpoint("POST", "/v1/merge_runs", PERMISSION, "default", posting(services, start), _START),
        Endpoint("GET", "/v1/merge_runs", PERMISSION, "default", listed, _LIST),
        Endpoint("GET", "/v1/merge_runs/{id}", PERMISSION, "default", one, _ONE),
        Endpoint("GET", "/v1/merge_runs/{id}/merges", PERMISSION, "default", merges, _MERGES),
        Endpoint("POST", "/v1/merge_runs/{id}/undo", PERMISSION, "default", undo, _UNDO),
        Endpoint("GET", "/v1/merge_schedule", PERMISSION, "default", schedule, _SCHEDULE),
        Endpoint("PUT", "/v1/merge_schedule", PERMISSION, "default", posting(services, set_schedule), _SET_SCHEDULE),
    ]
