"""`python -m bench`: measures, prints one table, and fails when a result is wrong."""

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Final

import psutil
import psycopg
import typer

from bench import (
    accepting,
    applying,
    budget,
    console,
    crowd,
    exporting,
    fair,
    flat,
    gateway,
    importing,
    large,
    latency,
    many,
    plans,
    preload,
    quota,
    rewriting,
    segments,
    series,
    stack,
    storage,
    values,
    webhooks,
)
from bench.baseline import compare
from bench.options import Options
from bench.stack import Stack
from bench.table import BenchError, Row, Rows, say, show

#: In this order; the first four need each other's figures as floors.
NAMES = ("accept", "rewrite", "apply", "flat", "latency")
EXTRA = (
    "gateway",
    "budget",
    "storage",
    "large",
    "plans",
    "quota",
    "crowd",
    "fair",
    "many",
    "segments",
    "console",
    "series",
    "values",
    "webhooks",
    "import",
)
#: Not part of `all`: it takes minutes, and measures others.
BESIDE = ("baseline",)
WHAT = f"{', '.join(NAMES)} (default), {', '.join((*EXTRA, *BESIDE))}, or all but the last"


class Store(StrEnum):
    """The database below."""

    postgresql = stack.POSTGRES
    sqlite = stack.SQLITE
    both = "both"


def main(
    names: Annotated[list[str] | None, typer.Argument(help=WHAT)] = None,
    seconds: Annotated[float, typer.Option(min=1, max=120, help="Measured seconds per row.")] = 10.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Half a second per row, 2,000 profiles: to see it work.")
    ] = False,
    store: Annotated[Store, typer.Option(help="Which database; `flat` runs on PostgreSQL only.")] = Store.both,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 1,
    profiles: Annotated[int, typer.Option(min=100, help="Preloaded; of millions a part is checked.")] = 100_000,
    shared_buffers: Annotated[str, typer.Option(help="Of PostgreSQL; a million profiles need 5GB.")] = "1GB",
    users: Annotated[int, typer.Option(min=100, help="Of the file of `import`.")] = 20_000,
) -> None:
    """Measure Onefold on servers of its own, with the floors of the same run beside it."""
    wanted = [*NAMES, *EXTRA] if names == ["all"] else names or list(NAMES)
    unknown = set(wanted) - {*NAMES, *EXTRA, *BESIDE}
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(sorted(unknown))}")
    imported = min(users, 2_000) if quick else users
    options = Options(0.5 if quick else seconds, 2_000 if quick else profiles, seed, quick, imported)
    began = time.monotonic()
    stores = [stack.POSTGRES, stack.SQLITE] if store is Store.both else [store.value]
    rows = Rows()
    notes = [
        f"seed {seed}, {options.users:,} profiles, {options.seconds:g} s per row, load from one process",
        "floors: accept: the bare route; apply: whole profiles rewritten beside it; both at once: apply alone",
    ]
    try:
        for one in stores:
            with stack.started(one, seed, {"shared_buffers": shared_buffers}) as running:
                notes.append(_versions(running))
                _measure(running, options, wanted, rows, notes)
    except BenchError as error:
        say(f"FAILED: {error}")
        raise typer.Exit(1) from None
    finally:
        notes.append(f"{time.monotonic() - began:.0f} s altogether")
        show(rows.found, "\n".join(notes))


def _measure(running: Stack, options: Options, wanted: Sequence[str], rows: Rows, notes: list[str]) -> None:
    on_postgresql = running.postgres is not None
    if "accept" in wanted:
        say(f"accept, {running.store}")
        rows.take(accepting.measure(running, options))
    if "rewrite" in wanted:
        say("rewriting floors")
        rows.take(rewriting.measure(running, options))
    if "apply" in wanted:
        say(f"apply, {running.store}")
        rows.take(applying.measure(running, options))
    if "flat" in wanted and on_postgresql:
        say("accept and apply at once")
        prefix, suffix = "apply, 1 worker, ", f", {running.store}"
        ceilings = {
            row.what.removeprefix(prefix).removesuffix(suffix): row.ours
            for row in rows.found
            if row.what.startswith(prefix)
        }
        rows.take(flat.measure(running, options, ceilings))
    if "latency" in wanted:
        say(f"from 201 to applied, {running.store}")
        rows.take(latency.latency(running, options))
    if "fair" in wanted:
        say(f"beside a flood, {running.store}")
        rows.take(fair.measure(running, options))
    if "plans" in wanted and on_postgresql:
        plans.show(running, options)
    if "baseline" in wanted and on_postgresql:
        say("beside what one writes first")
        compare.show(running, options)
    if "full" in running.sites:
        checked = preload.check(running.sites["full"], options.users)
        say(f"  {checked}")
        notes.append(f"{running.store}: result equals the reference: {checked}")
    for name, (words, measure) in _ALONE.items():
        if name in wanted:
            say(f"{words}, {running.store}")
            rows.take(measure(running, options))


def _segments(running: Stack, options: Options) -> Iterator[Row]:
    try:
        yield from segments.measure(running, options)
    finally:  # what is too slow does not hide the rest
        yield from exporting.measure(running, options)


#: Name -> (what is said, what needs no figure of another one), in this order.
_ALONE: Final[dict[str, tuple[str, Callable[[Stack, Options], Iterator[Row]]]]] = {
    "gateway": ("SDK data", gateway.measure),
    "budget": ("an object, part by part", budget.measure),
    "quota": ("quota", quota.measure),
    "crowd": ("everybody with one address", crowd.measure),
    "many": ("many workspaces", many.measure),
    "segments": ("segments", _segments),
    "console": ("pages of the console", console.measure),
    "series": ("full series", series.measure),
    "values": ("applying with values for segments", values.measure),
    "webhooks": ("applying with a webhook", webhooks.measure),
    "import": ("importing a file", importing.measure),
    "large": ("events on large profiles", large.measure),
    "storage": ("whole documents or sections", storage.measure),
}


def _versions(running: Stack) -> str:
    python = f"Python {platform.python_version()}, {psutil.cpu_count()} cores"
    if running.postgres is None:
        import sqlite3  # noqa: PLC0415 - only its version

        return f"SQLite {sqlite3.sqlite_version}, {python}"
    with psycopg.connect(running.postgres.dsn) as connection:
        version = connection.execute("show server_version").fetchone()
        shown = connection.execute(
            "select string_agg(name || ' ' || current_setting(name), ', ') from pg_settings where name = any(%s)",
            [list(stack.POSTGRESQL)],
        ).fetchone()
        settings = shown[0] if shown else "?"
    return f"PostgreSQL {version[0] if version else '?'} ({settings}), {python}"


if __name__ == "__main__":
    typer.run(main)
