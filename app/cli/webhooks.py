"""`onefold webhooks`: who is told which profiles change, and what they were not told yet."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Final, Literal

import typer

from app.adapters.clock import now_us
from app.api.webhooks import answers
from app.bootstrap import serving
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    opened_workspace,
    refused,
    settings_for,
)
from app.cli.output import AsJson, out, show, show_list
from app.contract import webhooks as contract
from app.domain import times
from app.domain.webhooks import CHANGES, EVENTS, names_of
from app.services import webhooks
from app.services.caller import Caller
from app.services.refusals import TooManyWebhooksError, UnknownWebhookError
from app.store.engine import Database

app = typer.Typer(help="Change webhooks: who is told which profiles change.", no_args_is_help=True)

#: Who made these webhooks.
OPERATOR: Final = "onefold webhooks"

WebhookId = Annotated[str, typer.Argument(metavar="ID")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", help=f"What it is told of; may be given many times. One of {', '.join(EVENTS)}."),
]
SegmentId = Annotated[
    str | None,
    typer.Option("--segment", metavar="ID", help="Tell it only of people in this segment. Empty = of everybody."),
]
WithProfile = Annotated[
    bool | None, typer.Option("--with-profile/--without-profile", help="Whether messages hold the whole profile.")
]

_REFUSALS: Final[Mapping[type[Exception], str]] = {
    UnknownWebhookError: contract.UNKNOWN,
    TooManyWebhooksError: contract.TOO_MANY,
}


@contextmanager
def _owned(data_dir: DataDir, workspace: str) -> Iterator[tuple[Database, Caller]]:
    """The database, and whose webhooks are meant. Refusals end the command."""
    with opened_workspace(data_dir, workspace, OPERATOR) as (database, caller), refused(_REFUSALS):
        yield database, caller


def _sent(
    url: str | None, events: list[str] | None, segment_id: str | None, with_profile: bool | None
) -> dict[str, object]:
    """What was given, as a client would send it."""
    include = None if with_profile is None else contract.PROFILE if with_profile else ""
    given = {"url": url, "events": events or None, "segment_id": segment_id, "include": include}
    return {name: value or None for name, value in given.items() if value is not None}


@app.command("create")
def create_webhook(
    url: str,
    events: Events = None,
    segment_id: SegmentId = None,
    with_profile: WithProfile = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a webhook for the given events, or for all that it can be told of. Prints its id, and its secret, which is
    not shown again."""
    settings = serving.webhook_settings(settings_for(data_dir))
    with _owned(data_dir, workspace) as (database, caller):
        events = events or list(EVENTS if segment_id else CHANGES)
        fields = contract.new(_sent(url, events, segment_id, with_profile))
        made = webhooks.create(database, caller, fields, now_us(), settings)
    out.print(f"{made.id}\n{made.secret}", highlight=False)


@app.command("list")
def list_webhooks(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """All webhooks with how they fare, the oldest first."""
    with _owned(data_dir, workspace) as (database, caller):
        found = webhooks.listed(database, caller)
    rows = [
        (
            (
                one.id,
                one.url,
                ", ".join(one.events),
                "yes" if one.enabled else "no",
                times.iso(one.delivered_us) if one.delivered_us else "",
                str(one.failures),
                one.error,
            ),
            contract.shown(one),
        )
        for one in found
    ]
    show_list(("id", "url", "events", "enabled", "delivered", "failures", "error"), rows, as_json=as_json)


@app.command("show")
def show_webhook(
    webhook_id: WebhookId,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a webhook, and how it fares."""
    with _owned(data_dir, workspace) as (database, caller):
        show(contract.shown(webhooks.one(database, caller, webhook_id)))


@app.command("update")
def update_webhook(
    webhook_id: WebhookId,
    url: Annotated[str | None, typer.Option("--url")] = None,
    events: Events = None,
    segment_id: SegmentId = None,
    with_profile: WithProfile = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="A disabled one is told nothing.")] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Change a webhook. What waits for it goes out at once."""
    settings = serving.webhook_settings(settings_for(data_dir))
    sent = _sent(url, events, segment_id, with_profile) | ({} if enabled is None else {"enabled": enabled})
    with _owned(data_dir, workspace) as (database, caller):
        webhooks.change(database, caller, webhook_id, contract.changes(sent), now_us(), settings)
    out.print("changed", highlight=False)


@app.command("rotate")
def rotate_secret(
    webhook_id: WebhookId,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a new secret. For a day messages are signed with the former one as well."""
    with _owned(data_dir, workspace) as (database, caller):
        out.print(webhooks.rotate(database, caller, webhook_id, now_us()).secret, highlight=False)


@app.command("delete")
def delete_webhook(
    webhook_id: WebhookId,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Delete a webhook, with all that it was not told yet."""
    with _owned(data_dir, workspace) as (database, caller):
        webhooks.delete(database, caller, webhook_id)
    out.print("deleted", highlight=False)


@app.command("test")
def send_test(
    webhook_id: WebhookId,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Have a sweeper send a message that says that it is a test. Prints its id."""
    with _owned(data_dir, workspace) as (database, caller):
        out.print(webhooks.test(database, caller, webhook_id, now_us()), highlight=False)


@app.command("messages")
def list_messages(
    webhook_id: WebhookId,
    state: Annotated[Literal["due", "dead"], typer.Option("--state", help="Those that wait, or those given up.")] = (
        "due"
    ),
    limit: Annotated[int, typer.Option("--limit", min=1, max=contract.MAX_MESSAGES)] = contract.DEFAULT_MESSAGES,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """What a webhook was not told yet, the oldest first."""
    with _owned(data_dir, workspace) as (database, caller):
        found = webhooks.messages(database, caller, webhook_id, state, limit)
    rows = [
        (
            (one.id, times.iso(one.us), ", ".join(names_of(one.types)), str(one.attempts), one.error),
            answers.shown(one),
        )
        for one in found
    ]
    show_list(("id", "at", "types", "attempts", "error"), rows, as_json=as_json)


@app.command("replay")
def replay_messages(
    webhook_id: WebhookId,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Have its dead messages sent again. Prints how many."""
    with _owned(data_dir, workspace) as (database, caller):
        out.print(str(webhooks.replay(database, caller, webhook_id, now_us())), highlight=False)
