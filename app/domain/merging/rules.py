"""What becomes of every field of two profiles when one is merged into the other (spec merge.md 3).

`RULES` has a rule for every field of Profile; a test walks the fields and fails for one without.
"""

from typing import Final

from app.domain.merging.leaves import (
    Active,
    App,
    Belongs,
    ByKey,
    Cart,
    Count,
    DecimalTotal,
    EmailGroups,
    Fill,
    Flags,
    Former,
    Greatest,
    Keep,
    Least,
    Members,
    Merges,
    OwnConsent,
    PhoneGroups,
    Rule,
    Summary,
    Sums,
    Total,
    WithEmail,
    WithPhone,
)

KEEP: Final = Keep()
FILL: Final = Fill()
TOTAL: Final = Total()
LEAST: Final = Least()
GREATEST: Final = Greatest()
_ALWAYS_FILL: Final = Fill(always=True)

RULES: Final[dict[str, Rule]] = {
    "pid": KEEP,
    "braze_id": KEEP,
    "created_us": KEEP,
    "created_from": KEEP,
    "random_bucket": KEEP,
    # The merge itself is the last write.
    "updated_us": KEEP,
    "updated_index": KEEP,
    "external_id": FILL,  # an id is not lost while there is room for it (D10)
    "flags": Flags(),
    "revenue_cents": TOTAL,
    "purchase_count": TOTAL,
    "first_purchase_us": LEAST,
    "last_purchase_us": GREATEST,
    "session_count": TOTAL,
    "first_session_us": LEAST,
    "last_session_us": GREATEST,
    "size": KEEP,  # it follows from the values
    # the fields of `core`
    "aliases": ByKey(_ALWAYS_FILL),
    "deprecated": Former(),
    "first_name": FILL,
    "last_name": FILL,
    "email": FILL,
    "phone": WithPhone(),
    "phone_raw": WithPhone(),
    "country": FILL,
    "language": FILL,
    "time_zone": FILL,
    "home_city": FILL,
    "dob": FILL,
    "gender": FILL,
    "current_location": FILL,
    "facebook": FILL,
    "twitter": FILL,
    "image_url": FILL,
    "native_line_id": FILL,
    "email_open_tracking_disabled": WithEmail(),
    "email_click_tracking_disabled": WithEmail(),
    "marked_email_as_spam_at": WithEmail(),
    "email_subscribe": OwnConsent(),
    "email_groups": EmailGroups(),
    "phone_groups": PhoneGroups(),
    "push_subscribe": FILL,
    "merges": Merges(always=True),
    "last_merge": KEEP,  # a merge becomes the last one itself
    # the other sections
    "custom": ByKey(FILL),
    "events": ByKey(Summary()),
    "purchases": ByKey(Summary()),
    "devices": Members(
        {
            "devices": ByKey(Belongs()),
            "tokens": ByKey(Belongs(always=True)),
            "apps": ByKey(App()),
            "active": ByKey(Active()),
            "uninstalled_at": KEEP,
        }
    ),
    "messages": Members(
        {
            "received": ByKey(GREATEST),
            "campaigns": ByKey(ByKey(GREATEST)),
            "canvases": ByKey(ByKey(GREATEST)),
            "history": ByKey(_ALWAYS_FILL),
        }
    ),
    "commerce": Members(
        {
            "placed": Count(),
            "cancelled": Count(),
            "refunded": Count(),
            "last_order": GREATEST,
            "carts": ByKey(Cart()),
            "days": ByKey(Sums()),
            "unbooked": ByKey(DecimalTotal()),
        }
    ),
}
