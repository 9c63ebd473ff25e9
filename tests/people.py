"""Random requests about a few people, each known by many names, so that everything about identity collides.

Denser than Hypothesis' examples: most requests meet somebody, and profiles are made as fast as they are merged away.
"""

from random import Random
from typing import Any

Json = dict[str, Any]

RULES = ("identified", "unidentified", "most_recently_updated", "least_recently_updated")
LABELS = ("crm", "web")
#: As tests.accepting has them.
GROUPS = ("news", "tips", "texts")


class People:
    """Requests by a seed. `many` people have so many external ids, aliases of each label, addresses and numbers."""

    def __init__(self, seed: int, many: int = 6) -> None:
        self.random = Random(seed)
        self._many = many

    def _n(self) -> int:
        return self.random.randrange(self._many)

    def external_id(self) -> str:
        return f"u{self._n()}"

    def alias(self) -> Json:
        return {"alias_label": self.random.choice(LABELS), "alias_name": f"n{self._n()}"}

    def email(self) -> str:
        return f"p{self._n() // 2}@example.org"

    def phone(self) -> str:
        return f"+3460012345{self._n() // 2 % 10}"

    def rules(self) -> list[str]:
        pick = [self.random.choice(RULES[:2]), self.random.choice(RULES[2:])]
        self.random.shuffle(pick)
        return pick[: self.random.choice((1, 2, 2))]

    def who(self) -> Json:
        """An identifier as /users/merge takes it."""
        match self.random.randrange(8):
            case 0:
                return {"email": self.email(), "prioritization": self.rules()}
            case 1:
                return {"phone": self.phone(), "prioritization": self.rules()}
            case 2 | 3 | 4:
                return {"user_alias": self.alias()}
            case _:
                return {"external_id": self.external_id()}

    def named(self) -> Json:
        """An identifier as /users/track takes it."""
        match self.random.randrange(8):
            case 0:
                return {"email": self.email()}
            case 1:
                return {"phone": self.phone()}
            case 2 | 3 | 4:
                return {"user_alias": self.alias(), "_update_existing_only": False}
            case _:
                return {"external_id": self.external_id()}

    def track(self) -> Json:
        attributes = self.named()
        if self.random.random() < 0.5:
            attributes["email"] = self.random.choice((self.email(), self.email(), None))
        if self.random.random() < 0.3:
            attributes["phone"] = self.random.choice((self.phone(), None))
        if self.random.random() < 0.3:
            attributes["email_subscribe"] = self.random.choice(("subscribed", "unsubscribed", "opted_in"))
        if self.random.random() < 0.3:
            attributes["subscription_groups"] = [
                {"subscription_group_id": self.random.choice(GROUPS), "subscription_state": self.state()}
                for _ in range(2)
            ]
        if self.random.random() < 0.1:
            attributes["marked_email_as_spam_at"] = self.random.choice(("2026-11-01", None))
        attributes[f"a{self._n()}"] = {"inc": 1}
        time = {"time": "2026-11-20T10:00:00Z"}
        return {
            "attributes": [attributes],
            "events": [{**self.named(), "name": f"e{self._n() % 2}", **time}],
            "purchases": [{**self.named(), "product_id": "p", "currency": "USD", "price": 1.5, **time}],
        }

    def state(self) -> str:
        return self.random.choice(("subscribed", "unsubscribed"))

    def subscription(self) -> tuple[str, Json]:
        """(path, body) of a call about consent, also of addresses that nobody has."""
        match self.random.randrange(3):
            case 0:
                state = self.random.choice(("subscribed", "unsubscribed", "opted_in"))
                return "/email/status", {"email": [self.email(), self.email()], "subscription_state": state}
            case 1:
                group, address = self.random.choice(
                    (("news", {"email": self.email()}), ("texts", {"phone": self.phone()}))
                )
                who = self.random.choice((address, {"external_id": self.external_id()}))
                asked = {"subscription_group_id": group, "subscription_state": self.state(), **who}
                return "/subscription/status/set", {**asked, "use_double_opt_in_logic": self.random.random() < 0.3}
            case _:
                groups = [
                    {"subscription_group_id": "tips", "subscription_state": self.state(), "emails": [self.email()]},
                    {"subscription_group_id": "texts", "subscription_state": self.state(), "phones": [self.phone()]},
                    {
                        "subscription_group_id": "news",
                        "subscription_state": self.state(),
                        "external_ids": [self.external_id()],
                    },
                ]
                return "/v2/subscription/status/set", {"subscription_groups": groups}

    def identify(self) -> Json:
        external_id = self.external_id()
        return {
            "aliases_to_identify": [{"external_id": external_id, "user_alias": self.alias()}],
            "emails_to_identify": [
                {"external_id": self.external_id(), "email": self.email(), "prioritization": self.rules()}
            ],
            "phone_numbers_to_identify": [
                {"external_id": external_id, "phone": self.phone(), "prioritization": self.rules()}
            ],
            "merge_behavior": self.random.choice(("merge", "merge", "none")),
        }

    def merge(self, pairs: int = 3) -> Json:
        return {
            "merge_updates": [
                {"identifier_to_merge": self.who(), "identifier_to_keep": self.who()} for _ in range(pairs)
            ]
        }

    def delete(self) -> Json:
        return {
            "external_ids": [self.external_id()],
            "user_aliases": [self.alias()],
            "email_addresses": [{"email": self.email(), "prioritization": self.rules()}],
        }

    def request(self) -> tuple[str, Json]:
        """(path, body)."""
        match self.random.randrange(23):
            case 20 | 21 | 22:
                return self.subscription()
            case 0 | 1:
                return "/users/identify", self.identify()
            case 2 | 3 | 4:
                return "/users/merge", self.merge()
            case 5 | 6:
                owner = self.random.choice(({}, {"external_id": self.external_id()}))
                return "/users/alias/new", {"user_aliases": [{**owner, **self.alias()} for _ in range(2)]}
            case 7:
                names = {"old_alias_name": f"n{self._n()}", "new_alias_name": f"n{self._n()}"}
                return "/users/alias/update", {"alias_updates": [{"alias_label": "crm", **names}]}
            case 8:
                return "/users/delete", self.delete()
            case 9:
                ids = {"current_external_id": self.external_id(), "new_external_id": self.external_id()}
                return "/users/external_ids/rename", {"external_id_renames": [ids]}
            case 10:
                return "/users/external_ids/remove", {"external_ids": [self.external_id()]}
            case _:
                return "/users/track", self.track()
