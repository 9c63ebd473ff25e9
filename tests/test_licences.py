"""What is installed with Onefold may be passed on with it: licences that ask for no more than their text, and, of
libraries that are used as they are, the LGPL and the MPL."""

import re
from importlib.metadata import PackageNotFoundError, files, metadata
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED: Final = re.compile(
    r"\b(apache|mit|bsd|0bsd|isc|psf|python software|unlicense|zlib|lgpl|lesser general public|mpl|mozilla public)\b",
    re.IGNORECASE,
)
FORBIDDEN: Final = re.compile(
    r"(?<!lesser )general public license|\ba?gpl|sspl|busl|commercial|proprietary",
    re.IGNORECASE,
)


def locked() -> list[str]:
    text = (ROOT / "requirements.lock").read_text()
    return re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)


def licence(name: str) -> str:
    """What a package says about itself: an SPDX expression, else classifiers, else the beginning of a text."""
    said = metadata(name)
    expression = next(iter(said.get_all("License-Expression") or ()), "")
    classifiers = [
        each.rpartition("::")[2].strip() for each in said.get_all("Classifier") or () if "License ::" in each
    ]
    named = expression or "; ".join(classifiers) or next(iter(said.get_all("License") or ()), "")[:100]
    texts = (path.read_text() for path in files(name) or () if path.name in (said.get_all("License-File") or ()))
    return named or next(texts, "")[:100]


@pytest.mark.parametrize("name", locked())
def test_a_licence_that_we_can_keep(name: str) -> None:
    try:
        found = licence(name)
    except PackageNotFoundError:
        pytest.skip("not for this platform")
    assert ALLOWED.search(found), f"{name}: {found!r}"
    assert not FORBIDDEN.search(found), f"{name}: {found!r}"
