"""The bars, on figures made up by hand; and that every attacker is listed where people and CI look for it."""

from collections import Counter
from dataclasses import replace

import pytest

from app.settings import Settings
from attack.attackers import ALL, SHORT, number
from attack.machine import API, WORKER
from attack.verdict import broken
from attack.victim import Experience
from tests.docs.markdown import ROOT, rows, section

QUIET = Experience(200, 0.01, 0.04, Counter(), 0, Counter(), 0.2, "sync")
BEFORE = {API: 120.0, WORKER: 110.0, "Redis": 10.0, "sweeper": 45.0}


@pytest.mark.parametrize(
    ("victim", "most", "slack", "found"),
    [
        (QUIET, {}, 1, 0),
        (replace(QUIET, p99=0.26), {}, 1, 1),
        (replace(QUIET, p99=0.26), {}, 2, 0),
        (replace(QUIET, failures=Counter({503: 1})), {}, 9, 1),
        (replace(QUIET, failures=Counter({0: 2, 429: 1})), {}, 9, 1),
        (replace(QUIET, requests=0), {}, 1, 1),
        (replace(QUIET, stale=1), {}, 9, 1),
        (replace(QUIET, wrong=Counter({"0 profiles of one that is there": 3})), {}, 9, 1),
        (replace(QUIET, lag=1.1), {}, 1, 1),
        (QUIET, {API: 299.0, WORKER: 399.0, "Redis": 60.0}, 1, 0),
        (QUIET, {API: 301.0, WORKER: 401.0, "Redis": 90.0}, 9, 3),
        (QUIET, {"a kind that was not there before": 90.0}, 1, 0),
        (QUIET, {"sweeper": 169.0}, 1, 0),
        (QUIET, {"sweeper": 171.0}, 1, 1),
        (replace(QUIET, failures=Counter({503: 1}), lag=3.0, stale=1), {API: 700.0}, 1, 4),
    ],
)
def test_bars(victim: Experience, most: dict[str, float], slack: float, found: int) -> None:
    assert len(broken(victim, 0.05, BEFORE, BEFORE | most, slack)) == found


def test_every_attack_has_a_number_and_every_store_of_the_short_run_suits_it() -> None:
    numbers = [number(attackers) for attackers in ALL]
    assert len(set(numbers)) == len(numbers)
    stores = {number(attackers): set.intersection(*(set(one.stores) for one in attackers)) for attackers in ALL}
    assert {name: set(chosen) - stores[name] for name, chosen in SHORT.items()} == {name: set() for name in SHORT}


def test_the_page_has_a_row_for_every_attack_and_names_settings_that_exist() -> None:
    shown = {cells[0]: cells for cells in rows(section("docs/security.md", "## Attacks"))}
    assert list(shown) == [number(attackers) for attackers in ALL]
    page = (ROOT / "docs/security.md").read_text()
    known = {f"ONEFOLD_{name.upper()}" for name in Settings.model_fields}
    named = {word.strip("`.,;)").partition("=")[0] for word in page.split() if word.startswith("`ONEFOLD_")}
    assert named - known == set()
