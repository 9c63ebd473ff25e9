"""Applying the requests of a batch inside its transaction, with no more profiles in memory than a worker may load.

Most batches are loaded, reduced and saved in one go. When their profiles are too large for that, fewer requests are
applied. A single request that is still too large is applied in parts, in the order in which its objects take effect:
each part is loaded, reduced and saved before the next. A transaction that has lasted long enough ends behind a part;
what the next one has to know is committed with it (app.domain.progress), and the cursor moves with the last one.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.adapters import rates
from app.contract.naming import names_anybody
from app.domain.address_book import TooFewLoadedError
from app.domain.apply import apply_commands
from app.domain.changes import Changes, Counts
from app.domain.commands import Command, Request
from app.domain.observing import AddressEvent, Observer
from app.domain.order import left, positions
from app.domain.profile import Problem
from app.domain.progress import Carried, Progress
from app.domain.reasons import CATALOGUE_FULL, SERIES_FULL, TOO_OLD_FOR_SERIES
from app.domain.settings import ApplySettings
from app.domain.state import State
from app.domain.step import Step
from app.domain.webhooks import DELETED, ProfileEvent
from app.store import dead_letters, import_erasures
from app.store.names import NameCache
from app.store.profiles import crowds
from app.store.profiles.known import Known, seldom
from app.store.profiles.load import Loader, TooMuchError
from app.store.profiles.resident import Resident
from app.store.profiles.save import save
from workers.batches import Patience


@dataclass(slots=True)
class Applied:
    """What was applied, and is saved in the transaction."""

    #: How many requests, from the first of the batch on, as a whole.
    requests: int = 0
    #: How far the next one is; None: nothing of it has taken effect.
    progress: Progress | None = None
    counts: Counts = field(default_factory=Counts)
    problems: list[Problem] = field(default_factory=list)
    #: Writes under names that the workspace's catalogue has no room for.
    unlisted: int = 0
    #: What was not kept of series: the workspace has as many as it may have, or it happened too long ago.
    unlisted_series: int = 0
    too_old: int = 0
    #: Settings that are in force now, if they changed.
    settings: ApplySettings | None = None
    #: What webhooks are told, by its place; and of addresses, whoever has them.
    events: dict[tuple[int, int, int], ProfileEvent] = field(default_factory=dict)
    addresses: list[AddressEvent] = field(default_factory=list)
    #: Names that the transaction made.
    names: NameCache = field(default_factory=dict)

    @property
    def uncounted(self) -> dict[str, int]:
        """{reason: how much} of what is in profiles, and neither listed nor counted."""
        return {CATALOGUE_FULL: self.unlisted, SERIES_FULL: self.unlisted_series, TOO_OLD_FOR_SERIES: self.too_old}

    def observe(self, observer: Observer | None) -> None:
        """Take in what was seen of a state that is saved."""
        if observer is None:
            return
        for event in observer.events:
            known = self.events.setdefault(event.place, event)
            if known is not event:
                known.add(event)
        self.addresses += observer.addresses

    def add(self, changes: Changes, settings: ApplySettings, made: NameCache) -> None:
        """Take in what was saved together."""
        self.counts.add(changes.counts)
        self.problems += changes.problems
        self.unlisted += changes.unlisted
        self.unlisted_series += changes.unlisted_series
        self.too_old += changes.too_old
        self.names |= made
        if changes.settings_changed:
            self.settings = settings
        if changes.family:  # whoever is deleted is not told of any more
            gone = {pid: event for (_, _, pid), event in self.events.items() if event.types & DELETED}
            self.events = {place: one for place, one in self.events.items() if place[2] not in changes.family}
            for event in gone.values():
                alone = ProfileEvent(event.stream, event.seq, event.us, event.pid, DELETED, gone=event.gone)
                alone.members = changes.members.get(event.pid, event.members)
                self.events[event.place] = alone


class Parts:
    """Applies one batch. Made for each attempt."""

    def __init__(
        self,
        loader: Loader,
        secret: bytes,
        settings: ApplySettings,
        limits: crowds.Limits,
        names: NameCache,
        most_names: int,
        most_series: int,
        *,
        with_values: bool,
        has_values: bool,
        observed: bool,
        patience: Patience,
        resident: Resident | None = None,
    ) -> None:
        """`limits` says how many holders of an address are loaded at first; `names` are those that are known, and the
        workspace may have `most_names`, and `most_series` series. `with_values`, `has_values`, `observed`: those of the
        lane. `resident`: what is in memory of it already."""
        self._loader = loader
        self._connection = loader.connection
        self._workspace_id = loader.workspace_id
        self._secret = secret
        self._settings = settings
        self._limits = limits
        self._names = names
        self._most_names = most_names
        self._most_series = most_series
        self._with_values = with_values
        self._has_values = has_values
        self._observed = observed
        self._patience = patience
        self._resident = resident
        #: Of the profiles that are loaded.
        self._known: dict[int, Known] = {}
        self._applied = Applied()

    def apply(self, requests: Sequence[Request], again: Callable[[int], Request]) -> Applied:
        """Apply as many of the requests as fit the time and the memory, at least the first one.

        `again` decodes a request of the batch once more: reducing may have used up its commands.
        """
        wanted, begun = len(requests), requests[0].begun
        if begun is not None and wanted == 1:
            self._in_parts(requests[0], lambda: again(0), begun.rest, begun.size)
            return self._applied
        while True:
            try:
                self._together(requests[:wanted], again)
            except TooMuchError as error:
                fitting = error.fitting(command for request in requests[:wanted] for command in left(request))
                wanted = min(_whole(requests, fitting), wanted - 1)
                if wanted == 0:
                    order = positions(requests[0], error.holders)
                    self._in_parts(requests[0], lambda: again(0), order, fitting)
                    return self._applied
            else:
                return self._applied

    def _together(self, requests: Sequence[Request], again: Callable[[int], Request]) -> None:
        limits = self._limits
        while True:
            state = self._load([command for request in requests for command in left(request)], limits)
            observer = Observer(state) if self._observed else None
            try:
                done, self._applied.progress = reduce_requests(
                    state, requests, self._workspace_id, self._secret, self._patience, observer
                )
            except TooFewLoadedError:  # never when all are loaded, so this ends
                limits = limits.more()
                requests = [again(n) for n in range(len(requests))]
            else:
                self._applied.observe(observer)
                self._save(state)
                self._applied.requests = done
                return

    def _in_parts(self, request: Request, again: Callable[[], Request], order: Sequence[int], fitting: int) -> None:
        """Apply a request whose profiles cannot all be loaded at once, or as many parts of it as there is time for.
        `order` is that of the commands that are left, `fitting` a guess for the first part."""
        step = Step(State(), request, self._workspace_id, self._secret)
        carried, ends = step.carried(), time.monotonic() + self._patience.part
        limits, first, size = self._limits, 0, max(1, fitting)
        while first < len(order) and not step.is_over:
            if first and time.monotonic() > ends:
                self._applied.progress = _progress(request, order, first, carried, size)
                return
            part = order[first : first + size]
            step.state = State()  # the last part may go before the next one comes
            try:
                state = self._load([step.request.commands[n] for n in part], limits)
            except TooMuchError as too_much:
                fitting = too_much.fitting(step.request.commands[n] for n in part)
                size = max(1, min(fitting, len(part) - 1))
                continue
            step.begin(state)
            observer = Observer(state) if self._observed else None
            try:
                done = _reduce(step, part, time.monotonic() + self._patience.reduce, self._patience.commands)
            except TooFewLoadedError:
                limits, step.request = limits.more(), again()
                step.go_back(carried)
                continue
            carried = step.end()
            if observer is not None:
                observer.look(request)
            self._applied.observe(observer)
            self._save(state)
            del state
            limits, first, size = self._limits, first + done, 2 * size
        self._applied.requests = 1

    def _load(self, commands: list[Command], limits: crowds.Limits) -> State:
        try:
            state = self._loader.load(commands, self._settings, limits)
        except TooMuchError:
            if len(commands) > 1:
                raise
            state = self._loader.load_alone(commands[0], self._settings, limits)
        state.reference_rates = rates.usd
        self._known = {pid: Known(seldom(profile)) for pid, profile in state.profiles.items()}
        return state

    def _save(self, state: State) -> None:
        changes = state.changes
        made = save(
            self._connection,
            self._workspace_id,
            state,
            self._names,
            self._most_names,
            self._most_series,
            known=self._known,
            with_values=self._with_values,
            has_values=self._has_values,
        )
        if changes.erased:  # sent again, a letter would bring the person back
            named = frozenset(changes.erased_identifiers)
            import_erasures.note(self._connection, self._workspace_id, self._secret, named)
            dead_letters.erase_bodies(
                self._connection, self._workspace_id, lambda codec, body: names_anybody(codec, body, named)
            )
        self._loader.known.correct(state)
        if self._resident is not None:
            self._resident.forget(state)
        self._settings = state.settings
        self._applied.add(changes, state.settings, made)


def reduce_requests(
    state: State,
    requests: Sequence[Request],
    workspace_id: int,
    secret: bytes,
    patience: Patience,
    observer: Observer | None,
) -> tuple[int, Progress | None]:
    """Apply as many of the requests as there is time for, at least the first one or a part of it.

    How many were applied as a whole, and how far the next one is. Raises TooFewLoadedError.
    """
    ends, done = time.monotonic() + patience.reduce, 0
    for request in requests:
        step = Step(state, request, workspace_id, secret)
        order = positions(request, state.holders)
        many = _reduce(step, order, ends + patience.grace, patience.commands)
        if observer is not None:
            observer.look(request)
        if many < len(order):
            return done, _progress(request, order, many, step.end(), len(order))
        done += 1
        if time.monotonic() > ends:
            break
    return done, None


def _reduce(step: Step, order: Sequence[int], ends: float, at_once: int) -> int:
    """Apply commands, at least `at_once`, until time `ends`. Returns how many."""
    for n in range(0, len(order), at_once):
        apply_commands(step, order[n : n + at_once])
        if time.monotonic() > ends:
            return min(n + at_once, len(order))
    return len(order)


def _progress(request: Request, order: Sequence[int], done: int, carried: Carried, size: int) -> Progress:
    before = 0 if request.begun is None else request.begun.done
    return Progress(before + done, list(order[done:]), carried, size)


def _whole(requests: Iterable[Request], commands: int) -> int:
    """How many requests have no more commands together."""
    for n, request in enumerate(requests):
        commands -= len(left(request))
        if commands < 0:
            return n
    return n + 1
