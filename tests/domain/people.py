"""Profiles at random that could live in one workspace, and a comparison that sees types."""

from typing import Any

from hypothesis import strategies as st

TIMES = st.integers(1, 50)


NAMES = st.sampled_from(["a", "b", "c"])


def strict(value: Any) -> Any:
    """The value with its types: 1, 1.0 and true are three."""
    if isinstance(value, dict):
        return {name: strict(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(member) for member in value]
    return (type(value), value)
