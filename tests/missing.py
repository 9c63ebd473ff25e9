"""What a test needs and a machine does not have."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final, NoReturn, TypeVar

import pytest

from tests.servers import ServerUnavailable

T = TypeVar("T")

#: What CI may lack as well. CONTRIBUTING.md lists the same, and what is not looked at without it.
OPTIONAL: Final = ("docker", "java", "kubernetes-validate", "pgbouncer", "php", "prometheus", "systemd-analyze")


def missing(reason: str) -> NoReturn:
    """Skip on a developer's machine, and fail in CI, where nobody reads skips. `reason` says how to get it."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(reason)


def lacking(name: str, reason: str) -> NoReturn:
    """Skip, in CI as well. `name` is one of OPTIONAL."""
    assert name in OPTIONAL, f"CI must have {name}"
    pytest.skip(reason)


@contextmanager
def needed(server: AbstractContextManager[T], name: str = "") -> Iterator[T]:
    """A server, for the length of the block. The test is skipped where it cannot be had; with a `name` of OPTIONAL in
    CI as well."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(server)
        except ServerUnavailable as reason:
            if name:
                lacking(name, str(reason))
            missing(str(reason))
        yield found
