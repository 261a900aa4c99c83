"""The intranet by HTTP: the only file that knows its pages."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import requests
from tenacity import (
    before_sleep_log,
    retry,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

logger = logging.getLogger(__name__)

LOGIN = "login"
HOME = "home"
LISTING = "servicio/recursos/telematicos"
ASSIGN = "servicio/recursos/telematicos/AsignarA"

MAX_BYTES = 25 * 1024 * 1024
MAX_REDIRECTS = 5
REFUSED_FOR = 300.0  # seconds in which refused credentials are not tried again
SLOWEST_BODY = 3  # times the timeout, for an answer that drips
CHUNK = 64 * 1024
REDIRECTS = (301, 302, 303, 307, 308)
# Laravel's "page expired": the token is of another session, and nothing was done.
PAGE_EXPIRED = 419
NO_NAME = "iniciar sesion"


class PortalError(Exception):
    """The intranet did not do what was asked."""


class PortalUnreachable(PortalError):
    """No connection, or it broke: worth another try later."""


class PortalTimeout(PortalUnreachable):
    """No answer in time. What was sent may have been carried out."""


class PortalFailed(PortalError):
    """The intranet answered with an error status."""


class PortalChanged(PortalError):
    """A page without what we look for on it: the token, the name of the account."""


class BadCredentials(PortalError):
    """The intranet refused our e-mail and password; not tried again for some minutes."""


class SessionExpired(PortalError):
    """The login page came in place of the content, after a new login too."""


class ForeignRedirect(PortalError):
    """The intranet sent us to another host, where our session must not go."""


class DocumentMissing(PortalError):
    """The intranet has no such document."""


class DocumentTooLarge(PortalError):
    """A document of more than MAX_BYTES."""


@dataclass(frozen=True)
class Page:
    """One answer of the intranet; `location` is absolute, empty where it does not redirect."""

    url: str
    status: int
    content_type: str
    location: str
    content: bytes

    @property
    def is_html(self) -> bool:
        return "html" in self.content_type.lower()

    @property
    def text(self) -> str:
        charset = re.search(r"charset=[\"']?([\w-]+)", self.content_type, re.IGNORECASE)
        for name in (charset.group(1) if charset else "utf-8", "cp1252"):
            with suppress(LookupError, UnicodeDecodeError):
                return self.content.decode(name)
        return self.content.decode("utf-8", "replace")

    @property
    def is_login(self) -> bool:
        """Whether it asks us to log in, whatever we had asked for."""
        if self.status in (401, PAGE_EXPIRED):
            return True
        if urlsplit(self.location or self.url).path.rstrip("/").endswith(f"/{LOGIN}"):
            return True
        return self.is_html and self.read.has_password

    @cached_property
    def read(self) -> _Reader:
        return _Reader.of(self.text)


class _Reader(HTMLParser):
    """What we read off a page: the token, the account's name, whether it is the login form.

    A parser and not a regex: attributes come in any order and quote, with entities, and a
    commented-out field does not count.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.token = ""
        self.name = ""
        self.has_password = False
        self._in_icon = self._after_icon = False

    @classmethod
    def of(cls, text: str) -> _Reader:
        reader = cls()
        reader.feed(text)
        reader.close()
        return reader

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "input":
            self._read_input(values)
        if tag == "i" and "fa-user-circle" in (values.get("class") or "").split():
            self._in_icon = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "i" and self._in_icon:
            self._in_icon, self._after_icon = False, True

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if self._after_icon and text:
            self._after_icon = False
            if not self.name and _plain(text) != NO_NAME:
                self.name = text

    def _read_input(self, values: Mapping[str, str | None]) -> None:
        if values.get("name") == "_token" and not self.token:
            self.token = (values.get("value") or "").strip()
        if (values.get("type") or "").lower() == "password":
            self.has_password = True


