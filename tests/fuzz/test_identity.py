"""Random requests of the endpoints about identity: what is accepted can be read again, and is what was checked.

Bodies of the documentation, with hostile tokens and halves of surrogate pairs in any place. Nothing is stored.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from app.contract import aliases, deletion, export, external_ids, identify, merge_request, stored
from app.contract.checked import Checked
from app.contract.errors import RefusedError
from tests.fuzz.hostile import halved, mutated
from tests.fuzz.size import SEED, cases

_ALIAS: Final = {"alias_label": "l", "alias_name": "n"}
_BY_EMAIL: Final = {"email": "a@example.org", "prioritization": ["unidentified", "most_recently_updated"]}
_BY_PHONE: Final = {"phone": "+34600123456", "prioritization": ["identified"]}


def _renames(body: bytes) -> Checked | None:
    read = external_ids.read_renames(body)
    return read.checked if read.commands else None


def _removals(body: bytes) -> Checked | None:
    read = external_ids.read_removals(body)
    return read.checked if read.commands else None


def _export(body: bytes) -> None:
    export.read(body)


#: How a body is read, and bodies.
ENDPOINTS: Final[list[tuple[Callable[[bytes], Checked | None], Any]]] = [
    (
        identify.check,
        {
            "aliases_to_identify": [{"external_id": "a", "user_alias": _ALIAS}],
            "emails_to_identify": [{"external_id": "a", **_BY_EMAIL}],
            "phone_numbers_to_identify": [{"external_id": "a", **_BY_PHONE}],
            "merge_behavior": "merge",
            "ignored": {"a": ["b"]},
        },
    ),
    (aliases.check_new, {"user_aliases": [{"external_id": "a", **_ALIAS}, {"user_alias": _ALIAS}]}),
    (aliases.check_update, {"alias_updates": [{"alias_label": "l", "old_alias_name": "a", "new_alias_name": "b"}]}),
    (
        merge_request.check,
        {
            "merge_updates": [
                {"identifier_to_merge": {"user_alias": _ALIAS}, "identifier_to_keep": {"external_id": "a"}},
                {"identifier_to_merge": _BY_EMAIL, "identifier_to_keep": {"braze_id": "b"}},
            ]
        },
    ),
    (
        deletion.check,
        {
            "external_ids": ["a", "b"],
            "braze_ids": ["c"],
            "user_aliases": [_ALIAS],
            "email_addresses": [_BY_EMAIL],
            "phone_numbers": [_BY_PHONE],
        },
    ),
    (_renames, {"external_id_renames": [{"current_external_id": "a", "new_external_id": "b"}]}),
    (_removals, {"external_ids": ["a", "b"]}),
    (_export, {"external_ids": ["a"], "user_aliases": [_ALIAS], "email_address": "a@example.org", "phone": None}),
]


@st.composite
def _requests(draw: st.DrawFn) -> tuple[int, list[bytes]]:
    number = draw(st.integers(0, len(ENDPOINTS) - 1))
    body = json.dumps(ENDPOINTS[number][1]).encode()
    change = [halved, mutated]
    return number, [draw(draw(st.sampled_from(change))(body)) for _ in range(4)]


def test_identity() -> None:
    wanted, accepted, refused = cases(400), 0, 0
    statuses: set[int] = set()
    print(f"seed {SEED}")

    @seed(SEED)
    @settings(max_examples=wanted // 4, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(_requests())
    def each(request: tuple[int, list[bytes]]) -> None:
        nonlocal accepted, refused
        number, made = request
        for body in made:
            try:
                checked = ENDPOINTS[number][0](body)
            except RefusedError as refusal:
                statuses.add(refusal.status)
                refused += bool(refusal.body())
                continue
            accepted += 1
            if checked is not None:
                assert len(stored.commands(checked.kind, checked.codec, checked.body)) >= 1
                json.loads(checked.answer or b"{}")

    each()
    print(f"{accepted} accepted, {refused} refused")
    assert statuses == {400}
    assert min(accepted, refused) > wanted // 20
