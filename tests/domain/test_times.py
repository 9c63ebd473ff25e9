"""The formats of times, row by row of the contract's table, and what must not be taken for a time."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain import times

ACCEPTED = [
    # the table of attributes.md, section 4
    ("2026-01-05T19:20:30+01:00", "2026-01-05T18:20:30.000Z"),
    ("2026-01-05T19:20:30Z", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05T19:20:30:250Z", "2026-01-05T19:20:30.250Z"),
    ("2026-01-05T19:20:30", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05 19:20:30", "2026-01-05T19:20:30.000Z"),
    ("2019-02-15 00:00:00 -0500", "2019-02-15T05:00:00.000Z"),  # recorded, clients.md 1.9
    ("2026-01-05", "2026-01-05T00:00:00.000Z"),
    ("01/05/2026", "2026-01-05T00:00:00.000Z"),
    ("Mon 01 05 19:20:30.UTC 2026", "2026-01-05T19:20:30.000Z"),
    # zones
    ("2026-01-05T19:20:30-05:30", "2026-01-06T00:50:30.000Z"),
    ("2026-01-05T19:20:30+0100", "2026-01-05T18:20:30.000Z"),
    ("2026-01-05T19:20:30+01", "2026-01-05T18:20:30.000Z"),
    ("2026-01-05T19:20:30-00:30", "2026-01-05T19:50:30.000Z"),
    ("2026-01-05T19:20:30:250+0100", "2026-01-05T18:20:30.250Z"),
    ("2026-01-05 19:20:30 UTC", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05 19:20:30 +01:00", "2026-01-05T18:20:30.000Z"),
    ("2026-01-05T19:20Z", "2026-01-05T19:20:00.000Z"),
    ("2026-01-05T19:20+01:00", "2026-01-05T18:20:00.000Z"),
    ("Mon 01 05 19:20:30.+01:00 2026", "2026-01-05T18:20:30.000Z"),
    ("Tue 01 05 19:20:30.UTC 2026", "2026-01-05T19:20:30.000Z"),
    # malformed offsets mean UTC
    ("2026-01-05T19:20:30+99:99", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05T19:20:30+24:00", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05T19:20:30+01:75", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05T19:20:30+1:00", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05T19:20:30+", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05T19:20:30-abc", "2026-01-05T19:20:30.000Z"),
    ("2026-01-05T19:20:30+01:00:00", "2026-01-05T19:20:30.000Z"),
    # fractions are cut, not rounded
    ("2026-01-05T19:20:30.2Z", "2026-01-05T19:20:30.200Z"),
    ("2026-01-05T19:20:30.9999Z", "2026-01-05T19:20:30.999Z"),
    ("2026-01-05T19:20:30." + "9" * 300 + "Z", "2026-01-05T19:20:30.999Z"),
    ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
    # the edges of the calendar
    ("2024-02-29", "2024-02-29T00:00:00.000Z"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    ("2016-12-31T18:59:60.5-05:00", "2017-01-01T00:00:00.500Z"),
    ("2038-01-19T03:14:08Z", "2038-01-19T03:14:08.000Z"),
    ("0001-01-01", "0001-01-01T00:00:00.000Z"),
    ("0001-01-01T05:00:00+05:00", "0001-01-01T00:00:00.000Z"),
    ("3000-12-31T23:59:59.999Z", "3000-12-31T23:59:59.999Z"),
]

REFUSED = """
2024-02-30|2023-02-29|2026-13-01|2026-00-10|2026-01-00|02/30/2024|13/01/2026|Mon 02 30 19:20:30.UTC 2026
0000-01-01|0000-01-01T00:00:00Z|01/01/0000|3001-01-01|10000-01-01|-001-01-01|9999-12-31
3000-12-31T23:59:59-05:00|3001-01-01T00:00:00+05:00|0001-01-01T00:00:00+14:00|3001-01-01T00:00:00-99:99
2026-01-05T24:00:00|2026-01-05T24:00:00Z|2026-01-05T19:60:30Z|2026-01-05T19:20:61Z|2026-01-05T19:20:60Z
2026-01-05T19:20|2026-01-05T19|2026-01-05T|2026-01-05Z|2026-01-05+01:00|2026-1-5|26-01-05|2026/01/05|1/5/2026
20260105|20260105T192030Z|2026-W01-1|2026W011|2026-005|2026-01|2026|1767640830|1767640830.25
2026-01-05t19:20:30z|2026-01-05T19:20:30z|2026-01-05_19:20:30|2026-01-05  19:20:30|2026-01-05T19:20:30,250Z
2026-01-05T19:20:30:25Z|2026-01-05T19:20:30.Z|2026-01-05T19:20:30Zulu|2026-01-05T19:20:30 EST|2026-01-05T19:20:30Z+01:00
2026-01-05T19:20:30+01:00[Europe/Lisbon]| 2026-01-05|2026-01-05 |05.01.2026|January 5, 2026|Mon Jan 05 19:20:30 UTC 2026
Mon 01 05 19:20:30 UTC 2026|Mon 01 05 19:20:30.UTC|Xxx 01 05 19:20:30.UTC 2026|mon 01 05 19:20:30.UTC 2026
yesterday|now|hello world, hello|||2026-01-05T19:20:30\u00b2|\u0662\u0660\u0662\u0666-01-05|2026-01-0\u0665
""".strip("\n")


@pytest.mark.parametrize(("text", "expected"), ACCEPTED)
def test_every_accepted_format(text: str, expected: str) -> None:
    us = times.parse(text)
    assert us is not None
    assert times.iso(us) == expected
    assert times.is_time(text)


@pytest.mark.parametrize("text", [text for line in REFUSED.split("\n") for text in line.split("|")])
def test_everything_else_is_no_time(text: str) -> None:
    assert times.parse(text) is None
    assert not times.is_time(text)


def test_the_unit_is_the_microsecond_since_1970() -> None:
    assert times.parse("1970-01-01T00:00:01.002Z") == 1_002_000
    assert times.parse("1969-12-31T23:59:59Z") == -times.SECOND
    assert times.iso(1_002_999) == "1970-01-01T00:00:01.002Z"
    assert times.iso(-1) == "1969-12-31T23:59:59.999Z"
    assert (times.parse("0001-01-01"), times.parse("3000-12-31T23:59:59.999Z")) == (
        times.EARLIEST,
        times.END - times.MILLISECOND,
    )


moments = st.integers(times.EARLIEST // 1000, times.END // 1000 - 1).map(lambda milliseconds: milliseconds * 1000)
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@given(moments)
def test_the_printed_form_reads_back(us: int) -> None:
    assert times.parse(times.iso(us)) == us
    there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    assert times.iso(us) == there.replace(tzinfo=None).isoformat("T", "milliseconds") + "Z"


@given(moments, offsets, st.booleans(), st.sampled_from("T "), st.booleans())
def test_an_offset_names_the_same_moment(us: int, minutes: int, colon: bool, separator: str, blank: bool) -> None:
    try:
        there = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone(
            timezone(timedelta(minutes=minutes))
        )
    except OverflowError:
        return
    hours, rest = divmod(abs(minutes), 60)
    offset = f"{'-' if minutes < 0 else '+'}{hours:02d}{':' if colon else ''}{rest:02d}"
    text = f"{there.replace(tzinfo=None).isoformat(separator, 'milliseconds')}{' ' if blank else ''}{offset}"
    assert times.parse(text) == (us if 1 <= there.year <= 3000 else None)


def _slow(text: str) -> int | None:
    """The patterns alone, without the fast path."""
    return times._moment(*text.split("-")) if len(text) == 10 else times._iso(text)


_digit = st.sampled_from("0123456789")
_shaped = st.from_regex(
    r"[12][0-9]{3}-[01][0-9]-[0-3][0-9](?:[T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    fullmatch=True,
)


@given(_shaped)
@example("2026-01-05T19:20:30+23:59")
@example("1000-01-01T00:00:00+23:59")
@example("2999-12-28T23:59:59-23:59")
def test_the_fast_path_is_only_faster(text: str) -> None:
    assert times.parse(text) == _slow(text)
    assert times.is_time(text) == (times.parse(text) is not None)
    us = times.parse(text)
    assert times.normal(text) == (None if us is None else times.iso(us))


@pytest.mark.parametrize("year", [2023, 2024])
def test_every_day_of_the_calendar_and_no_other(year: int) -> None:
    for month in range(14):
        for day in range(33):
            text = f"{year}-{month:02d}-{day:02d}T19:20:30Z"
            is_day = 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]
            assert (text, times.is_time(text), times.parse(text) is not None) == (text, is_day, is_day)
            assert times.normal(text) == (text.replace("Z", ".000Z") if is_day else None)
            # Few months need the calendar, and only for their last days.
            assert (times._CERTAIN(text) is not None) == (is_day and (month, day) != (2, 29))


@given(moments, st.sampled_from("T "), st.sampled_from(("Z", "+00:00", "+0000", "+00", " Z", "z", "")))
def test_a_moment_in_its_normal_form(us: int, separator: str, zone: str) -> None:
    there = datetime(1970, 1, 1) + timedelta(microseconds=us)  # noqa: DTZ001 - the zone is written behind it
    for timespec in ("seconds", "milliseconds"):
        text = there.isoformat(separator, timespec) + zone
        found = times.parse(text)
        assert times.normal(text) == (None if found is None else times.iso(found))


@given(st.text() | st.from_regex(r"[0-9T:/ .+-]{10,30}", fullmatch=True) | st.text("0123456789-/:. TZ+", max_size=40))
def test_no_text_raises(text: str) -> None:
    us = times.parse(text)
    assert us is None or (times.EARLIEST <= us < times.END and us % times.MILLISECOND == 0)


#: What clients send where only a time can stand (DECISIONS D65), and the moment in the common form.
MOMENTS = {
    "2026-01-05T19:20": "2026-01-05T19:20:00.000Z",
    "2026-01-05 19:20": "2026-01-05T19:20:00.000Z",
    "2026-01-05T19:20+01:00": "2026-01-05T18:20:00.000Z",
    "20260105T192030Z": "2026-01-05T19:20:30.000Z",
    "20260105T1920+0100": "2026-01-05T18:20:00.000Z",
    "20260105T192030.5+01": "2026-01-05T18:20:30.500Z",
    "20260105": "2026-01-05T00:00:00.000Z",
    "2026-01-05T19:20:30,25Z": "2026-01-05T19:20:30.250Z",
    "2026-01-05T19:20:30+01:00[Europe/Paris]": "2026-01-05T18:20:30.000Z",
    "2026-01-05T19:20:30Z[Etc/UTC][u-ca=gregory]": "2026-01-05T19:20:30.000Z",
    "2026-01-05T19:20+01:00[!Europe/Paris]": "2026-01-05T18:20:00.000Z",
    "\t 2026-01-05T19:20:30Z \n": "2026-01-05T19:20:30.000Z",
    " 01/05/2026 ": "2026-01-05T00:00:00.000Z",
    "2026-01-05t19:20:30z": "2026-01-05T19:20:30.000Z",
    "2026-01-05T19:20:30\u221201:00": "2026-01-05T20:20:30.000Z",
    "2026-01-05T19:20:30[Europe/Paris]": None,
    "2026-01-05[Europe/Paris]": None,
    "20260230": None,
    "20260105T19": None,
    "20260105T192": None,
    "2026-01-05T24:00": None,
    "2026-W01-1": None,
    "1767640830": None,
    "\u0662\u0660\u0662\u0666\u0660\u0661\u0660\u0665": None,
    "2026-01-05T19:20:30Z[" + "a" * 200 + "]": None,
    "": None,
}


@pytest.mark.parametrize(("text", "expected"), MOMENTS.items())
def test_a_moment(text: str, expected: str | None) -> None:
    us = times.moment(text)
    assert (None if us is None else times.iso(us)) == expected
    assert times.past_or_future(text) == us
    if text not in ("2026-01-05T19:20+01:00", "2026-01-05T19:20:30Z"):
        assert times.parse(text) is None, "an attribute with this text would no longer be a text"


@given(st.text("0123456789-/:. TZ+[]", max_size=40) | st.text())
def test_what_parse_takes_moment_takes_alike(text: str) -> None:
    us = times.parse(text)
    assert us is None or times.moment(text) == times.moment(f" {text} ") == times.past_or_future(text) == us


FAR = [
    "9999-12-31T23:59:59Z",
    "4000-02-29",
    "3001-01-01 00:00",
    "3000-12-31T23:00:00-02:00",
    "12/31/9999",
    "99991231T000000Z",
]


@pytest.mark.parametrize("text", FAR)
def test_the_far_future_is_the_future(text: str) -> None:
    assert times.moment(text) is None
    assert times.past_or_future(text) == times.END - times.MILLISECOND


@pytest.mark.parametrize("text", ["5000-02-29", "9999-13-01", "99999-01-01", "9999", "x9999-01-01", "0000-01-01"])
def test_what_is_no_time_is_no_future_either(text: str) -> None:
    assert times.past_or_future(text) is None
