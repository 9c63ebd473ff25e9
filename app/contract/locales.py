"""Countries, languages, time zones, genders, birthdays and currencies: what a client sent, as it is stored.

Every function takes any text and returns the stored form, or None when the text is not one (attributes.md, section 2;
events-purchases.md for currencies). None raises. The tables of countries and currencies load at first use.
"""

import re
import unicodedata
import zoneinfo
from functools import lru_cache
from typing import Final

from app.domain import times

_LONGEST: Final = 100  # characters of the longest name of a country, with room


def country(text: str) -> str | None:
    """The ISO 3166-1 alpha-2 code of a code (alpha-2 or alpha-3, any case) or of an English name."""
    if len(text) > _LONGEST:
        return None
    text = text.strip()
    if len(text) == 2 and text.isascii() and text.upper() in _countries():
        return text.upper()
    return _country_names().get(_folded(text))


def language(text: str) -> str | None:
    """The language code of a tag, in lower case; script, region and variants behind it are dropped (DECISIONS D68).

    `zh-Hans-CN`, `es_419` and `fil` are `zh`, `es` and `fil`. A code that is not one of LANGUAGES is no language.
    """
    if text in LANGUAGES:
        return text
    tag = _LANGUAGE_TAG(text)
    code = tag[1].lower() if tag is not None else ""
    return code if code in LANGUAGES else None


def time_zone(text: str) -> str | None:
    """The text as sent when it is an IANA name or one of RAILS_ZONES; both are case-sensitive."""
    return text if text in RAILS_ZONES or text in _iana_zones() else None


def is_iana(text: str) -> bool:
    """Whether the text is the IANA name of a time zone, case-sensitive."""
    return text in _iana_zones()


def gender(text: str) -> str | None:
    """One of M, F, O, N, P, upper-case."""
    return _GENDERS.get(text)


def date_of_birth(text: str) -> str | None:
    """`YYYY-MM-DD`, a day of the years 1 to 3000; of a date-time, which exports show, the date as it is written."""
    day = text.strip()[:10]
    return day if len(day) == 10 and day[4] == "-" and times.parse(day) and times.moment(text) is not None else None


def currency(text: str) -> str | None:
    """The code in upper case: ISO 4217, its historic list, and a few more (DECISIONS D68).

    XTS (testing) and XXX (no currency) name no currency.
    """
    if text in _currencies():
        return text
    code = text.strip().upper() if text.isascii() else ""
    return code if code in _currencies() else None


_GENDERS: Final = {letter: letter.upper() for letter in "MFONPmfonp"}

_LANGUAGE_TAG: Final = re.compile(r"\s*([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8}){0,8}\s*").fullmatch

#: The language codes that profiles may have: most of ISO 639-1, and some of ISO 639-3.
_LANGUAGE_CODES: Final = """
af agq ak am ar as asa ay az bas be bem bez bg bm bn bo br brx bs ca cgg chr cs cy da dav de dje dua dyo dz ebu
ee el en eo es et eu ewo fa ff fi fil fo fr ga gd gl gn gsw gu guz gv ha haw he hi hr hu hy id ig ii is it iu ja
jmc jv ka kab kam kde kea khq ki kk kl kln km kn ko kok ks ksb ksf ku kw ky la lb lg ln lo lt lu luo luy lv mas
mer mfe mg mgh mk ml mn mo mr ms mt mua my naq nb nd ne nl nn nus nyn om or pa pl ps pt qu rm rn ro rof ru rw
rwk sa saq sbp sd se seh ses shi si sk sl sn so sq sr su sv sw swc ta te teo tg th ti tk tl to tr tt twq tzm ug
uk ur uz vai vi vun xh xog yav yi yo zh zu
"""
LANGUAGES: Final = frozenset(_LANGUAGE_CODES.split())

#: No ISO 4217 codes, but sent and taken: Bitcoin and the pounds of Guernsey, the Isle of Man and Jersey.
_MORE_CURRENCIES: Final = frozenset(("BTC", "GGP", "IMP", "JEP"))

