"""Loaded before `tests` is: pytest makes asserts show their values in modules that are imported from now on."""

import pytest

pytest.register_assert_rewrite("tests")  # all of it, or what tests share would fail with no more than AssertionError
