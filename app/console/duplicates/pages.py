"""Duplicates: merge rules, what they would do, runs, their schedule, and taking a run back."""

from typing import Final

from starlette.responses import Response

from app.console.page import WORKSPACE, Page, Visit
from app.contract import merge_rules as contract
from app.contract.cursor import Page as Part
from app.contract.errors import RefusedError
from app.contract.merge_rules import IDENTIFIERS, NAMES, PreviewRequest
from app.domain.merging.match import PRIORITIZATIONS, TIES, MergeRule
from app.services.accounts import ADMIN, OPERATOR
from app.services.refusals import JobUnderWayError, TooManyJobsError, UnknownRunError

#: Groups, runs and merges on a page.
_GROUPS: Final = 25
_RUNS: Final = 20
_MERGES: Final = 100
_TOO_MANY: Final = "The workspace has as many unfinished jobs as it may have."
_ONE_EACH: Final = "There is one rule for each identifier, and at least one."


async def show_rules(visit: Visit) -> Response:
    return await _shown(visit)


async def list_runs(visit: Visit) -> Response:
    """A part of the page: the newest runs."""
    found = await visit.services.merge_runs.listed(visit.caller, Part(_RUNS))
    return visit.show("duplicates/runs.html", runs=found.runs, names=NAMES)


async def preview(visit: Visit) -> Response:
    """Groups of duplicates, and what a rule would do with them."""
    by, found, wrong = visit.query["by"], None, ""
    try:
        if by and by not in IDENTIFIERS:
            raise RefusedError(400, contract.BAD_IDENTIFIER)
        wanted = PreviewRequest(IDENTIFIERS.get(by), Part(_GROUPS, visit.query["cursor"]))
        found = await visit.services.merge_runs.preview(visit.caller, wanted)
    except RefusedError as refused:
        wrong = refused.message
    setup = await visit.services.merge_runs.setup(visit.caller)
    return visit.show(
        "duplicates/preview.html",
        422 if wrong else 200,
        found=None if found is None else found.value,
        stale=found is not None and found.stale,
        kinds=[NAMES[rule.kind] for rule in setup.rules],
        by=by,
        names=NAMES,
        wrong=wrong,
    )


async def set_rules(visit: Visit) -> Response:
    """The rules in their order: the first, and the second where there is one."""
    form = visit.form
    chosen = zip(form.all("identifier"), form.all("ties"), form.all("prioritization"), strict=False)
    rules = []
    for identifier, ties, prioritization in chosen:
        if not identifier:
            continue
        if identifier not in IDENTIFIERS or ties not in TIES or prioritization not in PRIORITIZATIONS:
            return await _shown(visit, contract.BAD_RULES)
        rules.append(MergeRule(IDENTIFIERS[identifier], ties, prioritization))
    if not rules or len({rule.kind for rule in rules}) < len(rules):
        return await _shown(visit, _ONE_EACH)
    await visit.services.merge_runs.set_rules(visit.caller, tuple(rules))
    visit.target = ", ".join(NAMES[rule.kind] for rule in rules)
    return visit.go("/duplicates", "The rules are kept. Runs that are under way keep theirs.")


async def set_schedule(visit: Visit) -> Response:
    is_on = visit.form["enabled"] == "yes"
    await visit.services.merge_runs.set_schedule(visit.caller, enabled=is_on)
    visit.target = "on" if is_on else "off"
    return visit.go("/duplicates", "The rules are run every day." if is_on else "The rules are run when asked for.")


async def start_run(visit: Visit) -> Response:
    by = visit.target = visit.form["by"]
    try:
        if by and by not in IDENTIFIERS:
            raise RefusedError(400, contract.BAD_IDENTIFIER)
        run = await visit.services.merge_runs.start(visit.caller, IDENTIFIERS.get(by))
    except RefusedError as refused:
        return await _shown(visit, refused.message)
    except JobUnderWayError:
        return await _shown(visit, contract.RUN_UNDER_WAY)
    except TooManyJobsError:
        return await _shown(visit, _TOO_MANY)
    return visit.go(f"/duplicates/runs/{run.run.id}", "The run is queued.")


async def show_run(visit: Visit) -> Response:
    run = await visit.services.merge_runs.one(visit.caller, visit.path["run_id"])
    return visit.show("duplicates/run.html", run=run, names=NAMES)


async def run_state(visit: Visit) -> Response:
    """A part of the page of a run: how far it is, and its merges."""
    run_id, cursor = visit.path["run_id"], visit.query["cursor"]
    run = await visit.services.merge_runs.one(visit.caller, run_id)
    merges = await visit.services.merge_runs.merges(visit.caller, run_id, Part(_MERGES, cursor))
    return visit.show("duplicates/state.html", run=run, merges=merges, names=NAMES)


async def undo_run(visit: Visit) -> Response:
    run_id = visit.target = visit.form["run_id"]
    try:
        await visit.services.merge_runs.undo(visit.caller, run_id)
    except UnknownRunError:
        return visit.go("/duplicates", contract.UNKNOWN_RUN)
    except JobUnderWayError as error:
        said = contract.RUN_UNDER_WAY if error.kind == "merge_run" else contract.UNDO_UNDER_WAY
        return visit.go("/duplicates", said)
    except TooManyJobsError:
        return visit.go("/duplicates", _TOO_MANY)
    return visit.go(f"/duplicates/runs/{run_id}", "The run is being taken back.")


async def _shown(visit: Visit, wrong: str = "") -> Response:
    merge_runs = visit.services.merge_runs
    setup = await merge_runs.setup(visit.caller)
    return visit.show(
        "duplicates/rules.html",
        422 if wrong else 200,
        rules=[*setup.rules, None][: len(IDENTIFIERS)],
        names=NAMES,
        identifiers=tuple(IDENTIFIERS),
        ties=TIES,
        prioritizations=PRIORITIZATIONS,
        is_scheduled=setup.scheduled_us is not None,
        next_day=await merge_runs.next_day(visit.caller, setup),
        wrong=wrong,
    )


PAGES: Final = (
    Page(f"{WORKSPACE}/duplicates", show_rules, title="Duplicates"),
    Page(f"{WORKSPACE}/duplicates/preview", preview),
    Page(f"{WORKSPACE}/duplicates/runs", list_runs),
    Page(f"{WORKSPACE}/duplicates/runs/{{run_id}}", show_run),
    Page(f"{WORKSPACE}/duplicates/runs/{{run_id}}/state", run_state),
    Page(f"{WORKSPACE}/duplicates/rules", set_rules, role=ADMIN, method="POST", act="duplicates.rules"),
    Page(f"{WORKSPACE}/duplicates/schedule", set_schedule, role=ADMIN, method="POST", act="duplicates.schedule"),
    Page(f"{WORKSPACE}/duplicates/runs", start_run, role=OPERATOR, method="POST", act="duplicates.run"),
    Page(f"{WORKSPACE}/duplicates/undo", undo_run, role=OPERATOR, method="POST", act="duplicates.undo"),
)
