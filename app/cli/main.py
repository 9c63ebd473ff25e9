"""`onefold`: run the service, look after workspaces and keys, look at requests."""

from typing import Final

import typer

from app.adapters import logs
from app.adapters.private_files import private_by_default
from app.cli import (
    apps,
    companies,
    data_points,
    data_rules,
    dead_letters,
    doctor,
    duplicates,
    flags,
    jobs,
    keys,
    limits,
    merges,
    profiles,
    rates,
    requests,
    roles,
    run,
    segments,
    spam_blocks,
    subscription_groups,
    workspaces,
)

app = typer.Typer(
    name="onefold",
    help="Onefold: a self-hosted user-data service.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.command("up")(run.up)
app.command("api")(run.api)
app.command("worker")(run.worker)
app.command("sweeper", hidden=True)(run.sweeper)
app.command("migrate")(run.migrate_database)
app.command("doctor")(doctor.doctor)
app.command("verify")(doctor.verify)
_GROUPS: Final = {
    "workspaces": workspaces.app,
    "companies": companies.app,
    "keys": keys.app,
    "limits": limits.app,
    "requests": requests.app,
    "dead-letters": dead_letters.app,
    "merges": merges.app,
    "duplicates": duplicates.app,
    "profiles": profiles.app,
    "flags": flags.app,
    "spam-blocks": spam_blocks.app,
    "attributes": data_rules.attributes,
    "events": data_rules.events,
    "data-points": data_points.app,
    "rates": rates.app,
    "subscription-groups": subscription_groups.app,
    "apps": apps.app,
    "jobs": jobs.app,
    "segments": segments.app,
    "db": roles.app,
}
#: Former names, which work until 1.0.
_FORMER: Final = {"workspace": "workspaces", "company": "companies", "dead": "dead-letters"}
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)
for _name, _now in _FORMER.items():
    app.add_typer(_GROUPS[_now], name=_name, hidden=True)


def main() -> None:
    """Console script."""
    private_by_default()
    logs.configure("warning")  # to standard error: what is printed may be JSON. Those that serve set their own level
    app()
