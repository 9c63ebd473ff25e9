"""Loaded by schemathesis: limits are counted by workspace, so requests take turns with many workspaces."""

import itertools
import os
from typing import Any, Final

import schemathesis

from tests.polling import until

_keys: Final = itertools.cycle(os.environ["FUZZ_KEYS"].split())


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, _case: Any, kwargs: dict[str, Any]) -> None:
    headers = kwargs.get("headers")
    if headers is not None and headers.get("Authorization", "").startswith("Bearer onefold_"):
        headers["Authorization"] = f"Bearer {next(_keys)}"


@schemathesis.check
def served(_context: Any, response: Any, case: Any) -> None:
    """No 5xx. 503 with Retry-After is right while the machine is too busy; then the same request, sent again, has to be
    served in the end: a value that a database refuses would be 503 each time.
    """
    answers = [response]

    def is_served() -> bool:
        if answers[-1].status_code == 503:
            assert int(answers[-1].headers["retry-after"][0]) > 0
            answers.append(case.call(headers={"Authorization": f"Bearer {next(_keys)}"}))
        return bool(answers[-1].status_code != 503)

    until(is_served, timeout=30, interval=0.2, message="the request was not served")
    assert answers[-1].status_code < 500, answers[-1].status_code
