"""One request on its way through the reducer: where it stands in the log, and what it leaves without effect."""

from typing import Final

from app.domain import ids, series, sizes
from app.domain.changes import Changes
from app.domain.commands import Command, Request
from app.domain.history import CREATED, Happening, Origin
from app.domain.profile import Identifier, Problem, Profile
from app.domain.progress import NONE_ENDED, Carried
from app.domain.reasons import PROBLEMS_OMITTED
from app.domain.state import State
from app.domain.work import Work

#: Problems of a request that are kept. The last one says that there are more, and those are only counted.
MAX_PROBLEMS_PER_REQUEST: Final = 200
#: Bytes that these take, about: names of fields may be long, and what is kept of a request is to be small whatever it
#: asks for.
MAX_PROBLEM_BYTES_PER_REQUEST: Final = 9_000
#: Of one of them, beside its texts.
_FRAME_BYTES: Final = 13
#: Characters of a field's name that are kept.
_MAX_FIELD: Final = 255


class Step:
    """A request, the state that it changes, and the position of the command in hand."""

    __slots__ = (
        "data_points",
        "ended",
        "groups",
        "is_over",
        "late",
        "omits",
        "ordinal",
        "problem_bytes",
        "problems",
        "request",
        "secret",
        "state",
        "withheld",
        "work",
        "workspace_id",
    )

    def __init__(self, state: State, request: Request, workspace_id: int, secret: bytes) -> None:
        self.state = state
        self.request = request
        self.workspace_id = workspace_id
        self.secret = secret
        self.ordinal = 0
        self.problems = 0
        self.problem_bytes = 0
        #: Further problems are counted only.
        self.omits = False
        #: The commands that are left of the request have no effect.
        self.is_over = False
        #: (position of a command, its index): what follows of the object at that index has no effect.
        self.ended = NONE_ENDED
        #: (index of an object, or None for all, why): what a device tells has no effect until it changes hands.
        self.withheld: tuple[int | None, str] | None = None
        #: Indices of records from before the device changed hands.
        self.late: frozenset[int] = frozenset()
        self.work = Work()
        #: [data points, how many of them deltas would have saved] of the day, in these changes.
        self.data_points: tuple[Changes | None, list[int]] = (None, [])
        #: What merge rules decided about a group of duplicates before the request changed it, by what they share.
        #: The number of the profile that is kept, or None and why.
        self.groups: dict[Identifier, tuple[int | None, str]] = {}
        if request.begun is not None:
            self.go_back(request.begun.carried)
            self.begin(state)

    def begin(self, state: State) -> None:
        """Go on with another part of the workspace."""
        self.state = state
        self.work.take_up(state.profiles.values())

    def end(self) -> Carried:
        """The profiles go out of memory: another part may hold some of them again. Returns what that one needs."""
        self.work.put_away(self.state.profiles, self.state.changes.sections)
        return self.carried()

    def carried(self) -> Carried:
        """What was left by the parts that have ended."""
        return Carried(
            problems=self.problems,
            problem_bytes=self.problem_bytes,
            omits=self.omits,
            is_over=self.is_over,
            ended=self.ended,
            withheld=self.withheld,
            late=self.late,
            work_left=self.work.left,
            drafts=self.work.away(),
            groups=[(shared, *decided) for shared, decided in self.groups.items()],
        )

    def go_back(self, carried: Carried) -> None:
        """Be as the parts left it that had ended then. `begin` comes next."""
        self.problems, self.problem_bytes, self.omits = carried.problems, carried.problem_bytes, carried.omits
        self.is_over, self.ended, self.withheld = carried.is_over, carried.ended, carried.withheld
        self.late = carried.late
        self.work.go_back(carried.work_left, carried.drafts)
        self.groups = {shared: (kept, reason) for shared, kept, reason in carried.groups}

    def refuse(self, command: Command, reason: str, field: str = "") -> None:
        """The whole command has no effect. `field` names the member that is to blame, where there are several."""
        self.state.changes.counts.skipped += 1
        self._problem(command, reason, field)

    def end_here(self, command: Command, reason: str) -> None:
        """Neither the command nor those behind it have an effect."""
        self.refuse(command, reason)
        self.is_over = True

    def end_object(self, command: Command, reason: str) -> None:
        """Neither the command nor those behind it have an effect that come from the same object."""
        self.refuse(command, reason)
        self.ended = (self.ordinal, command.index)

    def has_ended(self, ordinal: int, command: Command) -> bool:
        """Whether the command at this position comes from an object that has no effect any more. A part of a request
        may be applied again, so the command that ended it is looked at again."""
        return command.index == self.ended[1] and ordinal > self.ended[0]

    def skip(self, command: Command, reason: str, field: str) -> None:
        """One field of the command has no effect."""
        self.state.changes.counts.ignored += 1
        self._problem(command, reason, field)

    def _problem(self, command: Command, reason: str, field: str) -> None:
        if self.omits:
            return
        self.problems += 1
        field = field[:_MAX_FIELD]
        self.problem_bytes += _FRAME_BYTES + len(command.input_array) + len(field.encode()) + len(reason)
        if self.problems == MAX_PROBLEMS_PER_REQUEST or self.problem_bytes > MAX_PROBLEM_BYTES_PER_REQUEST:
            self.omits, reason, field = True, PROBLEMS_OMITTED, ""
        request = self.request
        self.state.changes.problems.append(
            Problem(request.stream, request.seq, self.ordinal, command.input_array, command.index, field, reason)
        )

    def count_data_points(self, points: int, saved: int) -> None:
        """Add to the series of data points (app.domain.data_points)."""
        changes, sums = self.data_points
        if changes is not self.state.changes:
            day = series.day_of(self.state, self.request.accepted_us)
            sums = series.sums(self.state, (series.DATA_POINTS, "", "", day, series.NO_HOUR))
            self.data_points = (self.state.changes, sums)
        sums[0] += points
        sums[1] += saved

    def origin(self) -> Origin:
        """Where the command in hand comes from."""
        request = self.request
        return Origin(request.stream, request.seq, self.ordinal, request.accepted_us, request.key_name)

    def merge_id(self) -> str:
        """The id of the merge that the command in hand does."""
        return ids.merge_id(self.secret, self.workspace_id, self.request.stream, self.request.seq, self.ordinal)

    def erased_id(self, profile: Profile) -> str:
        """What stands for a profile after its deletion."""
        return ids.erased_id(self.secret, self.workspace_id, profile.braze_id)

    def happened(self, profile: Profile, what: str) -> None:
        """A line of the profile's history."""
        self.state.happened(profile.pid, Happening(what, self.origin()))

    def new_profile(
        self, app_id: str | None = None, braze_id: str | None = None, created_us: int | None = None
    ) -> Profile:
        """An empty profile, made by the command in hand, which an app sent; the caller gives it its identifier.

        `braze_id`, which nobody has, and `created_us`: of a profile that was made elsewhere.
        """
        request = self.request
        made = ids.new_ids(self.secret, self.workspace_id, request.stream, request.seq, self.ordinal)
        profile = Profile(
            pid=made.pid,
            braze_id=braze_id or made.braze_id,
            created_us=request.accepted_us if created_us is None else created_us,
            updated_us=request.accepted_us,
            updated_index=self.ordinal,
            random_bucket=made.random_bucket,
            size=sizes.ROW,
            core={},
            custom={},
            events={},
            purchases={},
            devices={},
            messages={},
            commerce={},
        )
        self.state.create(profile)
        series.book(self.state, series.NEW_USERS, "", app_id, profile.created_us, 1)
        self.happened(profile, CREATED)
        return profile
