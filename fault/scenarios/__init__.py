"""All scenarios, in modules by what they hit."""

from typing import Final

from fault.rounds import Scenario
from fault.scenarios import (
    deletions,
    deploy,
    failover,
    imports,
    jobs,
    load,
    merging,
    nodes,
    postgres,
    power,
    rabbitmq,
    redis,
    restores,
    sentinels,
    visitors,
    webhooks,
    workers,
)

ALL: Final[tuple[Scenario, ...]] = tuple(
    sorted(
        (
            *workers.SCENARIOS,
            *redis.SCENARIOS,
            *postgres.SCENARIOS,
            *load.SCENARIOS,
            *deploy.SCENARIOS,
            *jobs.SCENARIOS,
            *merging.SCENARIOS,
            *deletions.SCENARIOS,
            *visitors.SCENARIOS,
            *webhooks.SCENARIOS,
            *imports.SCENARIOS,
            *restores.SCENARIOS,
            *power.SCENARIOS,
            *failover.SCENARIOS,
            *nodes.SCENARIOS,
            *sentinels.SCENARIOS,
            *rabbitmq.SCENARIOS,
        ),
        key=lambda scenario: scenario.number,
    )
)

#: What CI runs, once each: scenario -> stores.
SHORT: Final = {
    1: ("postgresql", "sqlite"),
    2: ("postgresql",),
    4: ("postgresql",),
    9: ("postgresql",),
    12: ("postgresql",),
    13: ("postgresql",),
    20: ("postgresql",),
    28: ("postgresql",),
    33: ("sqlite",),
    35: ("postgresql",),
    38: ("postgresql",),
    39: ("sqlite",),
    40: ("postgresql",),
    41: ("sqlite",),
    42: ("postgresql",),
    44: ("postgresql",),
}
