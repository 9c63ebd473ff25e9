"""Tenants: companies, workspaces, their API keys and apps."""

from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.store.tables.columns import STAYS, big, binary, document, flag, text


class Company(SQLModel, table=True):
    """What some workspaces may use of /users/track together, besides their own limits. None = no such limit."""

    __tablename__ = "company"
    __table_args__ = (Index("company_name", "name", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = text()
    hourly_limit: int | None = big(nullable=True)
    burst_limit: int | None = big(nullable=True)
    burst_window_seconds: int = big()
    hourly_refill: str = text()
    created_us: int = big()


class Workspace(SQLModel, table=True):
    """A tenant. `secret` keys the ids that Onefold makes for it; limits that are None come from the plan."""

    __tablename__ = "workspace"
    __table_args__ = (Index("workspace_name", "name", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = text()
    plan: str = text()
    hourly_limit: int | None = big(nullable=True)
    burst_limit: int | None = big(nullable=True)
    burst_window_seconds: int | None = big(nullable=True)
    secret: bytes = binary()
    created_us: int = big()
    company_id: int | None = big(nullable=True)
    max_objects_combined: int | None = big(nullable=True)
    max_objects_per_array: int | None = big(nullable=True)
    #: "continuous" or "clock_hour".
    hourly_refill: str = text(default="continuous")
    #: "epoch" or "seconds".
    track_reset_style: str = text(default="epoch")
    #: {group: [requests, seconds]}, and {"track-bulk": "plan"}: limits other than those of app.contract.plans.
    group_limits: dict[str, Any] = document(default="{}")
    #: Switches that change how this workspace's API answers, such as `export_requires_fields`.
    options: dict[str, Any] = document(default="{}")
    legacy_api_key_auth: bool = flag()
    disabled: bool = flag()


class WorkspaceDeletion(SQLModel, table=True):
    """That a workspace was deleted. It stays, so that no other workspace gets the number: see
    app.store.workspace_deletions."""

    __tablename__ = "workspace_deletion"
    __table_args__ = ({"info": {STAYS: True}},)

    workspace_id: int = big(key=True)
    #: When it was asked for.
    us: int = big()
    #: When everything had been looked for once, and for the last time.
    emptied_us: int | None = big(nullable=True)
    finished_us: int | None = big(nullable=True)


class ApiKey(SQLModel, table=True):
    """A REST API key: its public id, and the SHA-256 of its secret part. The key itself is shown once."""

    __tablename__ = "api_key"
    __table_args__ = (Index("api_key_key_id", "key_id", unique=True),)

    workspace_id: int = big(key=True)
    key_id: str = text(key=True)
    name: str = text()
    digest: bytes = binary()
    permissions: list[str] = document()
    created_us: int = big()
    revoked_us: int | None = big(nullable=True)
    #: Networks from which it may be used; empty = any.
    ip_allowlist: list[str] = document(default="[]")
    expires_us: int | None = big(nullable=True)
    #: To the minute.
    last_seen_us: int | None = big(nullable=True)
    created_by: str = text(default="")


class AppRow(SQLModel, table=True):
    """An app of a workspace. It is never deleted, since what was recorded names it."""

    __tablename__ = "app"
    __table_args__ = (Index("app_sdk_key", "sdk_key", unique=True),)

    workspace_id: int = big(key=True)
    id: str = text(key=True)
    name: str = text()
    platform: str = text()
    #: Public; whoever has it can write for devices of the app.
    sdk_key: str = text()
    #: Origins of pages that may send; `*` = any.
    allowed_origins: list[str] = document()
    #: Whether data of known people needs a signature, by one of these keys (PEM).
    sdk_authentication: bool = flag()
    public_keys: list[str] = document()
    disabled: bool = flag()
    created_us: int = big()
