"""X in Y days: how much of something each person did in a window (spec segments.md 4.3, 4.4)."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    FromClause,
    Select,
    and_,
    case,
    cast,
    false,
    func,
    literal_column,
    select,
    tablesample,
    text,
    union_all,
)

from app.domain import times
from app.domain.profile import COMMERCE, NAME_PRODUCT, NAME_SESSION_END, OWN_NAMES
from app.domain.segments.clock import Clock
from app.domain.segments.compare import number_holds
from app.domain.segments.evaluate import COUNTED_PURCHASES, COUNTED_SESSIONS, KINDS, wanted_x
from app.domain.segments.fields import MOST_DAYS
from app.domain.segments.model import Filter
from app.store.segments.leaves import Expression, Json, Leaf, Rows, document, negated
from app.store.segments.scope import Scope, each_of, table

#: No sum of SQLite's overflows with amounts cut to this. PostgreSQL's sums do not overflow.
_MOST: Final = 10**16
#: PostgreSQL: of the pages of occurrences, so many tell where their middle is; with fewer occurrences on them, all are
#: summed by one process.
_SAMPLE_PERCENT: Final = 0.5
_SAMPLE_LEAST: Final = 1_000
#: With its usual price for each row that one process hands to another, PostgreSQL sums the halves at once.
_TUPLE_COST: Final = text("select set_config('parallel_tuple_cost', '0.1', true)")

#: Of occurrences from two statements PostgreSQL does not know how many people they are of. It takes them for a few, and
#: would look up each of a million among the profiles.
_NO_LOOK_UPS: Final = text("select set_config('enable_nestloop', 'off', true)")

Criteria = Callable[[Json, Rows], list[Expression]]
"""The conditions on the properties of an occurrence."""
Compared = Callable[[Leaf], Expression]
"""Whether a number is as the filter wants it."""


def condition(scope: Scope, clock: Clock, one: Filter, criteria: Criteria, compared: Compared) -> Expression:
    """Whether it matches how often, how many or how many cents; 0 for whoever did nothing."""
    first, last = clock.window(one.y)
    if one.field in ("x_orders_in_y_days", "x_revenue_in_y_days"):
        return compared(_of_days(scope, first // times.DAY, 0 if one.field == "x_orders_in_y_days" else 1))
    o: FromClause = table("occurrence").alias()
    kind = KINDS[one.field]
    names = _names(scope, kind, one.name)
    where = _during(scope, o, first, last, names)
    if scope.pids is not None:
        where.append(_of_people(scope, o.c.pid))
    where += criteria(document(scope.postgresql, o.c.properties), Rows(lambda: (o,), tuple(where)))
    if one.field == "x_money_spent_in_y_days":
        pid, joined = _whose(scope, o)
        ranked = select(pid.label("pid"), o.c.cents, _rank(o, pid)).select_from(joined).where(*where).subquery()
        grouped = select(ranked.c.pid).where(ranked.c.n <= COUNTED_PURCHASES).group_by(ranked.c.pid)
        sums = [(grouped, _sum(scope, ranked.c.cents))]
    else:
        amount = _sum(scope, o.c.quantity) if kind == NAME_PRODUCT else func.count()
        if scope.postgresql and scope.pids is None and kind != NAME_PRODUCT and not one.criteria:
            scope.connection.execute(_NO_LOOK_UPS)
            o, where = _by_whom(scope, first, last, names), []
        halves = _halves(scope, o, lambda sampled: _during(scope, sampled, first, last, names))
        sums = [(each, amount) for each in _summed(scope, o, where, halves)]
    # Whoever did nothing is not among them. So it is they who match, or they who do not.
    without = number_holds(one.op, wanted_x(one), 0)
    parts = []
    for grouped, amount in sums:
        matching = compared(Leaf(Rows(tuple), false(), number=amount, whole=True))
        parts.append(grouped.having(negated(matching) if without else matching))
    found = union_all(*parts).subquery()
    scope.join(found, found.c.pid == scope.profile.c.pid)
    scope.looked_at.append(found)
    return found.c.pid.is_(None) if without else found.c.pid.is_not(None)


def median_duration(scope: Scope, _one: Filter, clock: Clock) -> Leaf:
    """The median of how many seconds the last sessions of each person took; missing for whoever ended none lately."""
    first, last = clock.window(MOST_DAYS)
    o = table("occurrence").alias()
    where = _during(scope, o, first, last, _names(scope, NAME_SESSION_END, ""))
    if scope.pids is not None:
        where.append(_of_people(scope, o.c.pid))
    pid, joined = _whose(scope, o)
    newest = select(pid.label("pid"), o.c.quantity, _rank(o, pid)).select_from(joined).where(*where).subquery()
    place = func.row_number().over(partition_by=newest.c.pid, order_by=newest.c.quantity)
    size = func.count().over(partition_by=newest.c.pid)
    placed = select(newest.c.pid, newest.c.quantity, place.label("k"), size.label("size"))
    sized = placed.where(newest.c.n <= COUNTED_SESSIONS).subquery()
    # Of an odd number the one in the middle, twice; of an even one the two there.
    middle = (sized.c.size + 1) // 2, (sized.c.size + 2) // 2
    average = func.avg(sized.c.quantity).label("n")
    found = select(sized.c.pid, average).where(sized.c.k.between(*middle)).group_by(sized.c.pid).subquery()
    scope.join(found, found.c.pid == scope.profile.c.pid)
    scope.looked_at.append(found)
    return Leaf(Rows(lambda: (found,)), found.c.n.is_(None), number=found.c.n)


def _summed(scope: Scope, o: FromClause, where: list[Expression], halves: list[list[Expression]]) -> list[Select[Any]]:
    """A row for each person, in statements that have no person in common."""
    pid, joined = _whose(scope, o)
    of_whom = select(pid.label("pid")).select_from(joined).group_by(pid)
    if not scope.postgresql or scope.pids is not None:
        return [of_whom.where(*where)]
    # The half stands first: then the other half of the rows is compared with nothing else.
    own = [select(o.c.pid).where(*half, *where).group_by(o.c.pid) for half in halves]
    if not _is_anybody_merged(scope):
        return own
    # Hardly anybody was merged, so that most people are summed without a look at who absorbed whom.
    merged = table("lineage").alias()
    links = select(merged.c.member_pid), select(merged.c.root_pid)
    both = union_all(*(one.where(merged.c.workspace_id == scope.workspace_id) for one in links))
    return [*(each.having(o.c.pid.not_in(both)) for each in own), of_whom.where(o.c.pid.in_(both), *where)]


def _by_whom(scope: Scope, first: int, last: int, names: Any) -> FromClause:
    """Whose each occurrence was. Of whole days an index tells it, without a look at the rows."""
    whole, edge = table("occurrence").alias(), table("occurrence").alias()
    start, end = first // times.DAY, last // times.DAY
    of_days = [
        whole.c.workspace_id == scope.workspace_id,
        whole.c.day.in_(range(start + 1, end)),
        whole.c.name_id.in_(names),
    ]
    at_edges = [edge.c.day.in_({start, end}), *_during(scope, edge, first, last, names)]
    return union_all(select(whole.c.pid).where(*of_days), select(edge.c.pid).where(*at_edges)).subquery()


def _is_anybody_merged(scope: Scope) -> bool:
    merged = table("lineage")
    some = select(merged.c.member_pid).where(merged.c.workspace_id == scope.workspace_id).limit(1)
    return scope.connection.execute(some).first() is not None


def _halves(scope: Scope, o: FromClause, during: Callable[[FromClause], list[Expression]]) -> list[list[Expression]]:
    """What parts the people of many occurrences in halves: each is read and summed by a process of its own. Otherwise
    several would read, and one would sum all."""
    if not scope.postgresql or scope.pids is not None:
        return [[]]
    sampled = tablesample(table("occurrence"), func.system(literal_column(str(_SAMPLE_PERCENT))), name="sampled")
    middle = func.percentile_disc(0.5).within_group(sampled.c.pid)
    size, pid = scope.connection.execute(select(func.count(), middle).where(*during(sampled))).one()
    if size < _SAMPLE_LEAST:
        return [[]]
    scope.connection.execute(_TUPLE_COST)
    return [[o.c.pid < pid], [o.c.pid >= pid]]


def _during(scope: Scope, o: FromClause, first: int, last: int, names: Any) -> list[Expression]:
    """The conditions on occurrences of these names between two times."""
    return [
        o.c.workspace_id == scope.workspace_id,
        o.c.day.between(first // times.DAY, last // times.DAY),
        o.c.time_us.between(first, last),
        o.c.name_id.in_(names),
    ]


def _whose(scope: Scope, o: FromClause) -> tuple[Expression, FromClause]:
    """(the number of whoever has an occurrence now, occurrences with what tells it). They keep the number of whom they
    happened to; whoever absorbed that profile has them now."""
    merged = table("lineage").alias()
    on = and_(merged.c.workspace_id == scope.workspace_id, merged.c.member_pid == o.c.pid)
    # The cast tells SQLite that it can make an index of the result.
    return cast(func.coalesce(merged.c.root_pid, o.c.pid), BigInteger), o.outerjoin(merged, on)


def _rank(o: Any, pid: Expression) -> Any:
    """Which of the person's occurrences it is, 1 being the last."""
    order = [o.c[name].desc() for name in ("time_us", "stream", "seq", "ordinal")]
    return func.row_number().over(partition_by=pid, order_by=order).label("n")