class _Refusals:
    """Credentials that an intranet refused lately: asking again and again locks an account."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, key: str) -> None:
        with self._lock:
            self._until[key] = time.monotonic() + REFUSED_FOR

    def seconds_left(self, key: str) -> float:
        with self._lock:
            return max(self._until.get(key, 0.0) - time.monotonic(), 0.0)

    def clear(self) -> None:
        with self._lock:
            self._until.clear()


refusals = _Refusals()


def _is_lost_connection(error: BaseException) -> bool:
    return isinstance(error, PortalUnreachable) and not isinstance(error, PortalTimeout)


_again = retry(
    retry=retry_if_exception(_is_lost_connection),
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.2, max=2),
    before_sleep=before_sleep_log(logger, logging.WARNING),
    reraise=True,
)


class Portal:
    """A session on the intranet, logged in when a page first asks for it. For one thread."""

    def __init__(self, base_url: str, email: str, password: str, timeout: float = 20.0) -> None:
        self.base_url = base_url.rstrip("/")
        self.email = email
        self.timeout = timeout
        self._password = password
        self._session = requests.Session()
        # A .netrc or a proxy of the environment has no business with these credentials.
        self._session.trust_env = False

    def close(self) -> None:
        """Drop the connections. The intranet is not told."""
        self._session.close()

    def login(self) -> None:
        """Begin a new session. Raises BadCredentials, also without asking where they were
        refused in the last minutes, and PortalChanged where the page has no token."""
        if left := refusals.seconds_left(self._credentials_key):
            raise BadCredentials(f"refused lately, not tried again for {left:.0f} s")
        self._session.cookies.clear()
        token = self._token_in(_expect_ok(self._get(LOGIN)))
        form = {"_token": token, "email": self.email, "password": self._password}
        self._check_login(self._post(LOGIN, {**form, "remember": "on"}, referer=LOGIN))

    def account(self) -> str:
        """The name that the intranet shows for us: the one that it writes into the origin."""
        home = _expect_ok(self._renewing(lambda: self._get(HOME)))
        name = home.read.name
        if not name:
            raise PortalChanged("no account name on the home page")
        return name

    def token(self) -> str:
        """A fresh form token of this session."""
        return self._token_in(_expect_ok(self._renewing(lambda: self._get(LISTING))))

    def assign(self, id_recurso: int) -> int:
        """Ask for a case; the HTTP status, which proves nothing. Sent again only where the
        session had expired, so that the first request cannot have done anything."""
        return self._renewing(lambda: self._ask_for(id_recurso)).status

    def has(self, path: str) -> bool:
        """Whether there is such a document, without fetching it."""
        page = self._renewing(lambda: self._get(path, peek=True))
        if _is_missing(page):
            return False
        _expect_ok(page)
        return True

    def fetch(self, path: str) -> bytes:
        """A document, by its path under the base URL. Raises DocumentMissing."""
        page = self._renewing(lambda: self._get(path))
        if _is_missing(page):
            raise DocumentMissing(path)
        return _expect_ok(page).content

    @property
    def _credentials_key(self) -> str:
        password = hashlib.sha256(self._password.encode()).hexdigest()
        return f"{self.base_url} {self.email} {password}"

    def _check_login(self, answer: Page) -> None:
        """302/303, or a page that is not the login page, is success."""
        if answer.status == PAGE_EXPIRED:
            raise PortalChanged("the login page's token was refused")
        if answer.status in (401, 403, 422) or (answer.status < 400 and answer.is_login):
            refusals.add(self._credentials_key)
            raise BadCredentials("the intranet refused our e-mail and password")
        _expect_ok(answer, 302, 303)

    def _renewing(self, ask: Callable[[], Page]) -> Page:
        """What `ask` gets from behind the login, with one new login where the session is gone."""
        page = ask()
        if page.is_login:
            self.login()
            page = ask()
        if page.is_login:
            raise SessionExpired("the login page again, right after logging in")
        return page

    def _ask_for(self, id_recurso: int) -> Page:
        listing = self._get(LISTING)
        if listing.is_login:
            return listing
        token = self._token_in(_expect_ok(listing))
        form = {"_token": token, "id": str(id_recurso), "recursosSel": "0"}
        return self._post(ASSIGN, form, referer=LISTING)

    def _token_in(self, page: Page) -> str:
        token = page.read.token
        if not token:
            raise PortalChanged(f"no token on {urlsplit(page.url).path}")
        return token

    def _get(self, path: str, peek: bool = False) -> Page:
        """Follow redirects as far as they stay here; to the login page there is no need to."""
        url = self._url(path)
        for _ in range(MAX_REDIRECTS):
            page = self._get_once(url, peek)
            if not page.location or (page.is_login and path != LOGIN):
                return page
            url = page.location
        raise PortalChanged(f"redirected in circles from {path}")

    @_again
    def _get_once(self, url: str, peek: bool) -> Page:
        return self._call("GET", url, {}, {}, peek)

    def _post(self, path: str, form: Mapping[str, str], referer: str) -> Page:
        """Once, whatever happens: it may have been carried out."""
        place = urlsplit(self.base_url)
        origin = f"{place.scheme}://{place.netloc}"
        headers = {"Referer": self._url(referer), "Origin": origin}
        return self._call("POST", self._url(path), form, headers)

    def _call(
        self,
        method: str,
        url: str,
        form: Mapping[str, str],
        headers: Mapping[str, str],
        peek: bool = False,
    ) -> Page:
        """One outside call, and its log line."""
        started = time.monotonic()
        outcome = "broken off"
        try:
            with self._session.request(
                method,
                url,
                data=form or None,
                headers=dict(headers),
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                page = self._page(response, peek, started + self.timeout * SLOWEST_BODY)
            outcome = str(page.status)
        except requests.RequestException as error:
            outcome = type(error).__name__
            raise _translated(error) from error
        finally:
            took = (time.monotonic() - started) * 1000
            logger.info("intranet %s %s: %s, %.0f ms", method, urlsplit(url).path, outcome, took)
        return page

    def _page(self, response: requests.Response, peek: bool, deadline: float) -> Page:
        kind = response.headers.get("Content-Type", "")
        location = ""
        if response.status_code in REDIRECTS:
            location = self._allowed(urljoin(response.url, response.headers.get("Location", "")))
        body = b"" if peek and "html" not in kind.lower() else _body(response, deadline)
        return Page(response.url, response.status_code, kind, location, body)

    def _url(self, path: str) -> str:
        return f"{self.base_url}/{path.lstrip('/')}"

    def _allowed(self, url: str) -> str:
        here, there = urlsplit(self.base_url), urlsplit(url)
        upgraded = here.scheme == "http" and there.scheme == "https"
        same_port = here.netloc == there.netloc or (upgraded and not here.port and not there.port)
        if here.hostname != there.hostname or not same_port:
            raise ForeignRedirect(f"redirected to {there.scheme}://{there.hostname}")
        if here.scheme != there.scheme and not upgraded:
            raise ForeignRedirect("redirected from https to http")
        return url


def _body(response: requests.Response, deadline: float) -> bytes:
    content = bytearray()
    for chunk in response.iter_content(CHUNK):
        content += chunk
        if len(content) > MAX_BYTES:
            raise DocumentTooLarge(f"more than {MAX_BYTES // 1024 // 1024} MiB")
        if time.monotonic() > deadline:
            raise PortalTimeout("the answer came too slowly")
    return bytes(content)


def _translated(error: requests.RequestException) -> PortalError:
    """The client library's errors as ours, without its text, which may hold what was sent."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return PortalTimeout("no answer in time")
    return PortalUnreachable(f"no connection ({type(error).__name__})")


def _expect_ok(page: Page, *more: int) -> Page:
    """The page, where its status says that it is the one. Raises PortalFailed."""
    if not 200 <= page.status < 300 and page.status not in more:
        raise PortalFailed(f"{urlsplit(page.url).path} answered {page.status}")
    return page


def _is_missing(page: Page) -> bool:
    """Also where a web page comes in place of the file: it must not go to an organism."""
    return page.status in (404, 410) or (page.status == 200 and page.is_html)


def _plain(text: str) -> str:
    """Without accents and case."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
