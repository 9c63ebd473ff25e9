"""An assert that fails shows its values, wherever below `tests` it stands."""

import sys

import pytest

from app.store.engine import Database
from tests.applying import cursors


def test_an_assert_that_tests_share(database: Database) -> None:
    with pytest.raises(AssertionError, match="assert None is not None"):
        cursors(database, 0)


def test_whatever_is_loaded_of_tests_is_loaded_as_this_module_is() -> None:
    """By pytest, which rewrites asserts; also what was imported before any test."""
    of_pytest = type(sys.modules[__name__].__loader__)
    loaded = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "tests"}
    assert [name for name, module in loaded.items() if type(module.__loader__) is not of_pytest] == []
