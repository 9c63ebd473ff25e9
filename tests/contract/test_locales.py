"""Countries, languages, zones and the other small fields."""

import subprocess
import sys
import zoneinfo

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contract import locales

COUNTRIES = {
    "US": "US",
    "us": "US",
    " pt ": "PT",
    "DEU": "DE",
    "deu": "DE",
    "USA": "US",
    "Germany": "DE",
    "GERMANY": "DE",
    "United States": "US",
    "United States of America": "US",
    "U.S.A.": "US",
    "UK": "GB",
    "Great Britain": "GB",
    "England": "GB",
    "South Korea": "KR",
    "North Korea": "KP",
    "Russia": "RU",
    "C\u00f4te d\u2019Ivoire": "CI",
    "cote d'ivoire": "CI",
    "Ivory Coast": "CI",
    "T\u00fcrkiye": "TR",
    "Turkey": "TR",
    "The Netherlands": "NL",
    "Holland": "NL",
    "Czech Republic": "CZ",
    "Vietnam": "VN",
    "Viet Nam": "VN",
    "Iran": "IR",
    "Hong Kong": "HK",
    "Macau": "MO",
    "Taiwan": "TW",
    "UAE": "AE",
    "St. Lucia": "LC",
    "Bosnia & Herzegovina": "BA",
    "DR Congo": "CD",
    "Republic of the Congo": "CG",
    "Virgin Islands, British": "VG",
    "XX": None,
    "EU": None,
    "Korea": None,
    "Atlantis": None,
    "": None,
    " ": None,
    "1": None,
    "x" * 100_000: None,
}


@pytest.mark.parametrize(("text", "expected"), COUNTRIES.items(), ids=lambda value: str(value)[:30])
def test_country(text: str, expected: str | None) -> None:
    assert locales.country(text) == expected


@pytest.mark.parametrize("field", ["alpha_2", "alpha_3", "name", "official_name", "common_name"])
def test_every_country_of_iso_3166_is_found_by_every_name(field: str) -> None:
    named = [country for country in pycountry.countries if hasattr(country, field)]
    assert named
    for country in named:
        for text in (getattr(country, field), getattr(country, field).lower(), getattr(country, field).upper()):
            assert locales.country(text) == country.alpha_2, text


LANGUAGES = {
    "en": "en",
    "EN": "en",
    "Pt": "pt",
    "zh-Hans": "zh",
    "ZH_HANT": "zh",
    "zh-Hans-CN": "zh",
    "pt-BR": "pt",
    "en_US": "en",
    "es-419": "es",
    "sl-rozaj-biske": "sl",
    "fil": "fil",
    "GSW-CH": "gsw",
    "chr-Cher-US": "chr",
    " en ": "en",
    "en-XX": "en",
    "mo": "mo",
    "no": None,
    "eng": None,
    "English": None,
    "xx": None,
    "xx-US": None,
    "en-": None,
    "en--US": None,
    "en US": None,
    "nil": None,
    "": None,
    "e\u0144": None,
    "en" + "-US" * 9: None,
}


@pytest.mark.parametrize(("text", "expected"), LANGUAGES.items())
def test_language(text: str, expected: str | None) -> None:
    assert locales.language(text) == expected


def test_the_lists_of_codes() -> None:
    """Languages are upstream's own list (DECISIONS D68); currencies are those of ISO 4217, now and ever."""
    assert len(locales.LANGUAGES) == len(locales._LANGUAGE_CODES.split()) == 183
    assert {len(code) for code in locales.LANGUAGES} == {2, 3}
    present = {entry.alpha_3 for entry in pycountry.currencies} - {"XTS", "XXX"}
    assert len(present) > 170
    assert present < locales._currencies()


ZONES = {
    "Europe/Lisbon": True,
    "America/Argentina/Buenos_Aires": True,
    "UTC": True,
    "Etc/GMT+5": True,
    "US/Eastern": True,
    "Eastern Time (US & Canada)": True,
    "Nuku'alofa": True,
    "International Date Line West": True,
    "Hawaii": True,
    "europe/lisbon": False,
    "Mars/Base": False,
    "": False,
    "Factory": False,
    "localtime": False,
    "+01:00": False,
    "../../etc/passwd": False,
    " Europe/Lisbon": False,
    "Europe": False,
    "Eastern": False,
}


@pytest.mark.parametrize(("text", "known"), ZONES.items())
def test_time_zone(text: str, known: bool) -> None:
    assert locales.time_zone(text) == (text if known else None)


def test_every_rails_name_stands_for_an_iana_zone() -> None:
    assert len(locales.RAILS_ZONES) == 152
    assert set(locales.RAILS_ZONES.values()) <= zoneinfo.available_timezones()
    assert locales.RAILS_ZONES["Eastern Time (US & Canada)"] == "America/New_York"
    assert locales.RAILS_ZONES["Samoa"] == "Pacific/Apia"


def test_gender() -> None:
    sent = ["M", "F", "O", "N", "P", "m", "f", "", "X", "male", " M", "\u217f"]
    assert [locales.gender(text) for text in sent] == ["M", "F", "O", "N", "P", "M", "F", *[None] * 5]


DATES = {
    "1980-12-21": True,
    "2024-02-29": True,
    "0001-01-01": True,
    "3000-12-31": True,
    "1980-02-30": False,
    "yesterday": False,
    "12/21/1980": False,
    "0000-01-01": False,
    "3001-01-01": False,
    "1980-1-1": False,
    "19801221": False,
    "1980-W01-1": False,
    "": False,
    "\u0661980-12-21": False,
}


@pytest.mark.parametrize(("text", "valid"), DATES.items())
def test_date_of_birth(text: str, valid: bool) -> None:
    assert locales.date_of_birth(text) == (text if valid else None)


def test_date_of_birth_as_exported() -> None:
    """The date as it is written, whatever the offset behind it says."""
    sent = ["1980-12-21T00:00:00.000Z", "1980-12-21T23:30:00-05:00", " 1980-12-21 ", "1980-12-21 00:00:00"]
    assert [locales.date_of_birth(text) for text in sent] == ["1980-12-21"] * 4
    assert [locales.date_of_birth(text) for text in ("1980-12-21x", "1980-12-21T25:00:00Z")] == [None, None]


def test_currency() -> None:
    sent = ["USD", "usd", "Eur", "XCG", " USD", "BGN", "hrk", "DEM", "VEF", "ZWL", "BTC", "ggp", "IMP", "JEP"]
    assert [locales.currency(text) for text in sent] == [text.strip().upper() for text in sent]
    wrong = ["ABC", "", "US", "USDX", "XXX", "XTS", "u\u017fd", "$", "USDT"]
    assert [locales.currency(text) for text in wrong] == [None] * len(wrong)


@given(st.text())
def test_no_text_raises_and_results_are_stable(text: str) -> None:
    for function in (locales.country, locales.language, locales.time_zone, locales.gender, locales.currency):
        result = function(text)
        assert result is None or function(result) == result
    assert locales.date_of_birth(text) in (None, text.strip()[:10])


def test_importing_loads_no_tables() -> None:
    code = "import sys, app.contract.locales; print('pycountry' in sys.modules, 'babel' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
