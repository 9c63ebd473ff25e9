"""Alerts: bodies and answers."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

_Name = Annotated[str, Meta(min_length=1, max_length=255)]
_Metric = Literal[
    "lag_seconds",
    "backlog_requests",
    "lane_standing_seconds",
    "responses_4xx",
    "responses_5xx",
    "responses_429",
    "invalid_keys",
    "dead_letters",
    "ecommerce_failures",
]
_Above = Annotated[int, Meta(ge=0, le=10**12, description="It fires when the number is above this.")]
_Window = Annotated[int, Meta(ge=1, le=60, description="Counts are those of so many minutes; 5 unless given.")]
_For = Annotated[int, Meta(ge=0, le=86_400, description="So long it has to be too much; 60 unless given.")]
_Clear = Annotated[int, Meta(ge=0, le=86_400, description="So long it has to be well again; 60 unless given.")]
_Key = Annotated[str, Meta(min_length=1, max_length=64, description="Of `responses_…`: a key or an app; null = any.")]
_Endpoint = Annotated[str, Meta(max_length=255, description="Of `responses_…`: a path, with its method or without.")]
_Webhook = Annotated[str, Meta(min_length=1, max_length=2_048)]
_Emails = Annotated[list[str], Meta(min_length=1, max_length=10)]
_Moment = Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]


class NewAlert(Struct, forbid_unknown_fields=True):
    """With one of `webhook` and `emails`."""

    name: _Name
    metric: _Metric
    above: _Above
    window_minutes: _Window | UnsetType = UNSET
    for_seconds: _For | UnsetType = UNSET
    clear_seconds: _Clear | UnsetType = UNSET
    key_id: _Key | UnsetType | None = UNSET
    endpoint: _Endpoint | UnsetType | None = UNSET
    webhook: _Webhook | UnsetType | None = UNSET
    emails: _Emails | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class AlertChange(Struct, forbid_unknown_fields=True):
    """Members that are left out stay as they are."""

    name: _Name | UnsetType = UNSET
    metric: _Metric | UnsetType = UNSET
    above: _Above | UnsetType = UNSET
    window_minutes: _Window | UnsetType = UNSET
    for_seconds: _For | UnsetType = UNSET
    clear_seconds: _Clear | UnsetType = UNSET
    key_id: _Key | UnsetType | None = UNSET
    endpoint: _Endpoint | UnsetType | None = UNSET
    webhook: _Webhook | UnsetType | None = UNSET
    emails: _Emails | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    new_secret: Annotated[
        Literal[True] | UnsetType, Meta(description="Gives it another secret; the one until now signs nothing more.")
    ] = UNSET


class Alert(Struct, forbid_unknown_fields=True):
    id: str
    name: str
    metric: _Metric
    above: int
    window_minutes: int | None
    for_seconds: int
    clear_seconds: int
    key_id: str | None
    endpoint: str | None
    webhook: str | None
    emails: list[str] | None
    enabled: bool
    state: Literal["ok", "pending", "firing", "clearing"]
    since: _Moment
    value: Annotated[int | None, Meta(description="At the last look that was noted; null = nobody has looked yet.")]
    checked_at: _Moment | None
    created_at: _Moment
    created_by: str


class OneAlert(Alert, forbid_unknown_fields=True, kw_only=True):
    message: Literal["success"]
    secret: Annotated[
        str | UnsetType,
        Meta(description="Signs what the webhook is told (Standard Webhooks). In the answer alone that gave it."),
    ] = UNSET


class AllAlerts(Struct, forbid_unknown_fields=True):
    alerts: list[Alert]
    message: Literal["success"]


class Deleted(Struct, forbid_unknown_fields=True):
    message: Literal["success"]


class Message(Struct, forbid_unknown_fields=True):
    id: str
    alert_id: str
    at: _Moment
    said: Literal["firing", "resolved", "test"]
    channel: Literal["webhook", "email"]
    delivery: Annotated[
        Literal["due", "delivered", "failed", "held_back"],
        Meta(description="`held_back`: the alerts of the workspace had sent too many in that hour."),
    ]
    attempts: int
    error: Annotated[str, Meta(description="Why the last attempt failed; empty = it did not.")]
    ended_at: _Moment | None
    content: Annotated[dict[str, Any], Meta(description="What a webhook gets.")]


class OneMessage(Message, forbid_unknown_fields=True, kw_only=True):
    message: Literal["success"]


class Messages(Struct, forbid_unknown_fields=True):
    messages: list[Message]
    message: Literal["success"]
