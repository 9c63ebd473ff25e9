"""Row `gateway`: batches of web SDKs, accepted for real with validation and quotas, in turns with the bare route."""

import uuid
from collections.abc import Iterator
from typing import Final

from app.adapters.clock import now_us
from app.store import apps
from bench import accepting, devices
from bench.load import Run
from bench.options import Options
from bench.stack import Site, Stack
from bench.table import Row

PATH: Final = "/v1/sdk/data"
#: No quota refuses anything, and each is asked.
SETTINGS: Final = {
    "ONEFOLD_SDK_BATCHES_PER_ADDRESS": "100000000",
    "ONEFOLD_SDK_BATCHES_PER_APP": "100000000",
    "ONEFOLD_SDK_BATCHES_PER_DEVICE": "100000",
}


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """The API alone on an empty database: no worker runs."""
    site = stack.site("gateway")
    header = f"X-Onefold-SDK-Key: {_sdk_key(site)}"
    accepted = 0
    with (
        stack.bare() as floor_port,
        stack.api(site, SETTINGS) as port,
        stack.generator(options.users, devices.DEVICES, options.bodies) as generator,
    ):
        for connections in accepting.CONNECTIONS:
            floor = Run(floor_port, "", connections, 0.0, header=header, path=PATH)
            ours = Run(port, "", connections, 0.0, header=header, path=PATH)
            turns = accepting.in_turns(stack, generator, floor, ours, options)
            accepted += turns.accepted
            yield from turns.rows(stack.store, "gateway", connections, devices.RECORDS, "records/s")
        accepting.counted(site, accepted)


def _sdk_key(site: Site) -> str:
    database = site.open()
    try:
        app = apps.App(str(uuid.uuid4()), "Shop", "web", apps.new_sdk_key(), now_us())
        apps.create(database, site.workspace_id, app, 10)
    finally:
        database.dispose()
    return app.sdk_key
