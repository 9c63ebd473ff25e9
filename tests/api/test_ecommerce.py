"""A value that nobody can hold, deep in a recommended e-commerce event, costs itself and nothing else, on both stores.

Where the schema asks for it the event is refused by itself; anywhere else the event counts, the cart keeps its lines,
and the request names what was left out.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.contract import track
from app.contract.ecommerce import CART_UPDATED, PRODUCT
from app.contract.track import Limits
from app.domain import times
from tests.api.harness import Json, Service, Workspace, times_now
from tests.contract.recommended import FULL_PRODUCT, LEAST, NAMES, full

LARGE, BROKEN = "value_out_of_range", "invalid_text"
UNUSABLE: Final = [
    ("1e400", LARGE),
    ("-1e400", LARGE),
    ("1e131071", LARGE),
    ("1e19", LARGE),
    ("-9.3e18", LARGE),
    ("9223372036854775808", LARGE),
    ("18446744073709551616", LARGE),
    ("9" * 20, LARGE),
    ("9" * 5000, LARGE),
    ('"\\ud83d"', BROKEN),
    ('"Jacket \\uDC00"', BROKEN),
    ('"\\ude00\\ud83d"', BROKEN),
]
HERE: Final = "here it is"
Path = tuple[str | int, ...]
METADATA: Final = {"a": [1, {"b": [True, "x"], "c": 2}], "d": "y"}


def changed(value: Any, path: Path, new: object) -> Any:
    """A copy with another value at a path; without it where `new` is None."""
    step, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[step] = changed(value[step], tuple(rest), new)
    elif new is None:
        del copy[step]
    else:
        copy[step] = new
    return copy


def scalars(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, (dict, list)):
        for step, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from scalars(member, (*path, step))
    else:
        yield path


def example(name: str) -> Json:
    """All that such an event may have, with metadata of some depth."""
    properties = {**full(name), "metadata": METADATA}
    if "products" in properties:
        properties["products"] = [{**FULL_PRODUCT, "metadata": METADATA}, {**FULL_PRODUCT, "variant_id": "w"}]
    return properties


def is_optional(name: str, path: Path) -> bool:
    """Whether the schema says nothing of the value, or does not ask for it."""
    if path[0] != "products":
        return path[0] not in LEAST[name]
    return len(path) > 3 or path[2] not in PRODUCT.required


def event(name: str, properties: Json) -> Json:
    return {"external_id": "a", "name": name, "time": times.iso(times_now()), "properties": properties}


def as_sent(document: Json, raw: str) -> bytes:
    return json.dumps(document).replace(json.dumps(HERE), raw).encode()


def fitting(name: str, path: Path) -> list[tuple[str, str]]:
    """Unusable values of the type that the schema wants there; anything where it wants no type."""
    if "metadata" in path or path[0] == "discounts":
        return UNUSABLE
    value: Any = example(name)
    for step in path:
        value = value[step]
    fits = [(raw, reason) for raw, reason in UNUSABLE if (reason == BROKEN) == isinstance(value, str)]
    return [(raw, reason) for raw, reason in fits if raw != "-9.3e18"]  # an amount below 0 is wrong in another way


PLACES: Final = [(name, path) for name in NAMES for path in scalars(example(name))]


def test_the_places() -> None:
    """The generated places are of both sorts, and some are deep."""
    optional = [place for place in PLACES if is_optional(*place)]
    assert min(len(optional), len(PLACES) - len(optional)) > 40
    assert max(len(path) for _, path in optional) == 7


def check(workspace: Workspace, places: list[tuple[str, Path]], raws: list[tuple[str, str]]) -> None:
    """Events with a value each in its place: those that can count do, without it; the others are refused alone."""
    sent, wanted, skipped, refused = [], [], [], []
    for n, ((name, path), (raw, reason)) in enumerate(zip(places, raws, strict=True)):
        sent.append(as_sent(event(name, changed(example(name), path, HERE)), raw))
        if is_optional(name, path):
            wanted.append(changed(example(name), path, None))
            skipped.append(("events", n, ".".join(map(str, path)), reason))
        else:
            refused.append(("events", n))
    answer = workspace.track(b'{"attributes":[{"external_id":"b"}],"events":[' + b",".join(sent) + b"]}")
    assert (answer.status, answer.errors) == (201, refused)
    assert answer.counts == {"attributes": 1, "events": len(wanted)}
    assert workspace.skipped(answer.request_id) == skipped
    assert [occurrence[8] for occurrence in workspace.occurrences()] == wanted


@pytest.mark.parametrize(("raw", "reason"), UNUSABLE)
def test_in_every_place(service: Service, raw: str, reason: str) -> None:
    places = [place for place in PLACES if (raw, reason) in fitting(*place)]
    assert len(places) > 50
    for start in range(0, len(places), 70):
        some = places[start : start + 70]
        check(service.workspace("legacy"), some, [(raw, reason)] * len(some))


@pytest.mark.parametrize(("raw", "reason"), UNUSABLE)
def test_a_cart_keeps_its_lines(workspace: Workspace, raw: str, reason: str) -> None:
    lines = [
        {**FULL_PRODUCT, "variant_id": "1", "metadata": {"x": HERE}},
        {**FULL_PRODUCT, "variant_id": "2", "metadata": {"x": [HERE, {"y": HERE}]}},
    ]
    cart = {**LEAST[CART_UPDATED], "products": lines, "metadata": {"k": HERE}}
    answer = workspace.track(as_sent({"events": [event(CART_UPDATED, cart)]}, raw))
    assert (answer.status, answer.errors) == (201, [])
    paths = ("products.0.metadata.x", "products.1.metadata.x.0", "products.1.metadata.x.1.y", "metadata.k")
    assert workspace.skipped(answer.request_id) == [("events", 0, path, reason) for path in paths]
    (stored,) = workspace.user("a")["carts"]
    assert [(line["variant_id"], line["quantity"]) for line in stored["products"]] == [("1", 2), ("2", 2)]


def test_a_broken_name_inside(workspace: Workspace) -> None:
    cart = {**LEAST[CART_UPDATED], "metadata": {"a\ud83d": 1, "b": {"\ud83d": {}}}}
    answer = workspace.track(json.dumps({"events": [event(CART_UPDATED, cart)]}).encode())
    assert workspace.skipped(answer.request_id) == [
        ("events", 0, "metadata.a\\ud83d", BROKEN),
        ("events", 0, "metadata.b.\\ud83d", BROKEN),
    ]
    assert workspace.occurrences()[0][8] == {**LEAST[CART_UPDATED], "metadata": {"b": {}}}


def test_many_of_them_under_long_names(workspace: Workspace) -> None:
    """What is stored of the request, and what is listed of it, stay small."""
    names = {f"{n}" + "k" * 300: [HERE] for n in range(250)}
    cart = {**LEAST[CART_UPDATED], "metadata": {"m" * 300: names}}
    body = as_sent({"events": [event(CART_UPDATED, cart)]}, "1e400")
    checked = track.check(body, Limits(None, 75), ecommerce_events=True)
    assert len(checked.body) < len(body) + 60_000
    skipped = workspace.skipped(workspace.track(body).request_id)
    assert skipped[0] == ("events", 0, "metadata." + "m" * 246, LARGE)
    assert skipped[-1][3] == "further_problems_omitted"


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_anything_anywhere(service: Service, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=12))
    check(service.workspace("legacy"), places, [data.draw(st.sampled_from(fitting(*place))) for place in places])
