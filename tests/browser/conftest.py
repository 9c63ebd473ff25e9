"""A browser for all tests of a process."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.browser.chromium import BrowserUnavailable, Chromium, chromium
from tests.missing import missing


@pytest.fixture(scope="session")
def running_chromium() -> Iterator[Chromium]:
    with ExitStack() as stack:
        try:
            found = stack.enter_context(chromium())
        except BrowserUnavailable as reason:
            missing(str(reason))
        yield found


@pytest.fixture
def browser(running_chromium: Chromium) -> Iterator[Chromium]:
    """The browser, without the visitors of earlier tests."""
    yield running_chromium
    running_chromium.forget()
