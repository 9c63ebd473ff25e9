"""`onefold workspace`: tenants and their limits."""

from typing import Annotated

import typer
from rich.table import Table

from app.bootstrap import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.contract.data_rules import MAX_ARRAY
from app.contract.export import REQUIRES_FIELDS
from app.contract.plans import DEFAULT_PLAN, MAX_LIMIT, PLANS
from app.contract.stored import KIND_SETTINGS, settings_change
from app.store import companies, inbox, workspaces
from app.store.engine import Database
from app.store.inbox import Entry

app = typer.Typer(help="Workspaces: tenants with profiles, keys and limits of their own.", no_args_is_help=True)

Plan = Annotated[str | None, typer.Option("--plan", help=f"One of {', '.join(PLANS)}.")]
Hourly = Annotated[int | None, typer.Option("--hourly", min=1, max=MAX_LIMIT, help="/users/track requests per hour.")]
Burst = Annotated[
    int | None, typer.Option("--burst", min=1, max=MAX_LIMIT, help="/users/track requests per burst window.")
]
Window = Annotated[int | None, typer.Option("--burst-window", min=1, max=3600, help="Burst window in seconds.")]
Autocreate = Annotated[
    bool | None,
    typer.Option(
        "--alias-autocreate-on-purchase/--no-alias-autocreate-on-purchase",
        help="Whether a purchase for an unknown alias makes a profile without being told to.",
    ),
]
NullDeletes = Annotated[
    bool | None,
    typer.Option(
        "--nested-null-deletes/--no-nested-null-deletes",
        help="Whether null inside an object takes a key out when objects are merged, or drops the update.",
    ),
]
ArrayMax = Annotated[
    int | None,
    typer.Option("--array-max-default", min=1, max=MAX_ARRAY, help="Elements of an array, unless set by name."),
]
Resubscribe = Annotated[
    bool | None,
    typer.Option(
        "--resubscribe-on-email-change/--no-resubscribe-on-email-change",
        help="Whether an unsubscribed profile is subscribed when it gets another address.",
    ),
]
RequiresFields = Annotated[
    bool | None,
    typer.Option(
        "--export-requires-fields/--no-export-requires-fields",
        help="Whether an export has to say which fields it wants.",
    ),
]
Disabled = Annotated[
    bool | None,
    typer.Option("--disabled/--enabled", help="Whether its keys are refused; what was accepted is applied."),
]
InCompany = Annotated[
    str | None, typer.Option("--company", help="Company whose limits it shares; an empty text = none any more.")
]
Legacy = Annotated[
    bool | None,
    typer.Option(
        "--legacy-api-key-auth/--no-legacy-api-key-auth",
        help="Whether requests without a header may carry their key as api_key in the body or the query string.",
    ),
]


def _limits(hourly: int | None, burst: int | None, window: int | None) -> dict[str, int]:
    values = {"hourly_limit": hourly, "burst_limit": burst, "burst_window_seconds": window}
    return {name: value for name, value in values.items() if value is not None}


def _checked(plan: str) -> str:
    if plan not in PLANS:
        raise fail(f"Unknown plan. Plans: {', '.join(PLANS)}.")
    return plan


def change_settings(database: Database, workspace_id: int, values: dict[str, object]) -> None:
    """Queue new apply settings: they take effect behind everything accepted before, and before everything after."""
    codec, body = settings_change(values)
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace_id, 0, [Entry(KIND_SETTINGS, codec, body)], now_us())


@app.command("create")
def create(
    name: str,
    plan: Plan = DEFAULT_PLAN,
    hourly: Hourly = None,
    burst: Burst = None,
    burst_window: Window = None,
    alias_autocreate_on_purchase: Autocreate = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a workspace. Limits that are not given come from the plan."""
    plan = _checked(plan or DEFAULT_PLAN)
    with opened(settings_for(data_dir)) as database:
        try:
            made = workspaces.create(database, name, plan, now_us(), **_limits(hourly, burst, burst_window))
        except workspaces.NameTakenError:
            raise fail("A workspace of this name exists.") from None
        if alias_autocreate_on_purchase is not None:
            change_settings(
                database,
                workspaces.number(made),
                {"alias_autocreate_on_purchase": alias_autocreate_on_purchase},
            )
    out.print(f"workspace {name} created", highlight=False)


@app.command("list")
def list_workspaces(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """All workspaces with their plans and limits."""
    table = Table("name", "plan", "hourly", "burst", "window (s)", "")
    with opened(settings_for(data_dir)) as database:
        for workspace in workspaces.listed(database):
            plan = PLANS[workspace.plan]
            table.add_row(
                workspace.name,
                workspace.plan,
                str(workspace.hourly_limit or plan.hourly_limit or "-"),
                str(workspace.burst_limit or plan.burst_limit),
                str(workspace.burst_window_seconds or plan.burst_window_seconds),
                "disabled" if workspace.disabled else "",
            )
    out.print(table)


@app.command("set")
def set_workspace(
    name: str,
    plan: Plan = None,
    hourly: Hourly = None,
    burst: Burst = None,
    burst_window: Window = None,
    alias_autocreate_on_purchase: Autocreate = None,
    nested_null_deletes: NullDeletes = None,
    array_max_default: ArrayMax = None,
    resubscribe_on_email_change: Resubscribe = None,
    export_requires_fields: RequiresFields = None,
    disabled: Disabled = None,
    legacy_api_key_auth: Legacy = None,
    company: InCompany = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Change a workspace. Running processes follow within seconds (ONEFOLD_KEY_CACHE_SECONDS, 4 by default)."""
    values: dict[str, object] = {**_limits(hourly, burst, burst_window)}
    if disabled is not None:
        values["disabled"] = disabled
    if legacy_api_key_auth is not None:
        values["legacy_api_key_auth"] = legacy_api_key_auth
    if plan is not None:
        values["plan"] = _checked(plan)
    with opened(settings_for(data_dir)) as database:
        if company is not None:
            values["company_id"] = _company_id(database, company)
        try:
            if export_requires_fields is not None:
                before = workspaces.get(database, name).options
                values["options"] = before | {REQUIRES_FIELDS: export_requires_fields}
            found = workspaces.update(database, name, values)
        except workspaces.UnknownNameError:
            raise fail("No workspace has this name: see `onefold workspace list`.") from None
        applied: dict[str, object] = {
            "alias_autocreate_on_purchase": alias_autocreate_on_purchase,
            "nested_null_deletes": nested_null_deletes,
            "array_max": array_max_default,
            "resubscribe_on_email_change": resubscribe_on_email_change,
        }
        applied = {setting: value for setting, value in applied.items() if value is not None}
        if applied:
            change_settings(database, workspaces.number(found), applied)
    out.print(f"workspace {name} changed", highlight=False)


def _company_id(database: Database, name: str) -> int | None:
    if not name:
        return None
    try:
        return companies.get(database, name).id
    except workspaces.UnknownNameError:
        raise fail("No company has this name: see `onefold company list`.") from None
