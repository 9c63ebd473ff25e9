"""Whether a stored request names a person: what erasing their dead letters goes by."""

import pytest

from app.contract.naming import names_anybody
from app.contract.track import CODEC_AS_SENT, CODEC_VALID_REST, Limits, check

ANY = Limits(None, None)
PERSON = frozenset(("ada", "ada@example.org", "+4930123456"))


@pytest.mark.parametrize(
    ("codec", "body", "named"),
    [
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"ada"}]}', True),
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"bob","friend":" Ada@Example.org"}]}', True),
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"bob","phone":"+49 30 123456"}]}', True),
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"bob","phone":"030 123456"}]}', False),
        (CODEC_AS_SENT, b'{"attributes":[{"external_id":"bob"}]}', False),
        (CODEC_AS_SENT, b'{"attributes":[', True),
    ],
)
def test_who_is_named(codec: int, body: bytes, named: bool) -> None:
    assert names_anybody(codec, body, PERSON) is named


def test_a_number_is_read_in_the_region_it_was_meant_for() -> None:
    checked = check(b'{"attributes":[{"external_id":"bob","phone":"030 123456"}]}', ANY, "DE")
    assert checked.codec == CODEC_VALID_REST
    assert names_anybody(checked.codec, checked.body, PERSON)