def _names(scope: Scope, kind: int, name: str) -> Any:
    names = table("name").alias()
    found = select(names.c.id).where(names.c.workspace_id == scope.workspace_id, names.c.kind == kind)
    # One name as a value that is known before the scan, so that its index is of use.
    single = name or kind in OWN_NAMES
    return list(scope.connection.execute(found.where(names.c.name == name)).scalars()) if single else found


def _of_people(scope: Scope, pid: Expression) -> Expression:
    """Whether an occurrence is of somebody in the scope, or was until a merge."""
    merged = table("lineage").alias()
    people = each_of(scope.postgresql, scope.pids or ())
    absorbed = select(merged.c.member_pid).where(
        merged.c.workspace_id == scope.workspace_id, merged.c.root_pid.in_(people)
    )
    return pid.in_(union_all(people, absorbed))


def _sum(scope: Scope, amount: Expression) -> Expression:
    return func.sum(amount if scope.postgresql else _cut(amount))


def _cut(amount: Expression) -> Expression:
    return case((amount > _MOST, _MOST), (amount < -_MOST, -_MOST), else_=amount)


def _of_days(scope: Scope, first: int, member: int) -> Leaf:
    """The daily sums since a day."""
    rows, day, sums = scope.entry(COMMERCE, "days").members()
    amount = sums.item(member).integer
    summed = select(_sum(scope, amount)).select_from(rows).where(cast(day, BigInteger) >= first).scalar_subquery()
    return Leaf(scope.rows(COMMERCE), false(), number=func.coalesce(summed, 0), whole=True)
