"""A segment as a select: the tables that it needs, and the condition on them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Boolean, Select, and_, exists, false, func, literal_column, or_, select, true

from app.domain.profile import CUSTOM, Profile
from app.domain.segments import evaluate
from app.domain.segments.compare import Comparing, holds
from app.domain.segments.evaluate import NEGATIVE, Person, operand
from app.domain.segments.fields import FIELDS, Kind
from app.domain.segments.model import AND, ANY_ELEMENT, Criterion, Definition, Filter, Group
from app.domain.values import MISSING
from app.store import interruption
from app.store.segments import consents, devices, fields, orders, windows
from app.store.segments.conditions import Comparer
from app.store.segments.leaves import Expression, Json, Leaf, Likeness, Listed, Rows, negated
from app.store.segments.makers import Many
from app.store.segments.scope import Scope, each_of

#: Different texts that match one pattern, or do not, all of which go back to the database.
MAX_TEXTS: Final = 1_000_000
#: So few stand in the statement itself.
_FEW: Final = 100
#: Behind so many texts it is looked whether somebody still waits for the count.
_CHECKED: Final = 1_000
#: So many texts are searched for before a document is parsed.
_SEARCHED: Final = 4
_BOOLEANS: Final = {"is_true": True, "is_false": False}
#: Filters that look at more than one section.
_WIDER: Final = (Kind.WINDOW, Kind.MEMBER, Kind.GROUP)
#: Operators that decide by whether any value is a text like one of some texts. Whoever has no value has none like it.
_LIKENESSES: Final = {
    **dict.fromkeys(("equals", "is_any_of", "is_none_of"), Likeness.SAME),
    **dict.fromkeys(("contains_any_of", "contains_none_of"), Likeness.WITHIN),
    "does_not_equal": Likeness.FOLDED,
}
_NOBODY: Final = Person(Profile(0, "", 0, 0, 0))


class TooBroadError(Exception):
    """A pattern matches more different texts than can be looked at."""


class Compiler:
    """Compiles one segment. What SQL cannot decide, texts by patterns above all, is asked for and decided meanwhile."""

    def __init__(self, scope: Scope, how: Comparing) -> None:
        self.scope = scope
        self.how = how
        self._comparer = Comparer(scope.postgresql, how, self._decided)
        self._of_properties = Comparer(scope.postgresql, replace(how, texts_are_times=True), self._decided)

    def people(self, definition: Definition, *columns: Expression) -> Select[Any]:
        """The columns of everybody in the segment."""
        condition = self._definition(definition, required=True)
        return self.select(columns).where(condition)

    def answers(self, filters: list[Filter]) -> Select[Any]:
        """Whether each filter matches, of everybody in the scope."""
        conditions = [func.coalesce(self.filter(one), false()) for one in filters]
        return self.select([one.label(f"f{n}") for n, one in enumerate(conditions)])

    def select(self, columns: Any) -> Select[Any]:
        """From everything that was needed so far."""
        return select(*columns).select_from(self.scope.joined).where(*self.scope.conditions)

    def _definition(self, definition: Definition, *, required: bool = False) -> Expression:
        """`required`: what is said here has to hold, so that joins may leave out whoever has nothing to look at."""
        groups = [group for group in definition.groups if group.filters]
        certain = required and (definition.join == AND or len(groups) == 1)
        conditions = [self._group(group, required=certain) for group in groups]
        parts = [and_(true(), *conditions) if definition.join == AND or not groups else or_(false(), *conditions)]
        parts += [negated(self._group(group)) for group in definition.exclude if group.filters]
        if definition.apps is not None:
            parts.append(devices.uses(self.scope, definition.apps))
        return and_(*parts)

    def _group(self, group: Group, *, required: bool = False) -> Expression:
        certain = required and (group.op == AND or len(group.filters) == 1)
        conditions: list[Expression] = []
        there: dict[Any, Expression] = {}
        for one in group.filters:
            self.scope.looked_at = []
            conditions.append(self.filter(one))
            if certain and one.segment is None and not evaluate.matches(one, _NOBODY, self.how.clock, self.how.matcher):
                # PostgreSQL then makes inner joins of them, which may begin at either side.
                there |= {alias: alias.c.pid.is_not(None) for alias in self.scope.looked_at}
        combined = and_(true(), *conditions) if group.op == AND else or_(false(), *conditions)
        return and_(combined, *there.values())

    def filter(self, one: Filter) -> Expression:
        """The condition of one filter; null is false."""
        outside = self.scope
        if not outside.with_values or FIELDS[one.field].kind in _WIDER or one.field in fields.WIDER:
            return self._filter(one)
        # What needs one section alone is decided for each of its rows before they are joined to anything.
        self.scope = outside.inside()
        try:
            made, inside = self._made(one), self.scope
        finally:
            self.scope = outside
        section = inside.alone()
        if section is None:
            return self._filter(one)
        if isinstance(made, Listed):
            found = outside.take_listed(section, made)
            without = made.none
        else:
            found = outside.take(section, func.coalesce(made, false()), Boolean())
            without = evaluate.matches(one, _NOBODY, self.how.clock, self.how.matcher)
        return func.coalesce(found, true()) if without else found

    def _filter(self, one: Filter) -> Expression:
        made = self._made(one)
        return made.expression() if isinstance(made, Listed) else made

    def _made(self, one: Filter) -> "Expression | Listed":
        kind = FIELDS[one.field].kind
        if kind == Kind.WINDOW:
            criteria = [self._criterion(each, self._of_properties) for each in one.criteria]
            return windows.condition(
                self.scope,
                self.how.clock,
                one,
                lambda json, rows: [made(json, rows) for made in criteria],
                lambda leaf: self._comparer.condition(one.op, evaluate.wanted_x(one), leaf),
            )
        if kind == Kind.MEMBER:
            inside = false() if one.segment is None else self._definition(one.segment)
            return inside if one.op == "is_member" else negated(inside)
        if kind == Kind.GROUP:
            return consents.group_state(self.scope, one)
        if kind == Kind.CIRCLE:
            return fields.within(self.scope, one)
        if kind == Kind.ANY:
            return self._custom(one)
        if one.field == "average_order_value":
            return orders.average(self.scope, self._comparer, one)
        found = fields.LEAVES[one.field](self.scope, one, self.how.clock)
        if isinstance(found, Leaf):
            if kind == Kind.VERSION and one.op not in ("is_blank", "is_not_blank"):
                return self._comparer.version(one.op, str(one.value), found)
            return self._comparer.condition(one.op, operand(one), found)
        return self._many(one, found)

    def _many(self, one: Filter, many: Many) -> "Expression | Listed":
        if one.op == "any_element":
            conditions = [self._criterion(each, self._comparer)(many.json, many.rows) for each in one.criteria]
            return Listed(many.tables, many.where, and_(*conditions))
        likeness = _likeness(one)
        if many.has_text is not None and likeness is not None:
            found = or_(*(many.has_text(likeness, text) for text in _texts(one)))
            return negated(found) if one.op in NEGATIVE else found
        condition = self._comparer.condition(one.op, operand(one), many.leaf)
        nothing = holds(self.how, one.op, operand(one), MISSING)
        return Listed(many.tables, many.where, condition, every=one.op in NEGATIVE, none=nothing)

    def _custom(self, one: Filter) -> "Expression | Listed":
        json = self.scope.entry(CUSTOM, one.name)
        rows = self.scope.rows(CUSTOM)
        if one.op == "any_element" or ANY_ELEMENT in one.path:
            return self._elements(one, json, rows)
        for step in one.path:
            json = json.member(step)
        condition = self._comparer.condition(one.op, operand(one), json.leaf(rows))
        wanted = _exactly(one)
        return and_(self.scope.written(CUSTOM, one.name, wanted), condition) if wanted else condition

    def _elements(self, one: Filter, json: Json, rows: Rows) -> "Listed":
        """Elements of the array that the first part of the path leads to."""
        first = one.path.index(ANY_ELEMENT) if ANY_ELEMENT in one.path else len(one.path)
        for step in one.path[:first]:
            json = json.member(step)
        items, element = json.items()
        if one.op == "any_element":
            conditions = [self._criterion(each, self._comparer)(element, rows.join(items)) for each in one.criteria]
            return Listed((items,), (), and_(*conditions))
        op, value = one.op, operand(one)
        condition = self._at(
            element,
            one.path[first + 1 :],
            rows.join(items),
            lambda leaf: self._comparer.condition(op, value, leaf),
            op,
            value,
        )
        return Listed((items,), (), condition, none=holds(self.how, op, value, MISSING))

    def _criterion(self, one: Criterion, comparer: Comparer) -> Callable[[Json, Rows], Expression]:
        def condition(json: Json, rows: Rows) -> Expression:
            return self._at(
                json, one.path, rows, lambda leaf: comparer.condition(one.op, one.value, leaf), one.op, one.value
            )

        return condition

    def _at(
        self,
        json: Json,
        path: tuple[str, ...],
        rows: Rows,
        condition: Callable[[Leaf], Expression],
        op: str,
        value: Any,
    ) -> Expression:
        """The condition on what lies at a path: any element of an array, or something missing where it has none."""
        for n, step in enumerate(path):
            if step == ANY_ELEMENT:
                items, element = json.items()
                inner = self._at(element, path[n + 1 :], rows.join(items), condition, op, value)
                one = exists(select(literal_column("1")).select_from(items).where(inner))
                if not holds(self.how, op, value, MISSING):
                    return one
                some, _ = json.items()
                return or_(one, ~exists(select(literal_column("1")).select_from(some)))
            json = json.member(step)
        return condition(json.leaf(rows))

    def _decided(
        self, texts: Select[Any], decide: Callable[[str], bool], within: Expression | None = None
    ) -> Callable[[Expression], Expression]:
        """The condition on a text. `within`: what all of the texts were chosen by, where the others may be named
        instead of those that match."""
        matching: list[str] = []
        others: list[str] = []
        for n, text in enumerate(self.scope.connection.execute(texts).scalars()):
            if n % _CHECKED == 0:
                interruption.check()
            (matching if decide(text) else others).append(text)
            if len(matching) > MAX_TEXTS and (within is None or len(others) > MAX_TEXTS):
                raise TooBroadError
        if within is not None and len(others) < len(matching):
            return lambda text: and_(within, text.is_not(None), negated(self._one_of(text, others)))
        return lambda text: self._one_of(text, matching)

    def _one_of(self, text: Expression, texts: list[str]) -> Expression:
        if not texts:
            return false()
        return text.in_(texts if len(texts) <= _FEW else each_of(self.scope.postgresql, texts))


def _likeness(one: Filter) -> Likeness | None:
    if one.op == "does_not_equal" and not (isinstance(one.value, str) and one.value.isascii()):
        return None  # letters that are not ASCII are folded by us alone
    return _LIKENESSES.get(one.op)


def _texts(one: Filter) -> Sequence[str]:
    """Texts of which a value has to be one, or have one in it."""
    return [str(text) for text in (one.value if isinstance(one.value, tuple) else (one.value,))]


def _exactly(one: Filter) -> Sequence[object]:
    """The few values that an attribute has to be one of; none where it may match otherwise."""
    if one.path:
        return ()
    if one.op in _BOOLEANS:
        return (_BOOLEANS[one.op],)
    if one.op == "equals" and isinstance(one.value, str):
        return (one.value,)
    few = one.op == "is_any_of" and isinstance(one.value, tuple) and len(one.value) <= _SEARCHED
    return one.value if few and isinstance(one.value, tuple) else ()
