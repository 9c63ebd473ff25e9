"""Settings of a workspace that change what a command does."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ApplySettings:
    """What changes the effect of a command. Changed by a command of its own, so that a redo meets the same settings."""

    alias_autocreate_on_purchase: bool = False
    nested_null_deletes: bool = True
    resubscribe_on_email_change: bool = False
    array_max: int = 500
    #: USD per unit by currency: {currency: [[first day, decimal text], …]}. They go before reference rates (D69).
    fixed_rates: dict[str, list[Any]] = field(default_factory=dict)
    #: The last day up to which reference rates are in force, counted from 1970-01-01; None = none are.
    rates_until: int | None = None
    #: IANA name of the workspace's time zone, whose days are its days (D75).
    time_zone: str = "UTC"
    #: Identifiers that never lead to a merge; None is the list in app.domain.guard.
    junk_identifiers: list[str] | None = None
    max_identifiers_per_profile: int = 1_000
    max_merges_per_profile: int = 1_000
    #: E-mail addresses and phone numbers by which merge rules never join anybody; None is what app.domain.guard has.
    placeholder_addresses: list[str] | None = None
    #: Profiles that may share an identifier and count as duplicates; see app.domain.merging.match.MAX_GROUP.
    max_duplicates: int = 25
    #: Bytes of a profile, beyond which nothing makes it larger (D73). A merge may make twice as much.
    max_profile_bytes: int = 8_000_000
    #: Sessions, names of custom events and bought products beyond which a profile is blocked (D34); 0 = no such bound.
    spam_sessions: int = 5_000_000
    spam_event_names: int = 20_000
    spam_product_ids: int = 20_000
    #: For how long a merge can be undone, and the merged profile is kept for it.
    merge_undo_days: int = 30
    #: Entries of a profile's message history, and its campaigns and canvases; the oldest ones go.
    message_max: int = 500
    #: Devices of a profile, and its push tokens; those that were heard of longest ago go.
    max_devices_per_profile: int = 100
    #: What was decided about single names, see app.domain.data_rules.
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Whether the type string was ever taken back: texts may be stored that would be read as times today.
    texts_were_forced: bool = False
    blocked_events: dict[str, bool] = field(default_factory=dict)
    blocked_products: dict[str, bool] = field(default_factory=dict)
