"""Calls of segment-analytics-python, made where it is on the path: the same in and out as tracking.js."""

import json
import sys

ARGUMENTS = {
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "previousId": "previous_id",
    "groupId": "group_id",
}


def main() -> None:
    from segment.analytics import Client

    given, failed = json.load(sys.stdin), []
    client = Client(given["key"], host=given["url"], on_error=lambda error, _batch: failed.append(error), gzip=True)
    for method, said in given["calls"]:
        getattr(client, method)(**{ARGUMENTS.get(name, name): value for name, value in said.items()})
    client.shutdown()
    if failed:
        raise failed[0]
    print(json.dumps({"sent": len(given["calls"])}))


if __name__ == "__main__":
    main()
