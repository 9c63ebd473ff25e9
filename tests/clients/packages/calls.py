"""Calls of a Python client, made where its package is on the path.

In: {"client": [positional arguments], "calls": [[method, {keyword arguments}], …]}. Out: one JSON line for each call,
{"answer": …} or {"error": class, "arguments": […], "reset": …}.
"""

import json
import sys
from typing import Any


def main() -> None:
    import braze.client

    given = json.load(sys.stdin)
    client = braze.client.BrazeClient(*given["client"])
    for method, arguments in given["calls"]:
        print(json.dumps(called(client, method, arguments)), flush=True)


def called(client: Any, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": getattr(client, method)(**arguments)}
    except Exception as error:  # noqa: BLE001 - whatever a client raises is what is compared
        return {
            "error": type(error).__name__,
            "arguments": [str(argument) for argument in error.args],
            "reset": getattr(error, "reset_epoch_s", None),
        }


if __name__ == "__main__":
    main()
