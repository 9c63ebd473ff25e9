"""Numbers in the one form that a JSON text and PostgreSQL's jsonb give back alike.

jsonb keeps decimal digits without exponent and knows no negative zero: it would return 1e16 as an integer, -0.0 as 0.0
and 1e-300 as three hundred zeros. So such numbers are changed before they are stored, on every store.
"""

MAX_INT = 2**63 - 1


def canonical(value: int | float) -> int | float | None:
    """The stored form of a number, None when it does not fit 64 bits.

    Smaller than 1e-100 is 0.0, and a whole float of 1e15 or more is an integer.
    """
    if isinstance(value, int):
        return value if -MAX_INT - 1 <= value <= MAX_INT else None
    size = abs(value)
    if 1e-100 <= size < 1e15:
        return value
    if size < 1e-100:
        return 0.0
    if size < 2.0**63:
        return int(value) if value.is_integer() else value
    return None


def integer(value: object) -> int | None:
    """The integer that a JSON number is, however it is written (`1`, `1.0`, `2e0`), within 64 bits; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 2.0**63):
        return None
    whole = int(value)
    return whole if -MAX_INT - 1 <= whole <= MAX_INT else None


def clamped(value: int) -> int:
    """The nearest integer that a sum may have: within ±(2^63 - 1)."""
    return max(-MAX_INT, min(MAX_INT, value))


def least(one: int | None, other: int | None) -> int | None:
    """The smaller one; None is no value."""
    return other if one is None else one if other is None else min(one, other)


def greatest(one: int | None, other: int | None) -> int | None:
    """The larger one; None is no value."""
    return other if one is None else one if other is None else max(one, other)
