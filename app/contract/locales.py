"""Countries, languages, time zones, genders, birthdays and currencies: what a client sent, as it is stored.

Every function takes any text and returns the stored form, or None when the text is not one (attributes.md, section 2;
events-purchases.md for currencies). None raises. The country tables load at first use.
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
    """The ISO 639-1 code in lower case, with a script or region behind it when one was sent: `en`, `zh-hans`, `pt-br`.

    The contract asks for lower case and knows tags like `zh-Hans`. An underscore counts as a hyphen.
    """
    if text in _LANGUAGES:
        return text
    found = _LANGUAGE_TAG(text)
    if found is None:
        return None
    code, script, region = found[1].lower(), found[2], found[3]
    if code not in _LANGUAGES:
        return None
    if script is not None:
        return f"{code}-{script.lower()}" if script.lower() in _SCRIPTS else None
    if region is not None:
        return f"{code}-{region.lower()}" if region == "419" or region.upper() in _countries() else None
    return code


def time_zone(text: str) -> str | None:
    """The text as sent when it is an IANA name or one of RAILS_ZONES; both are case-sensitive."""
    return text if text in RAILS_ZONES or text in _iana_zones() else None


def gender(text: str) -> str | None:
    """One of M, F, O, N, P, upper-case."""
    return _GENDERS.get(text)


def date_of_birth(text: str) -> str | None:
    """The text itself when it is `YYYY-MM-DD` and a day of the years 1 to 3000."""
    return text if len(text) == 10 and text[4] == "-" and times.parse(text) is not None else None


def currency(text: str) -> str | None:
    """The ISO 4217 code in upper case. XTS (testing) and XXX (no currency) name no currency."""
    if text in _CURRENCIES:
        return text
    code = text.upper() if text.isascii() else ""
    return code if code in _CURRENCIES else None


_GENDERS: Final = {letter: letter.upper() for letter in "MFONPmfonp"}

_LANGUAGE_TAG: Final = re.compile(r"([A-Za-z]{2})(?:[-_](?:([A-Za-z]{4})|([A-Za-z]{2}|419)))?").fullmatch

# ISO 639-1, in the state of pycountry 26.
_LANGUAGE_CODES: Final = """
aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en
eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja
jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb
nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so
sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_LANGUAGES: Final = frozenset(_LANGUAGE_CODES.split())

# Scripts in which CLDR knows languages that are written in more than one.
_SCRIPTS: Final = frozenset(("arab", "beng", "cyrl", "deva", "guru", "hans", "hant", "latn", "mong", "mtei", "tfng"))

# ISO 4217, in the state of pycountry 26.
_CURRENCY_CODES: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD
HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN
PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD
TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD
XPF XPT XSU XUA YER ZAR ZMW ZWG
"""
_CURRENCIES: Final = frozenset(_CURRENCY_CODES.split())

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
