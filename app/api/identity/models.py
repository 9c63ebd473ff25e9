"""Who is who: bodies and answers of the endpoints about identity."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.identifiers import BrazeId, Email, ExternalId, Phone, UserAlias
from app.api.refusals import ObjectRefusal

_Rules = Annotated[
    list[Literal["identified", "unidentified", "most_recently_updated", "least_recently_updated"]],
    Meta(
        min_length=1,
        max_length=2,
        description="Choose among several holders, in this order: at most one of the first two and one of the others. "
        "Nothing happens unless exactly one profile is left.",
    ),
]
_Errors = Annotated[list[ObjectRefusal], Meta(min_length=1)]
_Queued = Annotated[int, Meta(ge=1, description="Well-formed elements that were accepted.")]


class ByEmail(Struct):
    email: Email
    prioritization: _Rules


class ByPhone(Struct):
    phone: Phone
    prioritization: _Rules


class AliasToIdentify(Struct):
    external_id: ExternalId
    user_alias: UserAlias


class EmailToIdentify(ByEmail):
    external_id: ExternalId


class PhoneToIdentify(ByPhone):
    external_id: ExternalId


class IdentifyBody(Struct):
    """At least one of the arrays has an object, at most 50 in all."""

    aliases_to_identify: list[AliasToIdentify] | None = None
    emails_to_identify: list[EmailToIdentify] | None = None
    phone_numbers_to_identify: list[PhoneToIdentify] | None = None
    merge_behavior: (
        Annotated[
            Literal["merge", "none"],
            Meta(
                description="What a profile that has the external id gets: everything (when left out), or only push "
                "tokens, message history and aliases."
            ),
        ]
        | None
    ) = None


class MergeIdentifier(Struct):
    """Exactly one identifier; `prioritization` beside an e-mail address or a phone number."""

    external_id: ExternalId | None = None
    user_alias: UserAlias | None = None
    braze_id: BrazeId | None = None
    email: Email | None = None
    phone: Phone | None = None
    prioritization: _Rules | None = None


class MergeUpdate(Struct, forbid_unknown_fields=True):
    identifier_to_merge: MergeIdentifier
    identifier_to_keep: MergeIdentifier


class MergeBody(Struct):
    merge_updates: Annotated[list[MergeUpdate], Meta(min_length=1, max_length=50)]


class NewAlias(UserAlias):
    """An alias of the profile with the external id; of a new profile when there is none."""

    external_id: ExternalId | None = None


class AliasNewBody(Struct):
    """An element may also have the alias as an object inside, `user_alias`."""

    user_aliases: Annotated[list[NewAlias], Meta(min_length=1, max_length=50)]


_AliasPart = Annotated[str, Meta(min_length=1, max_length=236)] | int


class AliasUpdate(Struct):
    alias_label: _AliasPart
    old_alias_name: _AliasPart
    new_alias_name: _AliasPart


class AliasUpdateBody(Struct):
    alias_updates: Annotated[list[AliasUpdate], Meta(min_length=1, max_length=50)]


class AliasesAccepted(Struct, forbid_unknown_fields=True):
    aliases_processed: _Queued
    message: Literal["success"]
    errors: _Errors | UnsetType = UNSET


class MergeAccepted(Struct, forbid_unknown_fields=True):
    message: Literal["success"]


class DeleteBody(Struct):
    """At least one identifier, at most 50 in all."""

    external_ids: list[ExternalId] | None = None
    user_aliases: list[UserAlias] | None = None
    braze_ids: list[BrazeId] | None = None
    email_addresses: list[ByEmail] | None = None
    phone_numbers: list[ByPhone] | None = None


class DeleteAccepted(Struct, forbid_unknown_fields=True):
    deleted: _Queued
    message: Literal["success"]
    errors: _Errors | UnsetType = UNSET


class Rename(Struct, forbid_unknown_fields=True):
    current_external_id: ExternalId
    new_external_id: ExternalId


class RenameBody(Struct):
    external_id_renames: Annotated[list[Rename], Meta(min_length=1, max_length=50)]


# Not tuple[int, str], which is `prefixItems`: schemathesis 4.32 cannot read it.
_Pair = Annotated[list[int | str], Meta(min_length=2, max_length=2)]
_ItemErrors = Annotated[list[_Pair], Meta(description="Index of an item that had no effect, and why.")]


class Renamed(Struct, forbid_unknown_fields=True):
    """What was renamed, and what was not."""

    message: Literal["success"]
    external_ids: list[Rename]
    rename_errors: _ItemErrors


class RemoveBody(Struct):
    external_ids: Annotated[list[ExternalId], Meta(min_length=1, max_length=50, description="Former external ids.")]


class Removed(Struct, forbid_unknown_fields=True):
    """What was removed, and what was not."""

    message: Literal["success"]
    removed_ids: list[str]
    removal_errors: _ItemErrors
