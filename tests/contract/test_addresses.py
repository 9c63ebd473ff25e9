"""E-mail addresses and phone numbers: who is the same person, and who must not become the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract import addresses

EMAILS = {
    "ann@example.org": "ann@example.org",
    "Ann.Lee+News@Example.ORG": "ann.lee+news@example.org",  # plus and dots stay (D23)
    " ann@example.org\n": "ann@example.org",
    "o'neil/x=1@example.org": "o'neil/x=1@example.org",
    "a@b.test": "a@b.test",
    "a@b.local": "a@b.local",
    "a@b.invalid": "a@b.invalid",
    "a@mail.localhost": "a@mail.localhost",
    "a@b.onion": "a@b.onion",
    "a@1.2.com": "a@1.2.com",
    "1@example.org": "1@example.org",
    # one domain, four spellings
    "a@b\u00fccher.example": "a@xn--bcher-kva.example",
    "a@B\u00dcCHER.example": "a@xn--bcher-kva.example",
    "a@bu\u0308cher.example": "a@xn--bcher-kva.example",
    "a@XN--BCHER-KVA.example": "a@xn--bcher-kva.example",
    "a@fa\u00df.de": "a@xn--fa-hia.de",
    "a@fass.de": "a@fass.de",
    # precomposed and combining are the same, look-alikes and compatibility forms are not
    "jos\u00e9@example.org": "jos\u00e9@example.org",
    "JOSE\u0301@example.org": "jos\u00e9@example.org",
    "\u0430nn@example.org": "\u0430nn@example.org",
    "\uff41nn@example.org": "\uff41nn@example.org",
    "\u212aate@example.org": "kate@example.org",  # the Kelvin sign is K by canonical equivalence
    "a@\uff45xample.org": None,
    "a@\ufb01x.org": None,
    "a@goo\u00adgle.com": None,
    "a@goo\u034fgle.com": None,
    "a@\u4f8b\u3048\u3002jp": None,
    "a\uff20example.org": None,
    # no address
    "": None,
    " ": None,
    "@": None,
    "ann": None,
    "ann@": None,
    "@example.org": None,
    "a@b@example.org": None,
    "ann@localhost": None,
    "ann@example": None,
    "ann@example.org.": None,
    "ann@.org": None,
    "ann@a..org": None,
    "ann.@example.org": "ann.@example.org",
    ".ann@example.org": ".ann@example.org",
    "a..b@example.org": "a..b@example.org",
    "A...B..@Docomo.NE.jp": "a...b..@docomo.ne.jp",
    "..\u00e9@m\u00fcnchen.de": "..\u00e9@xn--mnchen-3ya.de",
    "...@example.org": None,
    ".@example.org": None,
    "ann@-a.org": None,
    "ann@a-.org": None,
    "ann@a_b.org": None,
    "ann@1.2.3.4": None,
    "ann@[1.2.3.4]": None,
    "ann@ab--cd.org": "ann@ab--cd.org",
    "ann@a---b.c--d.org": "ann@a---b.c--d.org",
    "ann@a--.org": None,
    "ann@--a.org": None,
    "ann@" + "b-" * 31 + "-b.org": None,
    "ann@xn--a.org": None,
    '"quoted"@example.org': None,
    '"a@b"@example.org': None,
    "Ann <ann@example.org>": None,
    "<ann@example.org>": None,
    "an n@example.org": None,
    "ann@exam ple.org": None,
    "a\tb@example.org": None,
    "a\nb@example.org": None,
    "ann\0@example.org": None,
    "ann@example\0.org": None,
    "ann\ud800@example.org": None,
    "ann@\udc00.org": None,
    "a\u200bnn@example.org": None,
    "a\u202enn@example.org": None,
    "a(b)@example.org": None,
    "a,b@example.org": None,
    "ann@" + "b" * 63 + ".org": "ann@" + "b" * 63 + ".org",
    "ann@" + "b" * 64 + ".org": None,
    "x" * 242 + "@example.org": "x" * 242 + "@example.org",
    "x" * 243 + "@example.org": None,
    "\u00e9" * 121 + "@example.org": "\u00e9" * 121 + "@example.org",
    "\u00e9" * 122 + "@example.org": None,
    "a@" * 100_000: None,
    "x" * 1_000_000 + "@example.org": None,
    "a@" + "a." * 100_000 + "org": None,
    "' or 1=1 --@example.org": None,
    "{{7*7}}@example.org": "{{7*7}}@example.org",
}


@pytest.mark.parametrize(("text", "expected"), EMAILS.items(), ids=lambda value: ascii(value)[:40])
def test_email(text: str, expected: str | None) -> None:
    assert addresses.email(text) == expected


_atom = st.text("abXY09_+-", min_size=1, max_size=8)
_label = st.text("abXY09-", min_size=1, max_size=8)
_plain = st.builds(
    lambda local, labels, ending: f"{'.'.join(local)}@{'.'.join([*labels, ending])}",
    st.lists(_atom, min_size=1, max_size=3),
    st.lists(_label, min_size=1, max_size=3),
    st.sampled_from(["org", "Com", "test", "LOCALHOST", "arpa", "x", "xn--p1ai", "c0m", "museum", "example"]),
)
_near = st.text('aZ\u00e9\u0130\u03a3\u0301\u00df.@-+" \u0430\u200b\uff41', max_size=24) | st.builds(
    lambda local, domain: f"{local}@{domain}.org", st.text(min_size=1), st.text(min_size=1)
)


# A superset of what the fast path may take: every character it knows, in every order.
_characters = st.builds("{}@{}.{}".format, *[st.text("aZ0.-_+", max_size=12)] * 2, st.text("aZ0-", max_size=3))


@settings(max_examples=400)
@given(_plain | _characters)
def test_the_fast_path_is_only_faster(text: str) -> None:
    assert addresses.email(text) == addresses._email(text)


@given(st.text() | _near | _plain)
def test_no_text_raises_and_an_address_is_its_own_normal_form(text: str) -> None:
    address = addresses.email(text)
    if address is not None:
        assert addresses.email(address) == address
        assert address.count("@") == 1
        assert address.partition("@")[2].isascii()
        assert len(address.encode()) <= 254


PHONES = {
    # the table of attributes.md, section 3
    "+15043277269": "+15043277269",
    "+1 (504) 327-7269": "+15043277269",
    "+351912345678": "+351912345678",
    "+34600123456": "+34600123456",
    "+4930123456": "+4930123456",
    "+1.504.327.7269": "+15043277269",
    "5043277269": "+15043277269",
    "(504) 327-7269": "+15043277269",
    "15043277269": "+15043277269",
    "1 504-327-7269": "+15043277269",
    " +15043277269 ": "+15043277269",
    "+\u0663\u0665\u0661\u0669\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668": "+351912345678",  # Arabic digits
    "2223334444": None,
    "+12223334444": None,
    "5556667777": None,  # no such area code
    "912345678": None,
    "351912345678": None,
    "3277269": None,
    "25043277269": None,
    "": None,
    "+": None,
    "+0": None,
    "not a phone": None,
    "+not a phone": None,
    "504-FLOWERS": None,
    "1-800-FLOWERS": None,
    "+99912345678": None,
    "+1504327726912345": None,
    "+" + "1" * 16: None,
    "1" * 1_000_000: None,
    "+" + "1" * 1_000_000: None,
    "5043277269;ext=5": None,
    "tel:+15043277269": "+15043277269",
    "504.327.7269": "+15043277269",
    "504\u2011327\u20117269": "+15043277269",
    "504\u2013327\u20137269": "+15043277269",
    "504\u2212327\u22127269": "+15043277269",
    "504\u00a0327\u202f7269": "+15043277269",
    "504\u200b327\u20607269": "+15043277269",
    "504\u00ad327\u00ad7269": "+15043277269",
    "(+1) 504 327 7269": "+15043277269",
    " [504] 327/7269": "+15043277269",
    "\uff08504\uff09327\uff0d7269": "+15043277269",
    "\uff0b1\u3000504\u3000327\u30007269": "+15043277269",
    "\uff15\uff10\uff14\uff13\uff12\uff17\uff17\uff12\uff16\uff19": "+15043277269",
    "\u202a+1 504 327 7269\u202c": "+15043277269",
    "\u200e504 327 7269\u200f": "+15043277269",
    "504-327-7269 x12": None,
    "504-327-7269 ext. 12": None,
    "504~327~7269": None,
    "504,327,7269": None,
    "tel:504-327-7269;ext=5": None,
    "\u00b2" * 10: None,
    "504\0327\0007269": None,
    "\ud800": None,
}


@pytest.mark.parametrize(("text", "expected"), PHONES.items(), ids=lambda value: ascii(value)[:40])
def test_phone(text: str, expected: str | None) -> None:
    assert addresses.phone(text) == expected


def test_the_region_counts_only_without_a_plus() -> None:
    assert addresses.phone("912345678", "PT") == "+351912345678"
    assert addresses.phone("+15043277269", "PT") == "+15043277269"
    assert addresses.phone("912345678", "no region") is None


@pytest.mark.parametrize(
    ("text", "code"),
    [("DE", "DE"), ("de", "DE"), ("US", "US"), ("", None), ("001", None), ("ZZ", None), ("Germany", None)],
)
def test_regions(text: str, code: str | None) -> None:
    assert addresses.region(text) == code


@given(st.text() | st.text("+0123456789 ()-x", max_size=24))
def test_no_text_raises_and_a_number_is_its_own_normal_form(text: str) -> None:
    number = addresses.phone(text)
    if number is not None:
        assert addresses.phone(number) == number
        assert number[0] == "+"
        assert number[1:].isascii()
        assert number[1:].isdecimal()
        assert len(number) <= 16
