"""Calls of the store from the event loop: in threads, since they block, and bounded, since clients give up."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import structlog

from app.services import budget
from app.services.refusals import UnavailableError
from app.store.engine import DATABASE_ERRORS

log = structlog.get_logger()

_T = TypeVar("_T")


class StoreCalls:
    """Runs blocking calls; one per API process."""

    def __init__(self, executor: Executor, timeout: float) -> None:
        """`timeout` in seconds bounds one call, and so does what is left of the request's budget."""
        self._executor = executor
        self._timeout = timeout

    async def run(self, work: Callable[[], _T]) -> _T:
        """The result of a call. Raises UnavailableError when the database fails or takes too long."""
        try:
            async with asyncio.timeout(budget.left(self._timeout)):
                return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except DATABASE_ERRORS as error:  # a timeout is an OSError
            log.warning("store_call_failed", error=type(error).__name__)
            raise UnavailableError from error
