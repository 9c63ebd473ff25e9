"""What an API process works with. Built by app.bootstrap; the API sees only this."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.accept import Acceptor
from app.access import KeyRing
from app.data_rules import DataRules
from app.dead_letters import DeadLetters
from app.gate import Gate
from app.limits_desk import LimitsDesk
from app.merges import Merges
from app.metrics import Metrics, Readings
from app.networks import Network
from app.reads import Reader
from app.synchronous import Synchronous


@dataclass(frozen=True, slots=True)
class Services:
    gate: Gate
    keys: KeyRing
    acceptor: Acceptor
    synchronous: Synchronous
    reader: Reader
    merges: Merges
    dead_letters: DeadLetters
    limits: LimitsDesk
    data_rules: DataRules
    metrics: Metrics
    #: What of the process is read when metrics are asked for.
    readings: Readings
    #: Who has it may read the metrics; empty = nobody may.
    metrics_token: str
    #: None when the process can serve, else what is wrong, in words for an operator.
    readiness: Callable[[], Awaitable[str | None]]
    aclose: Callable[[], Awaitable[None]]
    receive_timeout_seconds: float
    #: Whether /openapi.json and /docs are served.
    docs: bool
    #: Whose X-Forwarded-For is believed.
    trusted_proxies: tuple[Network, ...]
    #: From the arrival of a request, without the time that its body takes, to the answer.
    answer_seconds: float
