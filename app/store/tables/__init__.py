"""The tables, one module a subject, and their index inventory, which is read as a whole.

Times are bigint microseconds UTC. Every key begins with workspace_id. What only PostgreSQL has (partitions, fillfactor,
collation, compression) is in the migrations; the columns and indexes here are the same on both stores.

    table            key                                              further indexes
    company          id                                               name
    workspace        id                                               name
    workspace_deletion  workspace_id                                  -
    api_key          workspace_id, key_id                             key_id
    inbox_head       workspace_id, stream                             -
    inbox            workspace_id, stream, seq, hour                  -   (by hour)
    idempotency      workspace_id, digest, day                        -   (by day)
    inbox_message    workspace_id, digest, day                        app, n   (by day)
    import_file      workspace_id, digest                             -
    lane             workspace_id                                     -
    applied          workspace_id, n                                  -
    problem          workspace_id, stream, seq, day                   -   (by day)
    dead             workspace_id, stream, seq                        accepted_us
    refused_request  workspace_id, us, n                              -
    profile          workspace_id, pid                                braze_id; pid where external_id is null,
                                                                      where flags <> 0, where it is blocked, and
                                                                      where it is of an imported push token
    profile_core     workspace_id, pid                                -
    profile_custom   workspace_id, pid                                -
    profile_part     workspace_id, pid, part                          -
    profile_value    workspace_id, pid, part                          -   (by part)
    value_filling    workspace_id                                     -
    identifier       workspace_id, kind, label, value, pid            kind, label, value unique for kinds 1 to 3,
                                                                      and for 7 and 8
    lineage          workspace_id, member_pid                         parent_pid; root_pid
    erasure          workspace_id, pid                                -
    merge_record     workspace_id, id                                 kept_pid; merged_pid; merged_braze_id; expires_us
    history          workspace_id, pid, us, ordinal, what             -
    deletion         workspace_id, erased_id                          -
    address_state    workspace_id, channel, address, group_id         three of what is listed; forget_us
    subscription_group  workspace_id, id                              -
    name             workspace_id, kind, name                         id
    name_count       workspace_id, kind, name, type                   -
    occurrence       workspace_id, day, stream, seq, ordinal          name_id, day, pid   (by day)
    series           workspace_id, kind, name, app                    id
    series_day       workspace_id, series_id, day                     -
    series_hour      workspace_id, series_id, hour                    -
    job              workspace_id, id                                 id; created_us; started_us; kind, target unique
                                                                      and state, lease_us where unfinished; callback_us
    job_part         workspace_id, job_id, n                          -
    app              workspace_id, id                                 sdk_key
    alert            workspace_id, id                                 -
    alert_message    workspace_id, id                                 us; due_us where it is due
    webhook          workspace_id, id                                 -
    webhook_event    workspace_id, n                                  -
    webhook_message  workspace_id, pid, webhook_id, id                us; webhook_id, n where it is due, where it is due
                                                                      again, where it is held, where it is dead
    webhook_watch    workspace_id, webhook_id                         -
    webhook_member   workspace_id, webhook_id, pid                    pid
    api_usage        workspace_id, minute, key_id, endpoint, status   minute
    segment          workspace_id, id                                 -
    segment_size     workspace_id, segment_id, day                    -
    merge_setup      workspace_id                                     -
    merge_run        workspace_id, id                                 created_us; day unique where scheduled
    merge_run_request  workspace_id, run_id, n                        -

Five belong to the installation:

    console_account  name                                             -
    console_role     workspace_id, account                            -
    console_session  digest                                           account, created_us
    console_act      id                                               workspace_id, id
    origin           id                                               -
"""

from app.store.tables.alerts import AlertMessage, AlertRow
from app.store.tables.console import Account, AccountRole, Act, ConsoleSession
from app.store.tables.events import Name, NameCount, OccurrenceRow, Series, SeriesDay, SeriesHour
from app.store.tables.inbox import (
    INBOX_TABLES,
    Applied,
    Dead,
    Idempotency,
    ImportFile,
    Inbox,
    InboxHead,
    InboxMessage,
    Lane,
    ProblemRow,
    RefusedRow,
)
from app.store.tables.installation import OriginRow
from app.store.tables.jobs import JobPartRow, JobRow
from app.store.tables.merges import (
    Deletion,
    Erasure,
    HistoryRow,
    Lineage,
    MergeRecordRow,
    MergeRun,
    MergeRunRequest,
    MergeSetup,
)
from app.store.tables.profiles import (
    AddressStateRow,
    IdentifierRow,
    ProfileCore,
    ProfileCustom,
    ProfilePart,
    ProfileRow,
    SubscriptionGroup,
)
from app.store.tables.segments import ProfileValue, Segment, SegmentSize, ValueFilling
from app.store.tables.tenants import ApiKey, AppRow, Company, Workspace, WorkspaceDeletion
from app.store.tables.usage import ApiUsage
from app.store.tables.webhooks import WebhookEvents, WebhookMember, WebhookMessage, WebhookRow, WebhookWatch

__all__ = [
    "INBOX_TABLES",
    "Account",
    "AccountRole",
    "Act",
    "AddressStateRow",
    "AlertMessage",
    "AlertRow",
    "ApiKey",
    "ApiUsage",
    "AppRow",
    "Applied",
    "Company",
    "ConsoleSession",
    "Dead",
    "Deletion",
    "Erasure",
    "HistoryRow",
    "Idempotency",
    "IdentifierRow",
    "ImportFile",
    "Inbox",
    "InboxHead",
    "InboxMessage",
    "JobPartRow",
    "JobRow",
    "Lane",
    "Lineage",
    "MergeRecordRow",
    "MergeRun",
    "MergeRunRequest",
    "MergeSetup",
    "Name",
    "NameCount",
    "OccurrenceRow",
    "OriginRow",
    "ProblemRow",
    "ProfileCore",
    "ProfileCustom",
    "ProfilePart",
    "ProfileRow",
    "ProfileValue",
    "RefusedRow",
    "Segment",
    "SegmentSize",
    "Series",
    "SeriesDay",
    "SeriesHour",
    "SubscriptionGroup",
    "ValueFilling",
    "WebhookEvents",
    "WebhookMember",
    "WebhookMessage",
    "WebhookRow",
    "WebhookWatch",
    "Workspace",
    "WorkspaceDeletion",
]
