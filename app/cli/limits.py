"""`onefold limits`: the limits of a workspace, what is left of them, and what was used."""

import asyncio
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from app.adapters.clock import now_us
from app.api.limits import answers
from app.bootstrap import serving
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    fail,
    opened_workspace,
    settings_for,
)
from app.cli.options import LIMITS, PLAN, given, having
from app.cli.output import AsJson, out, show_list, show_table
from app.contract.errors import RefusedError
from app.contract.limits import MINUTE_US, read_change
from app.contract.plans import CLOCK_HOUR, CONTINUOUS, GROUPS, RESET_STYLES, TRACK_BULK
from app.domain import times
from app.services.caller import Caller
from app.services.calls import direct_calls
from app.services.limits import Limit, LimitsNow, Usage, WorkspaceLimits, change_limits
from app.settings import Settings
from app.store.engine import Database

app = typer.Typer(help="Limits of a workspace: what is configured, left and used.", no_args_is_help=True)

#: Options whose value goes back to that of the plan, and what they are called where they are stored.
_RESETTABLE = {
    "hourly": "track_hourly_limit",
    "burst": "track_burst_limit",
    "burst-window": "burst_window_seconds",
    "max-objects": "max_objects_combined",
    "max-objects-per-array": "max_objects_per_array",
}


#: What the other options are called where they are stored.
_STORED = {
    "plan": "plan",
    "hourly": "track_hourly_limit",
    "burst": "track_burst_limit",
    "burst_window": "burst_window_seconds",
    "hourly_refill": "hourly_refill",
    "reset_style": "track_reset_style",
    "max_objects": "max_objects_combined",
    "max_objects_per_array": "max_objects_per_array",
}
_OWN = {
    "reset_style": Annotated[
        str | None,
        typer.Option("--reset-style", help=f"One of {', '.join(RESET_STYLES)}: X-RateLimit-Reset of /users/track."),
    ],
    "max_objects": Annotated[int | None, typer.Option("--max-objects", min=1, help="Objects in a request.")],
    "max_objects_per_array": Annotated[
        int | None, typer.Option("--max-objects-per-array", min=1, help="Objects in each array of a request.")
    ],
}


@app.command("show")
def show(
    workspace: InWorkspace = DEFAULT_WORKSPACE, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """The limits of a workspace, and what each key called in the last day."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        now = asyncio.run(_now(settings_for(data_dir), database, caller))
    if as_json:
        typer.echo(answers.document(now))
        return
    objects = [now.objects.combined or "any number", now.objects.per_array or "any number"]
    out.print(f"plan {now.workspace.plan}; objects in a request: {objects[0]} in all, {objects[1]} in each array")
    columns = ("group", "limit", "requests", "in (s)", "refill", "left")
    show_list(columns, [(_limit_cells(limit), {}) for limit in now.limits], as_json=False)
    if now.usage is None:
        raise fail("Redis does not answer: what is left and what was used is not known.")
    table = Table("key", "group", "admitted", "refused (429)", "busiest minute", title="last 24 hours")
    for usage in now.usage:
        table.add_row(*_usage_cells(usage))
    show_table(table)


def _limit_cells(limit: Limit) -> tuple[str, ...]:
    bucket = limit.bucket
    left = "?" if limit.left is None else f"{limit.left.remaining:,}"
    refill = CLOCK_HOUR if bucket.align_ms else CONTINUOUS
    return limit.group, bucket.name, f"{bucket.capacity:,}", str(-(-bucket.window_ms // 1000)), refill, left


def _usage_cells(usage: Usage) -> tuple[str, ...]:
    minute, *calls = max(usage.minutes, key=lambda one: one[1] + one[2])
    admitted, refused = (sum(one[n] for one in usage.minutes) for n in (1, 2))
    busiest = f"{sum(calls):,} at {times.iso(minute * MINUTE_US)[:16]}Z"
    return usage.key_name, usage.group, f"{admitted:,}", f"{refused:,}", busiest


async def _now(settings: Settings, database: Database, caller: Caller) -> LimitsNow:
    limiter = serving.limiter(settings)
    try:
        async with direct_calls() as calls:
            return await WorkspaceLimits(database, calls, limiter, now_us, lambda _number: None).show(caller)
    finally:
        await limiter.aclose()


@app.command("set")
@having(PLAN, LIMITS, _OWN)
def set_limits(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help=f"GROUP=REQUESTS/SECONDS, or {TRACK_BULK}=plan. Groups: {', '.join(GROUPS)}."),
    ] = None,
    reset: Annotated[
        list[str] | None,
        typer.Option("--reset", help=f"Back to the plan: {', '.join(_RESETTABLE)}, or a group."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    **options: Any,
) -> None:
    """Change limits. Running processes follow within seconds; tokens that are there are kept."""
    wanted: dict[str, object] = {_STORED[name]: value for name, value in given(options).items()}
    groups = dict(_group(text) for text in group or ())
    for name in reset or ():
        if name in _RESETTABLE:
            wanted[_RESETTABLE[name]] = None
        else:
            groups[name] = None
    if groups:
        wanted["groups"] = groups
    try:
        values, changed = read_change(msgspec.json.encode(wanted))
    except RefusedError as refused:
        raise fail(refused.message) from None
    with opened_workspace(data_dir, workspace) as (database, caller):
        change_limits(database, caller.workspace_id, values, changed)
    out.print(f"limits of workspace {workspace} changed", highlight=False)


def _group(text: str) -> tuple[str, Any]:
    name, _, limit = text.partition("=")
    if limit == "plan":
        return name, limit
    requests, _, seconds = limit.partition("/")
    if not requests.isdecimal() or not seconds.isdecimal():
        raise fail("--group takes GROUP=REQUESTS/SECONDS, as in export-ids=2500/60.")
    return name, {"requests": int(requests), "window_seconds": int(seconds)}
