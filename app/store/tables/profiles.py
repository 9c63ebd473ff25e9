"""Profiles, what leads to them, and what is recorded of addresses."""

from sqlmodel import SQLModel

from app.store.tables.columns import big, partial_index, small, text


class ProfileRow(SQLModel, table=True):
    """The narrow and hot part of a profile. updated_us is in no index, so that updates stay in their page."""

    __tablename__ = "profile"
    __table_args__ = (
        # Everybody has one. But for the condition PostgreSQL might read a whole workspace by this index in place of the
        # rows of some numbers, when its statistics are of a time at which the workspace had few.
        partial_index("profile_braze_id", "workspace_id", "braze_id", where="braze_id is not null", unique=True),
        partial_index("profile_anonymous", "workspace_id", "pid", where="external_id is null"),
        partial_index("profile_flagged", "workspace_id", "pid", where="flags <> 0"),
        partial_index("profile_blocked", "workspace_id", "pid", where="(flags & 8) <> 0"),
        partial_index("profile_imported", "workspace_id", "pid", where="created_from = 'pti' and external_id is null"),
    )

    workspace_id: int = big(key=True)
    pid: int = big(key=True)
    braze_id: str = text()
    external_id: str | None = text(nullable=True)
    created_us: int = big()
    updated_us: int = big()
    updated_index: int = big()
    created_from: str = text()
    random_bucket: int = big()
    flags: int = big()
    revenue_cents: int = big()
    purchase_count: int = big()
    first_purchase_us: int | None = big(nullable=True)
    last_purchase_us: int | None = big(nullable=True)
    session_count: int = big()
    first_session_us: int | None = big(nullable=True)
    last_session_us: int | None = big(nullable=True)
    #: As app.domain.sizes counts; 0 = not counted since an earlier version wrote the profile.
    size: int = big(default=0)


class ProfileCore(SQLModel, table=True):
    """Reserved fields that have a value, aliases and deprecated ids: what app.domain.profile.CORE_FIELDS lists."""

    __tablename__ = "profile_core"

    workspace_id: int = big(key=True)
    pid: int = big(key=True)
    #: JSON text.
    doc: str = text()


class ProfileCustom(SQLModel, table=True):
    """Custom attributes: {name: value}."""

    __tablename__ = "profile_custom"

    workspace_id: int = big(key=True)
    pid: int = big(key=True)
    #: JSON text.
    doc: str = text()


class ProfilePart(SQLModel, table=True):
    """The other sections, one row each; `part` is the section's bit in app.domain.profile."""

    __tablename__ = "profile_part"

    workspace_id: int = big(key=True)
    pid: int = big(key=True)
    part: int = small(key=True)
    #: JSON text.
    doc: str = text()


class IdentifierRow(SQLModel, table=True):
    """Who has which identifier: an index of what profile and profile_core say, written in the same transaction."""

    __tablename__ = "identifier"
    __table_args__ = (
        partial_index("identifier_unique", "workspace_id", "kind", "label", "value", unique=True, where="kind <= 3"),
        partial_index("identifier_of_device", "workspace_id", "kind", "label", "value", unique=True, where="kind >= 7"),
    )

    workspace_id: int = big(key=True)
    kind: int = small(key=True)
    label: str = text(key=True)
    value: str = text(key=True)
    pid: int = big(key=True)


class AddressStateRow(SQLModel, table=True):
    """What is recorded of an address, which reaches every profile that has it, now or later."""

    __tablename__ = "address_state"
    __table_args__ = (
        partial_index(
            "address_unsubscribed",
            "workspace_id",
            "changed_us",
            "address",
            where="group_id = '' and state = 'unsubscribed'",
        ),
        partial_index("address_bounced", "workspace_id", "changed_us", "address", where="group_id = '~hard_bounced'"),
        partial_index("address_invalid", "workspace_id", "changed_us", "address", where="group_id = '~invalid'"),
        # What ages out, of all workspaces at once.
        partial_index("address_forgotten", "forget_us", where="forget_us is not null"),
    )

    workspace_id: int = big(key=True)
    channel: int = small(key=True)
    address: str = text(key=True)
    #: "" for the channel's global state, the id of a subscription group, or one of the marks of app.domain.profile.
    group_id: str = text(key=True)
    state: str = text()
    changed_us: int = big()
    #: While nobody has the address: from this moment on nothing is recorded any more.
    forget_us: int | None = big(nullable=True)


class SubscriptionGroup(SQLModel, table=True):
    """A subscription group. Its channel never changes."""

    __tablename__ = "subscription_group"

    workspace_id: int = big(key=True)
    id: str = text(key=True)
    name: str = text()
    #: email, sms or whatsapp.
    channel: str = text()
    created_us: int = big()
