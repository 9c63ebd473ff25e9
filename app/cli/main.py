"""`onefold`: run the service, look after workspaces and keys, look at requests."""

import typer

from app.cli import companies, data_rules, dead_letters, doctor, keys, limits, merges, requests, roles, run, workspaces

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
app.add_typer(workspaces.app, name="workspace")
app.add_typer(companies.app, name="company")
app.add_typer(keys.app, name="keys")
app.add_typer(limits.app, name="limits")
app.add_typer(requests.app, name="requests")
app.add_typer(dead_letters.app, name="dead")
app.add_typer(merges.app, name="merges")
app.add_typer(roles.app, name="db")
app.add_typer(data_rules.attributes, name="attributes")
app.add_typer(data_rules.events, name="events")


def main() -> None:
    """Console script."""
    app()
