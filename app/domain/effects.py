"""All commands: what each does, and what it looks up, needs and changes. One row for each class."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final

from app.domain import (
    archival,
    consent,
    data_rules,
    devices,
    ecommerce,
    flags,
    identity,
    imports,
    messages,
    sdk,
    subscriptions,
    track,
    tracking,
)
from app.domain.commands import (
    AddressEvent,
    Archive,
    BookRevenue,
    ChangeFlags,
    ChangeSettings,
    CleanUpImport,
    CountRefused,
    Delete,
    DeleteMarked,
    Identify,
    ImportToken,
    ImportUser,
    Merge,
    MergeDuplicate,
    NewAlias,
    RecordMessage,
    RemoveExternalId,
    RenameExternalId,
    Selector,
    SetEmailState,
    SetGroupState,
    TrackAttributes,
    TrackEvent,
    TrackPurchase,
    TrackTokens,
    UndoMerge,
    Unreadable,
    UpdateAlias,
)
from app.domain.device_commands import (
    AddAlias,
    AliasUser,
    CallAttributes,
    CallDevice,
    CallEvent,
    CallPurchase,
    CallSession,
    CallSessionEnd,
    CallTokens,
    CallUser,
    ChangeUser,
    DescribeDevice,
    DeviceAttributes,
    DeviceEvent,
    DevicePurchase,
    DeviceTokens,
    DropCall,
    EndSession,
    LogOut,
    SdkBatch,
    StartSession,
    Visit,
)
from app.domain.identifiers import FIELD_KINDS, ChannelAddress
from app.domain.merging import duplicates
from app.domain.money import USD
from app.domain.profile import (
    ALIAS,
    ALL_SECTIONS,
    BRAZE,
    CHANNEL_EMAIL,
    COMMERCE,
    CORE,
    CUSTOM,
    DEVICES,
    EVENTS,
    EXTERNAL,
    MESSAGES,
    PURCHASES,
    Identifier,
)
from app.domain.state import State
from app.domain.step import Step


def _nothing(_command: Any) -> tuple[()]:
    return ()


@dataclass(frozen=True, slots=True)
class Effect:
    """What a command does, and what the loader has to know of it. The functions get the command.

    A command addresses one profile by its `identifier`, or looks up several, or does both; then it may move identifiers
    between them. The loader looks at every command of a batch, so what most commands need is quick to ask for.
    """

    #: Changes the state, or leaves a problem with a reason.
    apply: Callable[[Step, Any], None]
    #: Whose profile it changes. None, or a command for which it is None: it addresses nobody so.
    identifier: Callable[[Any], Identifier | None] | None = None
    #: Sections of the profile of `identifier` which it reads or writes, as a bit mask.
    sections: Callable[[Any], int] = lambda _command: 0
    #: E-mail addresses and phone numbers that it gives to that profile. None: never any.
    gives: Callable[[Any], list[Identifier]] | None = None
    #: Whom else it looks up; then these may be merged, deleted or get another identifier, and all their sections are
    #: needed. A selector of an e-mail address or a phone number says how it chooses among the holders.
    selectors: Callable[[Any], Iterable[Selector]] = _nothing
    #: Addresses whose consent it reads or writes, by the loaded state and `moving` of app.domain.loading.Needs.
    addresses: Callable[[Any, State, bool], Iterable[ChannelAddress]] = lambda _command, _state, _moving: ()
    #: Addresses of which it matters whether anybody has them: in any case, and where something is recorded of them.
    shared: Callable[[Any], Iterable[ChannelAddress]] | None = None
    leaves: Callable[[Any, State], Iterable[ChannelAddress]] | None = None
    #: Identifiers that it gives to that profile where nobody has them. Nothing else matters of whoever does.
    takes: Callable[[Any], Iterable[Identifier]] = _nothing
    #: Whether it deletes the profile that it finds, with all that is known of those who were merged into it.
    deletes: bool = False
    #: Ids of merges that it takes back. Their records say whom that concerns.
    merges: Callable[[Any], Iterable[str]] = _nothing

    @property
    def moves(self) -> bool:
        """Whether the profiles that it finds may be merged, deleted or get another identifier."""
        return self.identifier is None or self.selectors is not _nothing


def _external(external_id: str) -> Selector:
    return Selector((EXTERNAL, "", external_id))


def _alias(label: str, name: str) -> Selector:
    return Selector((ALIAS, label, name))


_addressed: Final[Callable[[Any], Identifier]] = attrgetter("identifier")


def _given(command: TrackAttributes) -> list[Identifier]:
    fields, given = command.fields, []
    for name, kind in _FIELD_KINDS:
        if isinstance(value := fields.get(name), str):
            given.append((kind, "", value))  # a comprehension is slower
    return given


_FIELD_KINDS: Final = tuple(FIELD_KINDS.items())


def _alias_and_owner(command: NewAlias) -> list[Selector]:
    owner = [] if command.external_id is None else [_external(command.external_id)]
    return [_alias(command.label, command.name), *owner]


def _duplicates(command: MergeDuplicate) -> list[Selector]:
    """Both profiles, and whoever else has the address: the rule may choose another one by now."""
    ids = (command.merged_braze_id, command.kept_braze_id)
    return [*(Selector((BRAZE, "", braze_id)) for braze_id in ids), Selector(command.shared)]


_ROWS: Final[dict[type, Effect]] = {
    TrackAttributes: Effect(
        track.apply_attributes,
        identifier=_addressed,
        sections=lambda command: CORE | (CUSTOM if command.custom else 0),
        gives=_given,
        addresses=consent.addresses_of_attributes,
        leaves=consent.left_by_attributes,
    ),
    TrackTokens: Effect(
        track.apply_attributes,
        identifier=_addressed,
        sections=lambda _command: ALL_SECTIONS,
        gives=_given,
        selectors=devices.selectors_of_tokens,
        addresses=consent.addresses_of_attributes,
        leaves=consent.left_by_attributes,
    ),
    ImportToken: Effect(
        track.import_token,
        identifier=_addressed,
        sections=lambda _command: CORE | CUSTOM | DEVICES,
        gives=_given,
        addresses=consent.addresses_of_attributes,
        leaves=consent.left_by_attributes,
    ),
    TrackEvent: Effect(
        track.apply_event,
        identifier=_addressed,
        sections=lambda command: EVENTS | (COMMERCE if command.recommended else 0),
        addresses=consent.addresses_of_occurrence,
    ),
    TrackPurchase: Effect(
        track.apply_purchase,
        identifier=_addressed,
        sections=lambda command: PURCHASES | (COMMERCE if command.currency != USD else 0),
        addresses=consent.addresses_of_occurrence,
    ),
    Unreadable: Effect(track.skip_unreadable),
    ChangeSettings: Effect(data_rules.change_settings),
    Identify: Effect(
        identity.identify,
        selectors=lambda command: (_external(command.external_id), command.who),
    ),
    Merge: Effect(identity.merge, selectors=lambda command: (command.merge, command.keep)),
    MergeDuplicate: Effect(duplicates.merge_duplicate, selectors=_duplicates),
    NewAlias: Effect(identity.new_alias, selectors=_alias_and_owner),
    UpdateAlias: Effect(
        identity.update_alias,
        selectors=lambda command: (
            _alias(command.label, command.old_name),
            _alias(command.label, command.new_name),
        ),
    ),
    Delete: Effect(identity.delete, selectors=lambda command: (command.who,), deletes=True),
    DeleteMarked: Effect(
        identity.delete_marked,
        selectors=lambda command: (Selector((BRAZE, "", command.braze_id)),),
        deletes=True,
    ),
    Archive: Effect(
        archival.archive,
        selectors=lambda command: (Selector((BRAZE, "", command.braze_id)),),
        deletes=True,
    ),
    CleanUpImport: Effect(
        devices.clean_up,
        selectors=lambda command: (Selector((BRAZE, "", command.braze_id)),),
        deletes=True,
    ),
    RenameExternalId: Effect(
        identity.rename,
        selectors=lambda command: (_external(command.current), _external(command.new)),
    ),
    RemoveExternalId: Effect(identity.remove, selectors=lambda command: (_external(command.external_id),)),
    UndoMerge: Effect(identity.undo_merge, merges=lambda command: (command.merge_id,)),
    ChangeFlags: Effect(flags.change, identifier=_addressed),
    SetGroupState: Effect(
        subscriptions.set_group_state,
        identifier=subscriptions.person_of_group_state,
        sections=lambda _command: CORE,
        addresses=subscriptions.addresses_of_group_state,
        shared=subscriptions.shared_by_group_state,
    ),
    SetEmailState: Effect(
        subscriptions.set_email_state,
        addresses=lambda command, _state, _moving: ((CHANNEL_EMAIL, command.email),),
        shared=lambda command: ((CHANNEL_EMAIL, command.email),),
    ),
    AddressEvent: Effect(
        subscriptions.address_event,
        identifier=subscriptions.person_of_event,
        sections=lambda _command: DEVICES,
        addresses=lambda command, _state, _moving: subscriptions.shared_by_event(command),
        shared=subscriptions.shared_by_event,
    ),
    RecordMessage: Effect(messages.record, identifier=_addressed, sections=lambda _command: MESSAGES),
    BookRevenue: Effect(
        ecommerce.book,
        identifier=lambda command: (BRAZE, "", command.braze_id),
        sections=lambda _command: COMMERCE,
    ),
    ImportUser: Effect(
        imports.apply,
        identifier=_addressed,
        sections=lambda _command: ALL_SECTIONS,
        gives=imports.addresses_given,
        selectors=imports.selectors,
        addresses=imports.addresses,
        takes=imports.taken,
    ),
    CountRefused: Effect(ecommerce.count_refused),
    SdkBatch: Effect(sdk.begin, identifier=_addressed, sections=lambda _command: CORE | DEVICES),
    StartSession: Effect(sdk.told(sdk.start_session), identifier=_addressed, sections=lambda _command: CORE | DEVICES),
    EndSession: Effect(sdk.told(sdk.end_session), identifier=_addressed, sections=lambda _command: DEVICES),
    DescribeDevice: Effect(sdk.told(sdk.describe), identifier=_addressed, sections=lambda _command: CORE | DEVICES),
    AddAlias: Effect(sdk.told(sdk.add_alias), selectors=sdk.selectors_of_alias),
    ChangeUser: Effect(sdk.timely(sdk.change_user), selectors=sdk.selectors_of_change),
    LogOut: Effect(sdk.timely(sdk.log_out), selectors=lambda command: (Selector(command.identifier),)),
    Visit: Effect(tracking.visit, identifier=_addressed, sections=lambda _command: CORE | DEVICES),
    CallUser: Effect(tracking.call_user, selectors=sdk.selectors_of_change),
    AliasUser: Effect(tracking.alias_user, selectors=tracking.selectors_of_alias),
    DropCall: Effect(tracking.drop),
}


def _told(same: type) -> Effect:
    return replace(_ROWS[same], apply=sdk.told(_ROWS[same].apply))


#: What a device sends does what the same object of /users/track does, and what a call says what the same record does.
_THE_SAME: Final[dict[type, Effect]] = {
    **dict.fromkeys((DeviceAttributes, CallAttributes), _told(TrackAttributes)),
    **dict.fromkeys((DeviceTokens, CallTokens), _told(TrackTokens)),
    **dict.fromkeys((DeviceEvent, CallEvent), _told(TrackEvent)),
    **dict.fromkeys((DevicePurchase, CallPurchase), _told(TrackPurchase)),
    CallSession: _ROWS[StartSession],
    CallSessionEnd: _ROWS[EndSession],
    CallDevice: _ROWS[DescribeDevice],
}

EFFECTS: Final[Mapping[type, Effect]] = _ROWS | _THE_SAME


def _is_plain(command: type, effect: Effect) -> bool:
    gives_nothing_away = effect.selectors is _nothing and effect.merges is _nothing and not effect.deletes
    asks_nobody_else = effect.shared is None and effect.takes is _nothing
    return gives_nothing_away and asks_nobody_else and command is not ChangeSettings


PLAIN: Final = frozenset(command for command, effect in EFFECTS.items() if _is_plain(command, effect))
"""Commands for which only the profile that has their identifier matters, and consent of its addresses.

They move no identifier that only one profile can have away from anybody, and change no settings.
"""
