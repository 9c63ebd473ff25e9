"""`onefold workspaces`: tenants and their settings."""

from typing import Annotated, Any, Final

import typer

from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, settings_for
from app.cli.options import LIMITS, PLAN, Options, given, having, hidden
from app.cli.output import AsJson, Row, out, show_list
from app.contract.data_rules import MAX_ARRAY
from app.contract.plans import PLANS
from app.domain import times
from app.domain.settings import ApplySettings
from app.services import workspace_deletions, workspaces
from app.services.naming import InvalidNameError
from app.services.workspace_deletions import Deletion
from app.services.workspaces import InvalidSettingError, NameTakenError, UnknownNameError, Workspace

app = typer.Typer(help="Workspaces: tenants with profiles, keys and limits of their own.", no_args_is_help=True)

SWITCHES: Final[Options] = {
    "alias_autocreate_on_purchase": Annotated[
        bool | None,
        typer.Option(
            "--alias-autocreate-on-purchase/--no-alias-autocreate-on-purchase",
            help="Whether a purchase for an unknown alias makes a profile without being told to.",
        ),
    ],
    "nested_null_deletes": Annotated[
        bool | None,
        typer.Option(
            "--nested-null-deletes/--no-nested-null-deletes",
            help="Whether null inside an object takes a key out when objects are merged, or is left out itself.",
        ),
    ],
    "array_max": Annotated[
        int | None,
        typer.Option("--array-max-default", min=1, max=MAX_ARRAY, help="Elements of an array, unless set by name."),
    ],
    "resubscribe_on_email_change": Annotated[
        bool | None,
        typer.Option(
            "--resubscribe-on-email-change/--no-resubscribe-on-email-change",
            help="Whether an unsubscribed profile is subscribed when it gets another address.",
        ),
    ],
    "export_requires_fields": Annotated[
        bool | None,
        typer.Option(
            "--export-requires-fields/--no-export-requires-fields",
            help="Whether an export has to say which fields it wants.",
        ),
    ],
    "ecommerce_events": Annotated[
        bool | None,
        typer.Option(
            "--ecommerce-events/--no-ecommerce-events",
            help="Whether the recommended e-commerce events are checked and count revenue; at first they do.",
        ),
    ],
    "default_phone_region": Annotated[
        str | None,
        typer.Option("--default-phone-region", help="Country of phone numbers without a +, two letters; at first US."),
    ],
    "time_zone": Annotated[
        str | None, typer.Option("--time-zone", help="IANA name of the time zone of its days; at first UTC.")
    ],
    "max_profile_bytes": Annotated[
        int | None,
        typer.Option(
            "--max-profile-bytes",
            min=256_000,
            max=64_000_000,
            help="Beyond so many bytes nothing makes a profile larger; at first 8,000,000.",
        ),
    ],
    "message_max": Annotated[
        int | None,
        typer.Option(
            "--message-max",
            min=1,
            max=10_000,
            help="Messages, campaigns and canvases that a profile keeps; at first 500.",
        ),
    ],
    "max_devices_per_profile": Annotated[
        int | None,
        typer.Option(
            "--max-devices-per-profile",
            min=1,
            max=10_000,
            help="Devices that a profile keeps, and as many push tokens; at first 100.",
        ),
    ],
    **{
        name: Annotated[
            int | None,
            typer.Option(
                f"--{name.replace('_', '-')}",
                min=0,
                max=2**31,
                help=f"{what} beyond which a profile is blocked; 0 = none. At first {default:,}.",
            ),
        ]
        for name, what, default in (
            ("spam_sessions", "Sessions", 5_000_000),
            ("spam_event_names", "Names of custom events", 20_000),
            ("spam_product_ids", "Products bought", 20_000),
        )
    },
    "archival": Annotated[
        bool | None,
        typer.Option(
            "--archival/--no-archival",
            help="Whether people of whom nothing was heard for long are deleted, on Sundays; at first they are not.",
        ),
    ],
    "disabled": Annotated[
        bool | None,
        typer.Option("--disabled/--enabled", help="Whether its keys are refused; what was accepted is applied."),
    ],
    "company": Annotated[
        str | None, typer.Option("--company", help="Company whose limits it shares; an empty text = none any more.")
    ],
    "legacy_api_key_auth": Annotated[
        bool | None,
        typer.Option(
            "--legacy-api-key-auth/--no-legacy-api-key-auth",
            help="Whether requests without a header may carry their key as api_key in the body or the query string.",
        ),
    ],
}
#: Until 1.0. Their place is `onefold limits set`.
_FORMER: Final[Options] = hidden({name: LIMITS[name] for name in ("hourly", "burst", "burst_window")})
_COLUMNS: Final = {"hourly": "hourly_limit", "burst": "burst_limit", "burst_window": "burst_window_seconds"}


