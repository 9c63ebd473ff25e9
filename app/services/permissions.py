"""The permission catalogue: what a key may be allowed to do (spec api-keys.md 3). Fixed when a key is made."""

from collections.abc import Container
from typing import Final

PERMISSIONS: Final = (
    "users.track",
    "users.track.sync",
    "users.track.bulk",
    "users.identify",
    "users.merge",
    "users.delete",
    "users.alias.new",
    "users.alias.update",
    "users.external_ids.rename",
    "users.external_ids.remove",
    "users.export.ids",
    "users.export.segment",
    "users.export.global_control_group",
    "subscription.status.set",
    "subscription.status.get",
    "subscription.groups.get",
    "email.status",
    "email.hard_bounces",
    "email.unsubscribe",
    "email.bounce.remove",
    "email.spam.remove",
    "email.blacklist",
    "sms.invalid_phone_numbers",
    "sms.invalid_phone_numbers.remove",
    "segments.list",
    "segments.details",
    "segments.data_series",
    "events.list",
    "events.get",
    "events.data_series",
    "custom_attributes.get",
    "purchases.product_list",
    "purchases.quantity_series",
    "purchases.revenue_series",
    "sessions.data_series",
    "kpi.dau.data_series",
    "kpi.mau.data_series",
    "kpi.new_users.data_series",
    "kpi.uninstalls.data_series",
    "admin.limits",
    "admin.merges",
    "admin.dead_letters",
    "admin.attributes",
    "admin.events",
    "admin.rates",
    "admin.jobs",
    "admin.flags",
    "admin.profiles",
    "admin.subscription_groups",
    "admin.messages",
    "admin.apps",
    "admin.segments",
    "admin.workspaces",
    "admin.segment_deletions",
    "admin.data_points",
    "admin.requests",
    "admin.alerts",
    "admin.imports",
    "admin.webhooks",
)

#: What `onefold keys create --all` gives: a key that any application may have cannot raise its own limits, nor delete
#: everything.
ALL: Final = tuple(one for one in PERMISSIONS if one not in ("admin.limits", "admin.workspaces"))

#: Other spellings of the documentation that clients have learned from.
SYNONYMS: Final = {"users.external_id.rename": "users.external_ids.rename"}

#: Permissions that a wider one opens too: connectors have keys with the wider one alone (DECISIONS D56).
OPENED_BY: Final = {"users.track.bulk": "users.track"}


def allows(permissions: Container[str], permission: str) -> bool:
    """Whether a key with these permissions may do what needs this one."""
    if permission in permissions or OPENED_BY.get(permission) in permissions:
        return True
    return any(other in permissions for other, meant in SYNONYMS.items() if meant == permission)
