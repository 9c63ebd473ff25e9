"""Apps: bodies and answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

_Name = Annotated[str, Meta(min_length=1, max_length=255)]
_Platform = Literal["web", "ios", "android", "other"]
_Origins = Annotated[
    list[str], Meta(max_length=100, description="Origins of pages that may send for the app; `*` = any, the default.")
]


class NewApp(Struct, forbid_unknown_fields=True):
    name: _Name
    platform: _Platform
    allowed_origins: _Origins | UnsetType = UNSET


class AppChange(Struct, forbid_unknown_fields=True):
    """Members that are left out stay as they are."""

    name: _Name | UnsetType = UNSET
    allowed_origins: _Origins | UnsetType = UNSET
    disabled: Annotated[bool, Meta(description="Nothing is taken from its devices.")] | UnsetType = UNSET
    sdk_authentication: (
        Annotated[bool, Meta(description="Whether data of known people needs a signature.")] | UnsetType
    ) = UNSET
    public_keys: (
        Annotated[list[str], Meta(max_length=5, description="RSA public keys as PEM that verify signatures.")]
        | UnsetType
    ) = UNSET


class App(Struct, forbid_unknown_fields=True):
    app_id: Annotated[str, Meta(min_length=36, max_length=36)]
    name: str
    platform: _Platform
    sdk_key: Annotated[str, Meta(description="Public. Who has it can write for devices of the app, and read nothing.")]
    allowed_origins: list[str]
    disabled: bool
    sdk_authentication: bool
    public_keys: list[str]
    created_at: Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]


class OneApp(App, forbid_unknown_fields=True, kw_only=True):
    message: Literal["success"]


class AllApps(Struct, forbid_unknown_fields=True):
    apps: list[App]
    message: Literal["success"]
