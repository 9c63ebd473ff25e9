"""What the OpenAPI document says about an endpoint, beside what its table row says anyway."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

#: Families of endpoints, in the order in which the document lists them.
TAGS: Final = {
    "Track": "Attributes, events and purchases of users.",
    "Identity": "Who is who: aliases, external ids, merging, deletion.",
    "Export": "Profiles, given back.",
    "Profiles": "People as operators see them, and their flags.",
    "Subscriptions": "Consent: subscription groups, and states of e-mail addresses and phone numbers.",
    "Apps": "What people use, with the public keys of their SDKs.",
    "SDK data": "What devices of apps send, with the public key of the app.",
    "Tracking": "What the SDKs of Segment, RudderStack and Jitsu send, with the same key.",
    "Messages": "What people got, and what is told of addresses.",
    "Merges": "What merges would do and did, and taking them back.",
    "Merge rules": "Duplicates by e-mail address or phone number: previews, runs and their schedule, taking runs back.",
    "Requests": "What became of what was accepted.",
    "Data rules": "Names of attributes, events and products: counts, types, what is blocked.",
    "Analytics": "Names of events, attributes and products, and how much happens on each day and in each hour.",
    "Rates": "What currencies are worth, and booking revenue that had no rate.",
    "Jobs": "Work that takes longer than an answer may, and its files.",
    "Segments": "People by filters: what they are, how many there are, and why somebody is in one.",
    "Dead letters": "Requests that could not be applied.",
    "Workspaces": "A workspace as a whole.",
    "Alerts": "Numbers that are watched, who is told, and what was said.",
    "Test mode": "For tests of other projects: begin anew, and let calls go wrong.",
    "Webhooks": "Who is told which profiles change.",
    "Limits": "How much may be called, and how much was.",
    "Health": "For probes: no key, no limits.",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the path or the query. `type` is anything that msgspec can describe."""

    name: str
    place: Literal["path", "query", "header"]
    type: Any
    text: str


@dataclass(frozen=True, slots=True)
class Documentation:
    """An endpoint in words and types. Answers that all endpoints have in common are left out, see app.api.openapi."""

    title: str
    tag: str
    text: str
    #: Status -> type of the answer: the successes, and refusals that are not the common ones.
    answers: Mapping[int, Any]
    #: Type of the request body, and a body that is accepted.
    body: Any = None
    example: Any = None
    parameters: tuple[Parameter, ...] = ()
    #: Whether it takes an Idempotency-Key.
    idempotent: bool = False
    #: Content types of files that it takes as well.
    files: tuple[str, ...] = ()
    #: Content type of a success.
    media_type: str = "application/json"
    #: Headers of a success beside those of every answer, with what they say.
    headers: Mapping[str, str] = field(default_factory=dict)
