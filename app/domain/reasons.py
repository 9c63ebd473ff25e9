"""Why something of an accepted request had no effect. The names are stored and shown, so they are never changed."""

from typing import Final

#: A request left more problems than are listed.
#: Only counted: the value is applied, but its name is not listed.
CATALOGUE_FULL: Final = "catalogue_full"
SERIES_FULL: Final = "series_full"
TOO_OLD_FOR_SERIES: Final = "too_old_for_series"
PROBLEMS_OMITTED: Final = "further_problems_omitted"

# Nobody is addressed.
#: Nobody has the identifier, and the object may not make a profile.
PROFILE_NOT_FOUND: Final = "profile_not_found"
#: Several profiles are left after `prioritization`.
AMBIGUOUS: Final = "ambiguous"
#: Nobody can have what was sent, such as a phone number that cannot be read.
INVALID_IDENTIFIER: Final = "invalid_identifier"

# /users/track
#: The object was accepted by another version of the software, and this one cannot read it.
UNREADABLE: Final = "unreadable"
#: There is no rate for the currency, so the purchase counts no revenue.
NO_USD_RATE: Final = "no_usd_rate"
INVALID_NAME: Final = "invalid_name"
#: The data rules of the workspace.
WRONG_TYPE: Final = "wrong_type"
BLOCKED: Final = "blocked"
#: The profile is blocked, since it has far more of something than a person has (spec lifecycle.md 6).
PROFILE_BLOCKED: Final = "profile_blocked"
#: The steps of app.domain.work are used up.
TOO_MUCH_WORK: Final = "too_much_work"
#: The profile is as large as one may be, and this would make it larger; or a merge would (DECISIONS.md D73).
PROFILE_FULL: Final = "profile_full"

# Push tokens and devices
#: The batch of a device was applied before, or is older than what is remembered of the device's batches.
BATCH_KNOWN: Final = "batch_known"
#: The record is from before the device changed hands, and arrived afterwards: it is nobody's.
BATCH_LATE: Final = "batch_late"
#: The device belongs to somebody else than the signature does.
NOT_SIGNED: Final = "not_signed"
#: A call of a tracking SDK with this message id was accepted before.
MESSAGE_KNOWN: Final = "message_known"
#: A call could not be accepted, and others of its batch were.
CALL_REFUSED: Final = "call_refused"
#: A session of this id was counted.
SESSION_KNOWN: Final = "session_known"
#: Somebody has the push token, so it is not imported.
IMPORT_KNOWN: Final = "token_known"

# Imports
#: Somebody else has the push token or the device.
DEVICE_TAKEN: Final = "device_taken"

# Identify, and what else changes identifiers
ALREADY_IDENTIFIED: Final = "already_identified"
IDENTIFIED_OTHERWISE: Final = "identified_otherwise"
LABEL_CONFLICT: Final = "label_conflict"
ALIAS_TAKEN: Final = "alias_taken"
ALIAS_NOT_FOUND: Final = "alias_not_found"
ALIAS_UNCHANGED: Final = "alias_unchanged"
#: Combined, but the kept profile has another alias of this label (DECISIONS.md D70).
ALIAS_RETIRED: Final = "alias_retired"
LABEL_TAKEN: Final = "label_taken"
EXTERNAL_ID_NOT_FOUND: Final = "external_id_not_found"
EXTERNAL_ID_DEPRECATED: Final = "external_id_deprecated"
EXTERNAL_ID_NOT_DEPRECATED: Final = "external_id_not_deprecated"
EXTERNAL_ID_TAKEN: Final = "external_id_taken"
EXTERNAL_ID_UNCHANGED: Final = "external_id_unchanged"

# The guard of merges
SELF_MERGE: Final = "same_profile"
JUNK_IDENTIFIER: Final = "junk_identifier"
IN_CONTROL_GROUP: Final = "control_group"
BEING_DELETED: Final = "marked_for_deletion"
#: The profile was to be archived, and something has been heard of it since.
STILL_ACTIVE: Final = "still_active"
#: The profile of an imported push token was to be deleted, and something is known of it again.
STILL_KNOWN: Final = "still_known"
#: The profile was to be deleted with a segment, and is not any more.
NOT_MARKED: Final = "not_marked_for_deletion"
TOO_MANY_IDENTIFIERS: Final = "too_many_identifiers"
TOO_MANY_MERGES: Final = "too_many_merges"

# Merge rules
#: Nobody in the group comes first by the rule.
TIED: Final = "tied"
#: More profiles share the identifier than a group of duplicates may have.
TOO_MANY_HOLDERS: Final = "too_many_holders"
#: The two do not share the identifier any more.
IDENTIFIER_CHANGED: Final = "identifier_changed"
#: By now the rule keeps another profile of the group.
OTHER_CHOICE: Final = "other_choice"

# Undoing a merge
MERGE_NOT_FOUND: Final = "merge_not_found"
ALREADY_UNDONE: Final = "already_undone"
TOO_OLD: Final = "merge_too_old"
IDENTIFIER_REUSED: Final = "identifier_reused"
#: A merge that stands on it is too old to be undone, so nobody knows any more what was there before.
LATER_MERGE_TOO_OLD: Final = "later_merge_too_old"
TOO_MANY_LATER_MERGES: Final = "too_many_later_merges"
# Earlier versions could take back the last merge alone. Requests that they applied still have these reasons.
LATER_MERGE_FIRST: Final = "later_merge_first"
KEPT_PROFILE_MERGED: Final = "kept_profile_merged"

# Values, also those that the contract leaves out before the request is stored
INVALID_VALUE: Final = "invalid_value"
OUT_OF_RANGE: Final = "value_out_of_range"
BROKEN_TEXT: Final = "invalid_text"
#: A property is left out, because its name belongs to the object (DECISIONS.md D61).
RESERVED_NAME: Final = "reserved_name"
TOO_MANY_PROPERTIES: Final = "too_many_properties"