#: Rails' names of time zones (ActiveSupport::TimeZone::MAPPING) to IANA names.
RAILS_ZONES: Final[dict[str, str]] = dict(
    pair.strip().split("=")
    for pair in """
International Date Line West=Etc/GMT+12; Midway Island=Pacific/Midway; American Samoa=Pacific/Pago_Pago
Hawaii=Pacific/Honolulu; Alaska=America/Juneau; Pacific Time (US & Canada)=America/Los_Angeles
Tijuana=America/Tijuana; Mountain Time (US & Canada)=America/Denver; Arizona=America/Phoenix
Chihuahua=America/Chihuahua; Mazatlan=America/Mazatlan; Central Time (US & Canada)=America/Chicago
Saskatchewan=America/Regina; Guadalajara=America/Mexico_City; Mexico City=America/Mexico_City
Monterrey=America/Monterrey; Central America=America/Guatemala; Eastern Time (US & Canada)=America/New_York
Indiana (East)=America/Indiana/Indianapolis; Bogota=America/Bogota; Lima=America/Lima; Quito=America/Lima
Atlantic Time (Canada)=America/Halifax; Caracas=America/Caracas; La Paz=America/La_Paz; Santiago=America/Santiago
Asuncion=America/Asuncion; Newfoundland=America/St_Johns; Brasilia=America/Sao_Paulo
Buenos Aires=America/Argentina/Buenos_Aires; Montevideo=America/Montevideo; Georgetown=America/Guyana
Puerto Rico=America/Puerto_Rico; Greenland=America/Nuuk; Mid-Atlantic=Atlantic/South_Georgia; Azores=Atlantic/Azores
Cape Verde Is.=Atlantic/Cape_Verde; Dublin=Europe/Dublin; Edinburgh=Europe/London; Lisbon=Europe/Lisbon
London=Europe/London; Casablanca=Africa/Casablanca; Monrovia=Africa/Monrovia; UTC=Etc/UTC; Belgrade=Europe/Belgrade
Bratislava=Europe/Bratislava; Budapest=Europe/Budapest; Ljubljana=Europe/Ljubljana; Prague=Europe/Prague
Sarajevo=Europe/Sarajevo; Skopje=Europe/Skopje; Warsaw=Europe/Warsaw; Zagreb=Europe/Zagreb; Brussels=Europe/Brussels
Copenhagen=Europe/Copenhagen; Madrid=Europe/Madrid; Paris=Europe/Paris; Amsterdam=Europe/Amsterdam
Berlin=Europe/Berlin; Bern=Europe/Zurich; Zurich=Europe/Zurich; Rome=Europe/Rome; Stockholm=Europe/Stockholm
Vienna=Europe/Vienna; West Central Africa=Africa/Algiers; Bucharest=Europe/Bucharest; Cairo=Africa/Cairo
Helsinki=Europe/Helsinki; Kyiv=Europe/Kyiv; Riga=Europe/Riga; Sofia=Europe/Sofia; Tallinn=Europe/Tallinn
Vilnius=Europe/Vilnius; Athens=Europe/Athens; Istanbul=Europe/Istanbul; Minsk=Europe/Minsk; Jerusalem=Asia/Jerusalem
Harare=Africa/Harare; Pretoria=Africa/Johannesburg; Kaliningrad=Europe/Kaliningrad; Moscow=Europe/Moscow
St. Petersburg=Europe/Moscow; Volgograd=Europe/Volgograd; Samara=Europe/Samara; Kuwait=Asia/Kuwait
Riyadh=Asia/Riyadh; Nairobi=Africa/Nairobi; Baghdad=Asia/Baghdad; Tehran=Asia/Tehran; Abu Dhabi=Asia/Muscat
Muscat=Asia/Muscat; Baku=Asia/Baku; Tbilisi=Asia/Tbilisi; Yerevan=Asia/Yerevan; Kabul=Asia/Kabul
Ekaterinburg=Asia/Yekaterinburg; Islamabad=Asia/Karachi; Karachi=Asia/Karachi; Tashkent=Asia/Tashkent
Chennai=Asia/Kolkata; Kolkata=Asia/Kolkata; Mumbai=Asia/Kolkata; New Delhi=Asia/Kolkata; Kathmandu=Asia/Kathmandu
Dhaka=Asia/Dhaka; Sri Jayawardenepura=Asia/Colombo; Almaty=Asia/Almaty; Astana=Asia/Almaty
Novosibirsk=Asia/Novosibirsk; Rangoon=Asia/Yangon; Bangkok=Asia/Bangkok; Hanoi=Asia/Bangkok; Jakarta=Asia/Jakarta
Krasnoyarsk=Asia/Krasnoyarsk; Beijing=Asia/Shanghai; Chongqing=Asia/Chongqing; Hong Kong=Asia/Hong_Kong
Urumqi=Asia/Urumqi; Kuala Lumpur=Asia/Kuala_Lumpur; Singapore=Asia/Singapore; Taipei=Asia/Taipei
Perth=Australia/Perth; Irkutsk=Asia/Irkutsk; Ulaanbaatar=Asia/Ulaanbaatar; Seoul=Asia/Seoul; Osaka=Asia/Tokyo
Sapporo=Asia/Tokyo; Tokyo=Asia/Tokyo; Yakutsk=Asia/Yakutsk; Darwin=Australia/Darwin; Adelaide=Australia/Adelaide
Canberra=Australia/Canberra; Melbourne=Australia/Melbourne; Sydney=Australia/Sydney; Brisbane=Australia/Brisbane
Hobart=Australia/Hobart; Vladivostok=Asia/Vladivostok; Guam=Pacific/Guam; Port Moresby=Pacific/Port_Moresby
Magadan=Asia/Magadan; Srednekolymsk=Asia/Srednekolymsk; Solomon Is.=Pacific/Guadalcanal
New Caledonia=Pacific/Noumea; Fiji=Pacific/Fiji; Kamchatka=Asia/Kamchatka; Marshall Is.=Pacific/Majuro
Auckland=Pacific/Auckland; Wellington=Pacific/Auckland; Nuku'alofa=Pacific/Tongatapu; Tokelau Is.=Pacific/Fakaofo
Chatham Is.=Pacific/Chatham; Samoa=Pacific/Apia
""".replace("\n", "; ")
    .strip("; ")
    .split("; ")
)

