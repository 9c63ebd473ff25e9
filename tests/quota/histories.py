"""Random limits and random histories of takes for the quota properties."""

from hypothesis import strategies as st

from app.quota.bucket import Bucket

START_MS = 1_700_000_000_123

SIZES = [(1, 1), (3, 1_000), (7, 1_000), (2, 3_600_000), (3_000, 3_000), (11, 7), (250_000, 3_600_000)]
LARGEST = (2**53 // 3_600_000, 3_600_000)
"""The largest hourly limit whose ticks a double still counts."""

Step = tuple[int, int]
"""(how the clock moves in ms, tokens wanted)"""


def buckets(name: str) -> st.SearchStrategy[Bucket]:
    sizes = st.one_of(
        st.sampled_from([*SIZES, LARGEST]), st.tuples(st.integers(1, 12), st.sampled_from([1_000, 1_009, 3_000]))
    )
    return st.builds(
        lambda size, align: Bucket(name, size[0], size[1], size[1] if align else 0),
        sizes,
        st.sampled_from([False, False, True]),
    )


def pairs() -> st.SearchStrategy[tuple[Bucket, ...]]:
    return st.one_of(st.tuples(buckets("burst")), st.tuples(buckets("burst"), buckets("hourly")))


moves = st.one_of(
    st.just(0),
    st.integers(0, 30),
    st.integers(0, 2_000),
    st.integers(0, 4_000_000),
    st.integers(-5_000, 0),
    st.integers(-8_000_000, -50_000),
)
counts = st.one_of(st.integers(0, 4), st.integers(0, 40))


def steps(most: int = 25) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.tuples(moves, counts), min_size=1, max_size=most)
