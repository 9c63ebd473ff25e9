"""The tables of the pages say what the code says, in both directions, and links lead somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices
from typer.core import TyperOption

from app.api.app import FAMILIES, PROBES
from app.cli import reference
from app.contract.plans import DEFAULT_PLAN, GROUPS, PLANS
from app.domain import custom_attributes, reasons
from app.settings import Settings
from tests.docs.markdown import ROOT, anchors, links, rows, section
from tests.missing import OPTIONAL

MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def code(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


class Anything:
    """Stands for the services: making the table of endpoints calls none of them."""

    def __getattr__(self, name: str) -> "Anything":
        return self

    def __call__(self, *_arguments: object) -> "Anything":
        return self


def endpoints() -> dict[str, tuple[str | None, str]]:
    """`POST /users/track` -> (permission, group of limits); a probe has neither."""
    services: Any = Anything()
    served: dict[str, tuple[str | None, str]] = {
        f"{one.method} {one.path}": (one.permission or "any key", one.group)
        for family in FAMILIES
        for one in family(services)
    }
    probes = [probe for family in PROBES for probe in family(services)]
    return served | {f"GET {probe.path}": ("no key", "none") for probe in probes}


def test_endpoints() -> None:
    shown = {}
    for endpoint, permission, group, _ in rows(section("docs/api/README.md", "## Endpoints")):
        shown[code(endpoint)[0]] = ((code(permission) or [permission])[0], (code(group) or [group])[0])
    assert shown == endpoints()


def test_every_path_of_the_readme_is_served() -> None:
    text = section("README.md", "## What it serves")
    shown = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`]+)`", text))
    shown |= {f"{method} {path}" for method in ("GET", "POST") for path in re.findall(r"`(/v1/[a-z]+)`", text)}
    assert shown - {"GET /metrics"} == set(endpoints())


def test_settings() -> None:
    shown = {}
    for names, default, _ in rows(section("docs/settings.md", "## Environment")):
        shown[code(names)[0]] = code(default)[0] if code(default) else ""
    expected = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"ONEFOLD_{name.upper()}"
        expected[variable] = plain(field.default)
    assert shown.keys() == expected.keys()
    same_as = {"WORKER_DATABASE_URL": "DATABASE_URL", "BROKER_URL": "REDIS_URL"}
    assert shown == expected | same_as


def plain(default: object) -> str:
    """A default as one would write it into the environment."""
    if default is None or isinstance(default, bool):
        return "" if default is None else str(default).lower()
    return f"{default:g}".replace("e+06", "000000") if isinstance(default, (int, float)) else str(default)


def test_metrics() -> None:
    """Every metric that an API or a worker has is explained, and no other."""
    shown = [name for names, *_ in rows(section("docs/operations.md", "## Metrics")) for name in code(names)]
    counted = (ROOT / "app/adapters/metrics.py").read_text()
    known = {f"{name}_total" for name in re.findall(r'Counter\(\s*"onefold_(\w+)"', counted)}
    known |= set(re.findall(r'Histogram\(\s*"onefold_(\w+)"', counted))
    known |= set(re.findall(r'"onefold_(\w+)"', (ROOT / "app/services/readings.py").read_text()))
    assert sorted(name for name in shown if re.fullmatch(r"[a-z_]+", name)) == sorted(known)


def test_options_of_a_workspace() -> None:
    shown = {code(option)[0] for option, _, _ in rows(section("docs/settings.md", "## Options of a workspace"))}
    (command,) = [found for name, found in reference.commands() if re.fullmatch(r"onefold workspaces? set", name)]
    options = [one for one in command.params if isinstance(one, TyperOption) and not one.hidden]
    elsewhere = {"--help", "--data-dir", "--plan", "--hourly", "--burst", "--burst-window"}
    assert shown == {one.opts[0] for one in options} - elsewhere


def test_reasons() -> None:
    """Skip reasons and, with the endpoint that answers them, reasons against an undo: each in one place."""
    skipped = [code(reason)[0] for reason, _ in rows((ROOT / "docs/skip-reasons.md").read_text())]
    against = [code(reason)[0] for reason, _ in rows(section("docs/api/merges.md", "## Records and undo"))]
    named = [value for name, value in vars(reasons).items() if name.isupper()]
    assert sorted([*skipped, *against]) == sorted({*named, *custom_attributes.REASONS})


def test_groups_of_limits() -> None:
    shown = {
        code(group)[0]: (int(requests.replace(",", "")), int(window.replace(",", "")))
        for group, _, requests, window in rows(section("docs/api/limits.md", "## Groups"))
    }
    assert shown == {group.name: (group.limit, group.window_seconds) for group in GROUPS.values()}


def test_plans() -> None:
    text = section("docs/api/limits.md", "## Plans")
    expected = []
    for plan in PLANS.values():
        objects = f"{plan.max_objects_combined} in all" if plan.max_objects_combined else ""
        objects += f"{plan.max_objects_per_array} in each array" if plan.max_objects_per_array else ""
        seconds = f"{plan.burst_window_seconds} second{'s' if plan.burst_window_seconds > 1 else ''}"
        hourly = f", {plan.hourly_limit:,} an hour" if plan.hourly_limit else ""
        expected.append([f"`{plan.name}`", objects, f"{plan.burst_limit:,} in {seconds}{hourly}"])
    assert rows(text) == expected
    assert "unless it is given another" in text
    assert f"`{DEFAULT_PLAN}`" in text.split("|")[0]


def test_the_command_line() -> None:
    """Commands that other pages name are there, with the options that they name; cli.md is made from the commands."""
    assert (ROOT / "docs/cli.md").read_text() == reference.page(), "docs/cli.md is not current: make fmt"
    known = dict(reference.commands())
    wrong = []
    for page in MARKDOWN:
        if page.name == "cli.md":
            continue
        for line in re.findall(r"\bonefold ([a-z][^`\n|#]*)", page.read_text()):
            words = line.split()
            name = next(
                (" ".join(["onefold", *words[:n]]) for n in (2, 1) if f"onefold {' '.join(words[:n])}" in known), ""
            )
            if not name:
                group = f"onefold {words[0]} "
                if not any(command.startswith(group) for command in known) or (
                    len(words) > 1 and words[1][0].isalpha()
                ):
                    wrong.append(f"{page.relative_to(ROOT)}: onefold {line}")
                continue
            options = {spelling for one in known[name].params for spelling in (*one.opts, *one.secondary_opts)}
            unknown = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", line)) - options - {"--help"}
            if unknown:
                wrong.append(f"{page.relative_to(ROOT)}: onefold {line}: {unknown}")
    assert wrong == []


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    wrong = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_every_test_that_a_page_names_is_there() -> None:
    """docs/security.md says which test shows what."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/security.md").read_text())
    assert len(named) > 20
    missing = [(path, test) for path, test in named if f"def {test}" not in (ROOT / path).read_text()]
    assert missing == []


def test_targets_of_make() -> None:
    cells = [row[0] for row in rows((ROOT / "CONTRIBUTING.md").read_text())]
    shown = [code(cell)[0] for cell in cells if cell.startswith("`make ")]
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(shown) == sorted(f"make {target}" for target in targets if target != "help")


def test_what_ci_may_lack() -> None:
    shown = [code(name)[0] for name, _ in rows(section("CONTRIBUTING.md", "### What CI may lack"))]
    assert shown == list(OPTIONAL)


#: Of a line, tables and blocks of code left out (docs/style.md).
WIDTH = 120


@pytest.mark.parametrize("page", [str(path.relative_to(ROOT)) for path in MARKDOWN])
def test_lines_are_no_longer_than_the_style_says(page: str) -> None:
    plain = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    long = [line for line in plain.split("\n") if len(line) > WIDTH and not line.startswith("|")]
    assert long == []
