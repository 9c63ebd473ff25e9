"""`onefold alerts`: what is watched, who is told, and what was said; of a workspace, or of the installation."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer

from app.adapters.clock import now_us
from app.api.alerts import answers
from app.bootstrap import serving
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    fail,
    opened,
    opened_workspace,
    refused,
    settings_for,
)
from app.cli.options import Options, given, having
from app.cli.output import AsJson, errors, out, show, show_list
from app.contract import alerts as contract
from app.domain import times
from app.domain.alerts import DELIVERED, DUE, METRICS
from app.services import alerts
from app.services.alerts import Alert, Message, Owner
from app.services.refusals import AlertChangedError, TooManyAlertsError, TooManyMessagesError, UnknownAlertError
from app.store.engine import Database

app = typer.Typer(help="Alerts: numbers that are watched, and who is told.", no_args_is_help=True)

#: Who made these alerts.
OPERATOR: Final = "onefold alerts"
#: How long a test is waited for: a sweeper sends it.
TEST_SECONDS: Final = 30.0

AlertId = Annotated[str, typer.Argument(metavar="ID")]
OfInstallation = Annotated[
    bool, typer.Option("--installation", help="Of the installation: over all workspaces together.")
]
#: What an alert watches, and how; who is told.
TERMS: Final[Options] = {
    "window_minutes": Annotated[
        int | None, typer.Option("--window-minutes", help="Counts are those of so many minutes; at first 5.")
    ],
    "for_seconds": Annotated[
        int | None, typer.Option("--for-seconds", help="So long it has to be too much; at first 60.")
    ],
    "clear_seconds": Annotated[
        int | None, typer.Option("--clear-seconds", help="So long it has to be well again; at first 60.")
    ],
    "key_id": Annotated[
        str | None, typer.Option("--key-id", help="Of responses_…: of this key or app alone; empty for all of them.")
    ],
    "endpoint": Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            help="Of responses_…: of this path alone, such as 'POST /users/track'; empty for all of them.",
        ),
    ],
    "webhook": Annotated[str | None, typer.Option("--webhook", help="URL that is told.")],
    "emails": Annotated[
        list[str] | None, typer.Option("--email", help="Address that is told; may be given many times.")
    ],
}

_REFUSALS: Final[Mapping[type[Exception], str]] = {
    UnknownAlertError: contract.UNKNOWN,
    TooManyAlertsError: contract.TOO_MANY,
    TooManyMessagesError: contract.TOO_MANY_MESSAGES,
    AlertChangedError: contract.CHANGED,
}


@contextmanager
def _owned(data_dir: DataDir, workspace: str, *, installation: bool) -> Iterator[tuple[Database, Owner]]:
    """The database, and whose alerts are meant. Refusals end the command."""
    if installation:
        with opened(settings_for(data_dir)) as database, refused(_REFUSALS):
            yield database, Owner.installation(OPERATOR)
    else:
        with opened_workspace(data_dir, workspace, OPERATOR) as (database, caller), refused(_REFUSALS):
            yield database, Owner.of(caller)


@app.command("create")
@having(TERMS)
def create_alert(
    name: str,
    metric: Annotated[str, typer.Option("--metric", help=f"One of {', '.join(METRICS)}.")],
    above: Annotated[int, typer.Option("--above", min=0, max=contract.MAX_ABOVE, help="It fires above this.")],
    installation: OfInstallation = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    **terms: Any,
) -> None:
    """Make an alert, and print its id. Sweepers look at it from then on."""
    sent = _sent({"name": name, "metric": metric, "above": above}, terms)
    settings = serving.alert_settings(settings_for(data_dir))
    with _owned(data_dir, workspace, installation=installation) as (database, owner):
        made = alerts.create(database, owner, contract.new(sent, installation=installation), now_us(), settings)
    out.print(made.id, highlight=False)
    _tell_secret(made)


@app.command("list")
def list_alerts(
    installation: OfInstallation = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """All alerts with where they stand, the oldest first."""
    with _owned(data_dir, workspace, installation=installation) as (database, owner):
        found = alerts.listed(database, owner)
    columns = ("id", "name", "metric", "above", "of", "state", "since", "value", "tells")
    show_list(columns, [(_cells(alert), contract.shown(alert)) for alert in found], as_json=as_json)


def _tell_secret(alert: Alert) -> None:
    """On standard error, so that a script that keeps the id does not keep the secret with it."""
    if alert.secret:
        errors.print(
            f"What the webhook is told is signed with {alert.secret}, which is shown this once.",
            highlight=False,
            soft_wrap=True,
        )


def _cells(alert: Alert) -> tuple[str, ...]:
    return (
        alert.id,
        alert.name,
        alert.metric,
        str(alert.above),
        " ".join(filter(None, (alert.key_id, alert.endpoint))) or "all",
        alert.standing.state if alert.enabled else "off",
        times.iso(alert.standing.since_us),
        "" if alert.value is None else str(alert.value),
        " ".join(alert.targets),
    )


@app.command("update")
@having(TERMS)
def update_alert(
    alert_id: AlertId,
    name: Annotated[str | None, typer.Option("--name", help="Its new name.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help=f"One of {', '.join(METRICS)}.")] = None,
    above: Annotated[
        int | None, typer.Option("--above", min=0, max=contract.MAX_ABOVE, help="It fires above this.")
    ] = None,
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="Whether it is looked at.")] = None,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="Give it another secret; the one until now signs nothing more.")
    ] = False,
    installation: OfInstallation = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    **terms: Any,
) -> None:
    """Change an alert, which begins anew. An empty --key-id or --endpoint stands for all of them again."""
    own = {"name": name, "metric": metric, "above": above, "enabled": enabled, "new_secret": new_secret or None}
    sent = _sent(own, terms)
    if not sent:
        raise fail("Give what is to be changed, such as --above.")
    settings = serving.alert_settings(settings_for(data_dir))
    with _owned(data_dir, workspace, installation=installation) as (database, owner):
        changed = alerts.change(database, owner, alert_id, contract.changes(sent), now_us(), settings)
    out.print("changed", highlight=False)
    _tell_secret(changed)


@app.command("delete")
def delete_alert(
    alert_id: AlertId,
    installation: OfInstallation = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Delete an alert. Messages that are due still go out."""
    with _owned(data_dir, workspace, installation=installation) as (database, owner):
        alerts.delete(database, owner, alert_id)
    out.print("deleted", highlight=False)


