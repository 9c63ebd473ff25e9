"""Loaded by schemathesis: limits are counted by workspace, so requests take turns with many workspaces."""

import itertools
import os
from typing import Any, Final

import schemathesis

_keys: Final = itertools.cycle(os.environ["FUZZ_KEYS"].split())


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, _case: Any, kwargs: dict[str, Any]) -> None:
    headers = kwargs.get("headers")
    if headers is not None and headers.get("Authorization", "").startswith("Bearer onefold_"):
        headers["Authorization"] = f"Bearer {next(_keys)}"


@schemathesis.check
def served(_context: Any, response: Any, case: Any) -> None:
    """No 5xx. 503 is right while the machine is too busy; then the same request, sent again, has to be served: a
    value that a database refuses would be 503 each time.
    """
    for _ in range(5):
        if response.status_code != 503:
            break
        response = case.call(headers={"Authorization": f"Bearer {next(_keys)}"})
    assert response.status_code < 500, response.status_code