# What people write that neither ISO 3166 nor CLDR lists. The parts of the United Kingdom have no code of their own.
_MORE_NAMES: Final = {
    "AE": "UAE, Emirates",
    "BA": "Bosnia",
    "CD": "DR Congo, DRC, Democratic Republic of the Congo, Congo Kinshasa, Zaire",
    "CG": "Congo, Republic of the Congo, Congo Brazzaville",
    "CI": "Ivory Coast",
    "CN": "Mainland China",
    "CV": "Cape Verde",
    "CZ": "Czech Republic",
    "FK": "Falklands",
    "FM": "Micronesia",
    "GB": "UK, Great Britain, Britain, England, Scotland, Wales, Northern Ireland",
    "HK": "Hong Kong",
    "IE": "Republic of Ireland",
    "MK": "Macedonia, FYROM",
    "MM": "Burma",
    "MO": "Macao, Macau",
    "NL": "Holland",
    "PS": "Palestine",
    "SK": "Slovak Republic",
    "SZ": "Swaziland",
    "TL": "East Timor",
    "TR": "Turkey",
    "TT": "Trinidad",
    "US": "America, U.S.A., U.S.",
    "VA": "Vatican, Holy See",
    "VG": "British Virgin Islands",
    "VI": "US Virgin Islands",
}


@lru_cache(maxsize=1)
def _currencies() -> frozenset[str]:
    import babel  # noqa: PLC0415 - as for the countries
    import pycountry  # noqa: PLC0415

    present = frozenset(entry.alpha_3 for entry in pycountry.currencies)
    historic = frozenset(babel.Locale("en").currencies)  # CLDR has every code that ISO 4217 ever had
    return (present | historic | _MORE_CURRENCIES) - {"XTS", "XXX"}


@lru_cache(maxsize=1)
def _countries() -> frozenset[str]:
    return frozenset(_country_names().values())


@lru_cache(maxsize=1)
def _country_names() -> dict[str, str]:
    # Not at the top: the two take longer to import than the rest of the API, and many processes never need them.
    import babel  # noqa: PLC0415
    import pycountry  # noqa: PLC0415

    names: dict[str, str] = {}
    for entry in pycountry.countries:
        for field in ("alpha_3", "name", "official_name", "common_name"):
            names[_folded(getattr(entry, field, entry.name))] = entry.alpha_2
    codes = frozenset(names.values())
    for code, name in babel.Locale("en").territories.items():
        if code in codes:
            names[_folded(name)] = code
    for code, more in _MORE_NAMES.items():
        names.update(dict.fromkeys(map(_folded, more.split(", ")), code))
    return names


def _folded(name: str) -> str:
    """Only the letters, without accents and case: `Côte d'Ivoire` and `cote divoire` are the same name."""
    name = unicodedata.normalize("NFKD", name).casefold().replace("&", "and").removeprefix("the ")
    return "".join(filter(str.isalpha, name))


@lru_cache(maxsize=1)
def _iana_zones() -> frozenset[str]:
    # "Factory" and "localtime" are files beside the zones, not zones.
    return frozenset(zoneinfo.available_timezones() - {"Factory", "localtime"})