@app.command("test")
def send_test(
    alert_id: AlertId,
    installation: OfInstallation = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Send a message that says that it is a test, and wait until a sweeper has tried. Fails when it was not taken."""
    settings = serving.alert_settings(settings_for(data_dir))
    with _owned(data_dir, workspace, installation=installation) as (database, owner):
        found: Message | None = alerts.test(database, owner, alert_id, now_us(), settings)
        ends = time.monotonic() + TEST_SECONDS
        while found is not None and found.delivery == DUE and not found.error and time.monotonic() < ends:
            time.sleep(0.2)
            found = alerts.message(database, owner, found.id)
    if found is not None and found.delivery == DELIVERED:
        out.print("delivered", highlight=False)
    elif found is not None and found.error:
        raise fail(f"It was not taken: {found.error}. `onefold alerts messages` tells what comes of further attempts.")
    else:
        raise fail("No sweeper has sent it yet: does one run? `onefold alerts messages` tells what came of it.")


@app.command("messages")
def list_messages(
    alert_id: Annotated[str | None, typer.Option("--alert", help="Of this alert alone.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=contract.MAX_MESSAGES)] = contract.DEFAULT_MESSAGES,
    installation: OfInstallation = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """What the alerts said, newest first, and whether it was taken."""
    with _owned(data_dir, workspace, installation=installation) as (database, owner):
        found = alerts.messages(database, owner, alert_id, limit)
    rows = [
        (
            (times.iso(one.us), one.said, one.delivery, str(one.attempts), one.error, str(one.doc["text"])),
            answers.shown(one),
        )
        for one in found
    ]
    show_list(("at", "says", "delivery", "attempts", "error", "text"), rows, as_json=as_json)


@app.command("show")
def show_alert(
    alert_id: AlertId,
    installation: OfInstallation = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print an alert, and where it stands."""
    with _owned(data_dir, workspace, installation=installation) as (database, owner):
        show(contract.shown(alerts.one(database, owner, alert_id)))


def _sent(own: Mapping[str, Any], terms: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, as a client would send it. An empty text for a key or an endpoint stands for all of them."""
    sent = given(own) | {name: value for name, value in given(terms).items() if value != []}
    return {name: None if name in ("key_id", "endpoint") and not value else value for name, value in sent.items()}
