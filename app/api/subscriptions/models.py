"""Subscriptions: bodies and answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

_Id = str | int | float
Ids = Annotated[list[_Id], Meta(max_length=50)] | _Id | None
Texts = Annotated[list[str], Meta(max_length=50)] | str | None
GroupId = Annotated[str, Meta(min_length=1, max_length=255)]
GroupName = Annotated[str, Meta(min_length=1, max_length=255)]
Channel = Literal["email", "sms", "whatsapp"]
State = Literal["subscribed", "unsubscribed"]
Status = Literal["Subscribed", "Unsubscribed", "Unknown"]


class GroupStateBody(Struct):
    """A state of a group, for a person or for everybody who has an address."""

    subscription_group_id: GroupId | int
    subscription_state: State
    external_id: Ids | UnsetType = UNSET
    email: Texts | UnsetType = UNSET
    phone: Annotated[Texts, Meta(description="In E.164.")] | UnsetType = UNSET
    use_double_opt_in_logic: bool | UnsetType = UNSET


class GroupState(Struct):
    """A state of a group, for people or for everybody who has one of the addresses."""

    subscription_group_id: GroupId | int
    subscription_state: State
    external_ids: Ids | UnsetType = UNSET
    emails: Texts | UnsetType = UNSET
    phones: Annotated[Texts, Meta(description="In E.164.")] | UnsetType = UNSET
    use_double_opt_in_logic: bool | UnsetType = UNSET


class GroupStatesBody(Struct):
    subscription_groups: Annotated[list[GroupState], Meta(min_length=1, max_length=50)]


class EmailStatusBody(Struct):
    email: Annotated[list[str], Meta(min_length=1, max_length=50)] | str
    subscription_state: Literal["subscribed", "unsubscribed", "opted_in"]


class Done(Struct, forbid_unknown_fields=True):
    message: Literal["success"]


class Statuses(Struct, forbid_unknown_fields=True):
    status: Annotated[dict[str, Status], Meta(description="By what was sent.")]
    message: Literal["success"]


class GroupOfUser(Struct, forbid_unknown_fields=True):
    id: GroupId
    name: str
    channel: Channel
    status: Literal["Subscribed", "Unsubscribed"]


class UserStatus(Struct, forbid_unknown_fields=True):
    email: str | None
    phone: str | None
    external_id: str | None
    subscription_groups: Annotated[list[GroupOfUser], Meta(description="Those of which a state is recorded.")]


class UserStatuses(Struct, forbid_unknown_fields=True):
    users: Annotated[list[UserStatus], Meta(max_length=100)]
    total_count: Annotated[int, Meta(ge=0, description="People on all pages.")]
    message: Literal["success"]


class NewGroup(Struct, forbid_unknown_fields=True):
    name: GroupName
    channel: Channel
    id: Annotated[GroupId | int, Meta(description="One of your own; left out, Onefold makes one.")] | UnsetType = UNSET


class GroupChange(Struct, forbid_unknown_fields=True):
    id: GroupId | int
    name: GroupName


class Group(Struct, forbid_unknown_fields=True):
    id: GroupId
    name: str
    channel: Channel
    created_at: str


class OneGroup(Group, forbid_unknown_fields=True, kw_only=True):
    message: Literal["success"]


class Groups(Struct, forbid_unknown_fields=True):
    subscription_groups: list[Group]
    message: Literal["success"]
