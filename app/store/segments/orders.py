"""Purchases, orders and carts."""

from fractions import Fraction

from sqlalchemy import FromClause, Numeric, and_, case, cast, exists, func, literal_column, or_, select

from app.domain import ecommerce
from app.domain.profile import COMMERCE, PURCHASES
from app.domain.segments.clock import Clock
from app.domain.segments.evaluate import operand
from app.domain.segments.model import Filter
from app.store.segments.conditions import Comparer
from app.store.segments.leaves import Expression, Json, Leaf, column_leaf, flag_leaf
from app.store.segments.makers import Maker, Many, counted, number_of
from app.store.segments.scope import Scope


def products(scope: Scope, _one: Filter, _clock: Clock) -> Many:
    document = scope.document(PURCHASES)
    rows, key, json = document.members()
    return Many((rows,), column_leaf(scope.rows(PURCHASES).join(rows), text=key), json, has_text=document.has_key())


def last_product(scope: Scope, _one: Filter, _clock: Clock) -> Leaf:
    rows, key, json = scope.document(PURCHASES).members()
    name = key.collate("C") if scope.postgresql else key
    newest = select(key).select_from(rows).order_by(json.item(2).integer.desc(), name.desc()).limit(1)
    return column_leaf(scope.rows(PURCHASES), text=newest.scalar_subquery())


def commerce(name: str) -> Maker:
    return lambda scope, _one, _clock: counted(scope, COMMERCE, number_of(scope.entry(COMMERCE, name), scope, COMMERCE))


def orders_placed(scope: Scope) -> Expression:
    placed, cancelled = (
        func.coalesce(number_of(scope.entry(COMMERCE, name), scope, COMMERCE), 0) for name in ("placed", "cancelled")
    )
    return case((placed > cancelled, placed - cancelled), else_=0)


def average(scope: Scope, comparer: Comparer, one: Filter) -> Expression:
    """Revenue by orders, compared without dividing; nobody without orders has one."""
    orders = orders_placed(scope)
    if one.op in ("is_blank", "is_not_blank"):
        return orders == 0 if one.op == "is_blank" else orders > 0
    wanted: Fraction = operand(one) * 100
    revenue: Expression = scope.profile.c.revenue_cents
    if scope.postgresql:
        revenue, orders = cast(revenue, Numeric), cast(orders, Numeric)
    # revenue / orders compared with p / q is revenue * q compared with p * orders.
    difference = revenue * comparer.bound(wanted.denominator) - comparer.bound(wanted.numerator) * orders
    number = column_leaf(scope.rows(), number=case((orders > 0, difference)))
    if one.op == "does_not_equal":
        return comparer.condition("does_not_equal", 0, number)
    condition = comparer.compared(one.op, 0, number)
    return or_(orders == 0, condition) if one.op == "less_than" or (one.op == "exactly" and wanted == 0) else condition


def _carts(scope: Scope, clock: Clock) -> tuple[FromClause, Json, Expression]:
    """(carts, one of them, whether somebody still shops with it)."""
    rows, _, cart = scope.entry(COMMERCE, "carts").members()
    lines, _, _ = cart.member("lines").members()
    alive = number_of(cart.member("updated"), scope, COMMERCE) > clock.now_us - ecommerce.CART_US
    return rows, cart, and_(alive, exists(select(literal_column("1")).select_from(lines)))


def open_cart(scope: Scope, _one: Filter, clock: Clock) -> Leaf:
    rows, _, is_open = _carts(scope, clock)
    return flag_leaf(scope.rows(COMMERCE), exists(select(literal_column("1")).select_from(rows).where(is_open)))


def cart(name: str) -> Maker:
    def made(scope: Scope, _one: Filter, clock: Clock) -> Many:
        rows, cart, is_open = _carts(scope, clock)
        json = cart.member(name)
        inner = scope.rows(COMMERCE).join(rows)
        leaf = column_leaf(inner, us=number_of(json, scope, COMMERCE)) if name == "updated" else json.leaf(inner)
        return Many((rows,), leaf, json, (is_open,))

    return made


def cart_products(scope: Scope, _one: Filter, clock: Clock) -> Many:
    rows, cart, is_open = _carts(scope, clock)
    lines, _, line = cart.member("lines").members()
    json = line.member("product_id")
    return Many((rows, lines), json.leaf(scope.rows(COMMERCE).join(rows).join(lines)), json, (is_open,))
