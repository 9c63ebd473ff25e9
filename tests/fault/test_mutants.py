"""A change of the code that a planted bug replaces shows here, and not when somebody next looks for the bugs."""

from pathlib import Path

import pytest

from fault.bugs import MUTANTS, Mutant
from fault.mutants import plant
from fault.processes import ROOT
from fault.scenarios import ALL
from tests.docs.markdown import rows, section


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_can_still_be_planted(mutant: Mutant, tmp_path: Path) -> None:
    for file, edits in ((mutant.file, mutant.edits), *mutant.also):
        copy = tmp_path / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / file).read_text())
        plant(tmp_path, file, edits)
        compile(copy.read_text(), file, "exec")
        assert copy.read_text() != (ROOT / file).read_text()
    assert mutant.scenario in {scenario.number for scenario in ALL}


def test_the_page_has_a_row_for_every_planted_bug() -> None:
    shown = [int(scenario) for _, scenario, *_ in rows(section("docs/reliability.md", "## Bugs on purpose"))]
    assert shown == [mutant.scenario for mutant in MUTANTS]