@app.command("create")
@having(PLAN, SWITCHES, _FORMER)
def create(name: str, data_dir: DataDir = DEFAULT_DATA_DIR, **options: Any) -> None:
    """Make a workspace. Limits come from the plan, until `onefold limits set` changes them."""
    with opened(settings_for(data_dir)) as database:
        try:
            workspaces.create(database, name, _settings(options), now_us())
        except NameTakenError:
            raise fail("A workspace of this name exists.") from None
        except (InvalidNameError, InvalidSettingError) as error:
            raise fail(str(error)) from None
    out.print(f"workspace {name} created", highlight=False)


@app.command("set")
@having(hidden(PLAN), SWITCHES, _FORMER)
def set_workspace(name: str, data_dir: DataDir = DEFAULT_DATA_DIR, **options: Any) -> None:
    """Change a workspace. Running processes follow within seconds (ONEFOLD_KEY_CACHE_SECONDS, 4 by default)."""
    with opened(settings_for(data_dir)) as database:
        try:
            workspaces.change(database, name, _settings(options), now_us())
        except UnknownNameError:
            raise fail("No workspace has this name: see `onefold workspaces list`.") from None
        except InvalidSettingError as error:
            raise fail(str(error)) from None
    out.print(f"workspace {name} changed", highlight=False)


@app.command("list")
def list_workspaces(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """All workspaces with their plans and limits. Metrics and logs name a workspace by its number."""
    with opened(settings_for(data_dir)) as database:
        rows = [_row(one, workspaces.applied_settings(database, one)) for one in workspaces.listed(database)]
    show_list(("number", "name", "plan", "hourly", "burst", "window (s)", ""), rows, as_json=as_json)


@app.command("delete")
def delete(
    name: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the name again.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Delete a workspace with everything in it: people, keys, requests, files. Nothing brings it back."""
    with opened(settings_for(data_dir)) as database:
        try:
            number = workspace_deletions.number_of(database, name)
        except UnknownNameError:
            raise fail("No workspace has this name: see `onefold workspaces list`.") from None
        if not yes and typer.prompt("Everything in it will be gone. Type its name to delete it") != name:
            raise fail("That is not its name. Nothing was deleted.")
        workspace_deletions.begin(database, workspaces.operator(database, name, "onefold workspaces"), now_us())
        out.print(f"workspace {name} accepts nothing any more; what it has is being deleted", highlight=False)
        rows = workspace_deletions.finish(database, number, now_us)
    out.print(f"workspace {name} deleted: {rows:,} rows", highlight=False)


@app.command("deletions")
def list_deletions(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Workspaces that were deleted, by number. The last look for what is left comes three minutes after the first."""
    with opened(settings_for(data_dir)) as database:
        rows = [_deletion(one) for one in workspace_deletions.listed(database)]
    show_list(("number", "asked for", "emptied", "finished"), rows, as_json=as_json)


def _deletion(deletion: Deletion) -> Row:
    moments = {"deleted_at": deletion.us, "emptied_at": deletion.emptied_us, "finished_at": deletion.finished_us}
    shown = {name: None if us is None else times.iso(us) for name, us in moments.items()}
    return (str(deletion.workspace_id), *(text or "" for text in shown.values())), {
        "number": deletion.workspace_id,
        **shown,
    }


def _row(workspace: Workspace, applied: ApplySettings) -> Row:
    plan = PLANS[workspace.plan]
    hourly = workspace.hourly_limit or plan.hourly_limit
    burst = workspace.burst_limit or plan.burst_limit
    window = workspace.burst_window_seconds or plan.burst_window_seconds
    disabled = "disabled" if workspace.disabled else ""
    number = str(workspace.id)
    cells = (number, workspace.name, workspace.plan, str(hourly or "-"), str(burst), str(window), disabled)
    document = {
        "number": workspace.id,
        "name": workspace.name,
        "plan": workspace.plan,
        "hourly_limit": hourly,
        "burst_limit": burst,
        "burst_window_seconds": window,
        "disabled": workspace.disabled,
        "time_zone": applied.time_zone,
        "max_profile_bytes": applied.max_profile_bytes,
    }
    return cells, document


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    return {_COLUMNS.get(name, name): value for name, value in given(options).items()}
