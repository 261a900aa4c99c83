"""Cookies as users hand them over: which are taken, and for how long they are good."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from brain.rules.hosts import is_cookie_domain
from brain.rules.texts import refusal, shown

MOST_COOKIES = 300
MOST_BYTES = 256 * 1024  # of all, as JSON
LONGEST_NAME = 256
SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What a browser takes: RFC 6265's octets, and the blanks, quotes and commas that sites use.
_VALUE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
_PATH = re.compile(r"/[\x21-\x3a\x3c-\x7e]*")
Cookie = dict[str, Any]


def parse_cookies(given: Any, hosts: Sequence[str], now: float) -> list[Cookie]:
    """The cookies that are still good, in the documented form. `given`: a list, or its JSON;
    `now`: seconds since 1970. Raises ValueError, which never quotes a value."""
    cookies = [_cookie(number, one, hosts) for number, one in enumerate(_listed(given), 1)]
    if len(json.dumps(cookies)) > MOST_BYTES:
        raise _too_long()
    good = [one for one in cookies if one["expires"] == -1 or one["expires"] > now]
    if not good:
        raise refusal(_("There is no cookie that is still good: sign in at the provider anew."))
    return good


def last_moment(cookies: Sequence[Cookie]) -> float | None:
    """When not one of them is good any more, in seconds since 1970; None while one says of
    itself only that it is the session's. Which of them the site asks for nobody but it knows."""
    expiries = [one["expires"] for one in cookies]
    return None if -1 in expiries else max(expiries)


def _listed(given: Any) -> list[Any]:
    """Looked at for its length before anything else is done with it."""
    if isinstance(given, str | bytes):
        if len(given) > MOST_BYTES:
            raise _too_long()
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise refusal(_("The cookies are not JSON.")) from error
    if not isinstance(given, list) or not given:
        raise refusal(_("Cookies are a list of objects with name, value and domain."))
    if len(given) > MOST_COOKIES:
        raise refusal(_("At most %(most)s cookies are taken."), most=MOST_COOKIES)
    if sum(map(_length, given)) > MOST_BYTES:
        raise _too_long()
    return given


def _length(one: Any) -> int:
    values = one.values() if isinstance(one, dict) else ()
    return sum(len(value) for value in values if isinstance(value, str))


def _too_long() -> ValueError:
    return refusal(_("All cookies together may have %(most)s bytes."), most=MOST_BYTES)


def _cookie(number: int, one: Any, hosts: Sequence[str]) -> Cookie:
    """What is known of a cookie; other keys, which browsers export, are dropped."""
    problem = _("must be an object") if not isinstance(one, dict) else next(_wrong(one, hosts), "")
    if problem:
        name = one.get("name") if isinstance(one, dict) else ""
        facts = {"number": number, "problem": problem}
        if isinstance(name, str) and name:
            facts["name"] = shown(name)
            raise ValueError(_("cookie %(number)d (%(name)s): %(problem)s") % facts)
        raise ValueError(_("cookie %(number)d: %(problem)s") % facts)
    expires = one.get("expires")
    return {
        "name": one["name"],
        "value": one["value"],
        "domain": one["domain"].lower(),
        "path": one.get("path") or "/",
        "expires": float(expires) if expires is not None and expires > 0 else -1,
        "httpOnly": bool(one.get("httpOnly")),
        "secure": bool(one.get("secure")),
        "sameSite": SAME_SITE[str(one.get("sameSite") or "lax").lower()],
    }


def _wrong(one: Mapping[str, Any], hosts: Sequence[str]) -> Iterator[str]:
    name, value, domain = one.get("name"), one.get("value"), one.get("domain")
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        yield _("the name must be a cookie's name")
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        yield _("the value must be text, without line breaks and semicolons")
    if not isinstance(domain, str) or len(domain) > 255 or not is_cookie_domain(domain, hosts):
        yield _("the domain must be one of the provider's: %(hosts)s") % {
            "hosts": ", ".join(host.partition(":")[0] for host in hosts)
        }
    yield from _wrong_rest(one)


def _wrong_rest(one: Mapping[str, Any]) -> Iterator[str]:
    path, expires, same_site = one.get("path"), one.get("expires"), one.get("sameSite")
    if path and not (isinstance(path, str) and _PATH.fullmatch(path)):
        yield _("the path must begin with /")
    is_number = isinstance(expires, int | float) and not isinstance(expires, bool)
    if expires is not None and not (is_number and _is_moment(expires)):
        yield _("expires must be in seconds since 1970, or -1")
    if any(type(one.get(flag, False)) is not bool for flag in ("httpOnly", "secure")):
        yield _("httpOnly and secure must be true or false")
    if same_site and not (isinstance(same_site, str) and same_site.lower() in SAME_SITE):
        yield _("sameSite must be Strict, Lax or None")


def _is_moment(expires: float) -> bool:
    is_plain = isinstance(expires, int) or math.isfinite(expires)
    return is_plain and -1 <= expires < 2**40


def cookie_header(cookies: Sequence[Cookie], url: str, now: float) -> str:
    """What a browser would send of them to this address."""
    parts = urlsplit(url)
    host, path = (parts.hostname or "").rstrip("."), parts.path or "/"
    sent = [
        one
        for one in cookies
        if _is_for_host(one["domain"], host)
        and _is_for_path(one["path"], path)
        and (parts.scheme == "https" or not one["secure"])
        and (one["expires"] == -1 or one["expires"] > now)
    ]
    sent.sort(key=lambda one: -len(one["path"]))
    return "; ".join(f"{one['name']}={one['value']}" for one in sent)


def _is_for_host(domain: str, host: str) -> bool:
    """One without a dot before it is for that host alone."""
    return host == domain.lstrip(".") or (domain.startswith(".") and host.endswith(domain))


def _is_for_path(wanted: str, path: str) -> bool:
    return path == wanted or path.startswith(wanted if wanted.endswith("/") else f"{wanted}/")
