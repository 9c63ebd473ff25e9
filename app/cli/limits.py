"""`onefold limits`: the limits of a workspace, what is left of them, and what was used."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from app import bootstrap
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.cli.keys import workspace_id
from app.contract.errors import RefusedError
from app.contract.limits import read_change
from app.contract.plans import GROUPS, MAX_LIMIT, MAX_WINDOW_SECONDS, PLANS, REFILLS, RESET_STYLES, TRACK_BULK
from app.services.calls import StoreCalls
from app.services.limits import WorkspaceLimits
from app.settings import Settings
from app.store import workspaces
from app.store.engine import Database

app = typer.Typer(help="Limits of a workspace: what is configured, left and used.", no_args_is_help=True)

InWorkspace = Annotated[str, typer.Option("--workspace", help="Name of the workspace.")]
#: Options whose value goes back to that of the plan, and what they are called where they are stored.
_RESETTABLE = {
    "hourly": "track_hourly_limit",
    "burst": "track_burst_limit",
    "burst-window": "burst_window_seconds",
    "max-objects": "max_objects_combined",
    "max-objects-per-array": "max_objects_per_array",
}


@app.command("show")
def show(workspace: InWorkspace = "default", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """The limits of a workspace, and what each key called in the last day."""
    settings = settings_for(data_dir)
    with opened(settings) as database:
        found = asyncio.run(_found(settings, database, workspace_id(database, workspace)))
    objects = [found["max_objects_combined"] or "any number", found["max_objects_per_array"] or "any number"]
    out.print(f"plan {found['plan']}; objects in a request: {objects[0]} in all, {objects[1]} in each array")
    limits = Table("group", "limit", "requests", "in (s)", "refill", "left")
    for limit in found["limits"]:
        left = "?" if limit["remaining"] is None else f"{limit['remaining']:,}"
        seconds = str(limit["window_seconds"])
        limits.add_row(limit["group"], limit["name"], f"{limit['requests']:,}", seconds, limit["refill"], left)
    out.print(limits)
    if found["degraded"]:
        raise fail("Redis does not answer: what is left and what was used is not known.")
    used = Table("key", "group", "admitted", "refused (429)", "busiest minute", title="last 24 hours")
    for one in found["usage"]:
        top = max(one["minutes"], key=lambda minute: minute["admitted"] + minute["refused"])
        busiest = f"{top['admitted'] + top['refused']:,} at {top['minute'][:16]}Z"
        used.add_row(one["key"], one["group"], f"{one['admitted']:,}", f"{one['refused']:,}", busiest)
    out.print(used)


async def _found(settings: Settings, database: Database, number: int) -> dict[str, Any]:
    executor = ThreadPoolExecutor(1)
    limiter = bootstrap.limiter(settings)
    try:
        calls = StoreCalls(executor, settings.answer_seconds)
        desk = WorkspaceLimits(database, calls, limiter, bootstrap.now_us, lambda _workspace: None)
        found: dict[str, Any] = msgspec.json.decode((await desk.of(number)).body)
        return found
    finally:
        await limiter.aclose()
        executor.shutdown()


@app.command("set")
def set_limits(
    workspace: InWorkspace = "default",
    plan: Annotated[str | None, typer.Option("--plan", help=f"One of {', '.join(PLANS)}.")] = None,
    hourly: Annotated[
        int | None, typer.Option("--hourly", min=1, max=MAX_LIMIT, help="/users/track requests per hour.")
    ] = None,
    burst: Annotated[
        int | None, typer.Option("--burst", min=1, max=MAX_LIMIT, help="/users/track requests per burst window.")
    ] = None,
    burst_window: Annotated[
        int | None, typer.Option("--burst-window", min=1, max=MAX_WINDOW_SECONDS, help="Burst window in seconds.")
    ] = None,
    hourly_refill: Annotated[
        str | None, typer.Option("--hourly-refill", help=f"One of {', '.join(REFILLS)}: in full at hh:00 UTC.")
    ] = None,
    reset_style: Annotated[
        str | None,
        typer.Option("--reset-style", help=f"One of {', '.join(RESET_STYLES)}: X-RateLimit-Reset of /users/track."),
    ] = None,
    max_objects: Annotated[int | None, typer.Option("--max-objects", min=1, help="Objects in a request.")] = None,
    max_objects_per_array: Annotated[
        int | None, typer.Option("--max-objects-per-array", min=1, help="Objects in each array of a request.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help=f"GROUP=REQUESTS/SECONDS, or {TRACK_BULK}=plan. Groups: {', '.join(GROUPS)}."),
    ] = None,
    reset: Annotated[
        list[str] | None,
        typer.Option("--reset", help=f"Back to the plan: {', '.join(_RESETTABLE)}, or a group."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Change limits. Running processes follow within seconds; tokens that are there are kept."""
    wanted: dict[str, object] = {
        "plan": plan,
        "track_hourly_limit": hourly,
        "track_burst_limit": burst,
        "burst_window_seconds": burst_window,
        "hourly_refill": hourly_refill,
        "track_reset_style": reset_style,
        "max_objects_combined": max_objects,
        "max_objects_per_array": max_objects_per_array,
    }
    wanted = {name: value for name, value in wanted.items() if value is not None}
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
    with opened(settings_for(data_dir)) as database:
        workspaces.change_limits(database, workspace_id(database, workspace), values, changed)
    out.print(f"limits of workspace {workspace} changed", highlight=False)


def _group(text: str) -> tuple[str, Any]:
    name, _, limit = text.partition("=")
    if limit == "plan":
        return name, limit
    requests, _, seconds = limit.partition("/")
    if not requests.isdecimal() or not seconds.isdecimal():
        raise fail("--group takes GROUP=REQUESTS/SECONDS, as in export-ids=2500/60.")
    return name, {"requests": int(requests), "window_seconds": int(seconds)}
