"""What an API process works with. Built by app.bootstrap; the API sees only this."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.adapters.metrics import Metrics, Readings
from app.services.accepting.acceptor import Acceptor
from app.services.accepting.gate import Gate
from app.services.accepting.refused_requests import RefusedRequests
from app.services.accounts import Accounts
from app.services.acts import Acts
from app.services.address_lists import AddressLists
from app.services.alerts import Alerts
from app.services.api_keys import ApiKeys
from app.services.api_usage import ApiUsage, UsageCounter
from app.services.apps import Apps
from app.services.archives import Archives
from app.services.catalogue import Catalogue
from app.services.connections import Connections
from app.services.data_rules import DataRules
from app.services.dead_letters import DeadLetters
from app.services.exporting import Exporter
from app.services.jobs import Jobs
from app.services.keys import KeyRing
from app.services.lanes import Lanes
from app.services.limits import WorkspaceLimits
from app.services.log_ins import LogIns
from app.services.merge_runs import MergeRuns
from app.services.merges import Merges
from app.services.messages import Messages
from app.services.networks import Network
from app.services.people import People
from app.services.previews import Previews
from app.services.rates import WorkspaceRates
from app.services.reading import Reader
from app.services.request_log import RequestLog
from app.services.sdk import SdkGateway
from app.services.segment_deletions import SegmentDeletions
from app.services.segments import Segments
from app.services.series import Series
from app.services.spam_blocks import SpamBlocks
from app.services.subscription_groups import SubscriptionGroups
from app.services.subscriptions import Subscriptions
from app.services.synchronous import Synchronous
from app.services.testing import Testing
from app.services.uploads import Uploads
from app.services.webhooks import Webhooks
from app.services.workspace_deletions import WorkspaceDeletions
from app.services.workspace_settings import WorkspaceSettings
from app.services.workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class Services:
    #: Of the process, for its HTTP server.
    connections: Connections
    gate: Gate
    keys: KeyRing
    acceptor: Acceptor
    synchronous: Synchronous
    reader: Reader
    #: What was asked for and what came of it; and where what is refused is noted.
    request_log: RequestLog
    refused_requests: RefusedRequests
    exporter: Exporter
    people: People
    merges: Merges
    merge_runs: MergeRuns
    dead_letters: DeadLetters
    limits: WorkspaceLimits
    data_rules: DataRules
    catalogue: Catalogue
    rates: WorkspaceRates
    subscription_groups: SubscriptionGroups
    apps: Apps
    sdk: SdkGateway
    subscriptions: Subscriptions
    address_lists: AddressLists
    messages: Messages
    jobs: Jobs
    uploads: Uploads
    archives: Archives
    segments: Segments
    segment_deletions: SegmentDeletions
    series: Series
    spam_blocks: SpamBlocks
    workspace_deletions: WorkspaceDeletions
    previews: Previews
    alerts: Alerts
    webhooks: Webhooks
    usage: ApiUsage
    #: Counts every answer, for `usage`.
    usage_counter: UsageCounter
    lanes: Lanes
    #: Of the console alone: they need the role of the owner of the schema.
    accounts: Accounts
    log_ins: LogIns
    acts: Acts
    api_keys: ApiKeys
    workspaces: Workspaces
    workspace_settings: WorkspaceSettings
    #: None outside of test mode.
    testing: Testing | None
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
    #: Of the app whose shop is served to browsers of this machine; empty = no shop.
    demo_sdk_key: str
    #: Whose X-Forwarded-For is believed.
    trusted_proxies: tuple[Network, ...]
    #: Where clients reach the API, without a slash at its end; empty = where their requests come to.
    public_url: str
    #: Where people find Flower; empty = nowhere.
    flower_url: str
    #: From the arrival of a request, without the time that its body takes, to the answer.
    answer_seconds: float
