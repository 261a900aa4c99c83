"""Short requests to a server that speaks S3, signed and sent with little Python.

boto takes about 2 ms of the interpreter for each, whatever the number of threads, which is what
bounds the upload of many small files. This takes a quarter of that. Anything more than a PUT or a
HEAD of one small object is boto's.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import quote, urlsplit

EMPTY = hashlib.sha256(b"").hexdigest()
UNRESERVED = "/~"


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """No connection, or it broke, or no answer came in time."""


@dataclass(frozen=True)
class Proxy:
    """Through which the server is reached, by CONNECT."""

    url: str
    headers: Mapping[str, str]


class Wire:
    """Connections to one server, kept open between requests; for any number of threads."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        timeout: float,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """`base_url`: what the URLs of all objects begin with, ending in a slash."""
        self.base, self.timeout, self.tls, self.proxy = urlsplit(base_url), timeout, tls, proxy
        self.signer = Signer(credentials, self.base.netloc)
        self._idle: list[HTTPConnection] = []

    def request(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sha256: str = EMPTY,
    ) -> Answer:
        """`sha256` is the body's; header names in small letters. Raises Unreachable."""
        path = self.base.path + quote(key, safe=UNRESERVED)
        signed = self.signer.signed(method, path, headers or {}, sha256)
        while True:
            connection, is_used = self._connection()
            try:
                return self._answered(connection, method, path, signed, body)
            except (OSError, HTTPException) as error:
                connection.close()
                # The server may have closed it while it was idle: that tells nothing.
                if not is_used or isinstance(error, TimeoutError):
                    raise Unreachable(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _answered(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if method == "PUT":
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        answer = Answer(response.status, _in_small(response), response.read())
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def _connection(self) -> tuple[HTTPConnection, bool]:
        """One, and whether it was used before."""
        with suppress(IndexError):
            return self._idle.pop(), True
        return self._new(), False

    def _new(self) -> HTTPConnection:
        end = urlsplit(self.proxy.url) if self.proxy else self.base
        host, port = end.hostname or "", end.port
        if self.base.scheme == "https":
            made: HTTPConnection = HTTPSConnection(
                host, port, timeout=self.timeout, context=self.tls
            )
        else:
            made = HTTPConnection(host, port, timeout=self.timeout)
        if self.proxy:
            made.set_tunnel(self.base.hostname or "", self.base.port, dict(self.proxy.headers))
        return made


class Signer:
    """Amazon's signature, version 4, of requests whose body's hash is known.
    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """

    def __init__(self, credentials: Credentials, host: str) -> None:
        self.credentials, self.host = credentials, host
        self._key: tuple[str, bytes] = ("", b"")

    def signed(
        self, method: str, path: str, headers: Mapping[str, str], sha256: str
    ) -> dict[str, str]:
        """All headers to be sent. `path` is quoted, and has no query."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        sent = {**headers, "host": self.host, "x-amz-content-sha256": sha256, "x-amz-date": now}
        if self.credentials.token:
            sent["x-amz-security-token"] = self.credentials.token
        names = sorted(sent)
        lines = "".join(f"{name}:{sent[name]}\n" for name in names)
        request = f"{method}\n{path}\n\n{lines}\n{';'.join(names)}\n{sha256}"
        scope = f"{now[:8]}/{self.credentials.region}/s3/aws4_request"
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"
        signature = hmac.digest(self._key_of(now[:8]), text.encode(), "sha256").hex()
        sent["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.credentials.access_key}/{scope}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return sent

    def _key_of(self, day: str) -> bytes:
        known, key = self._key
        if known != day:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for word in (day, self.credentials.region, "s3", "aws4_request"):
                key = hmac.digest(key, word.encode(), "sha256")
            self._key = (day, key)
        return key


def _in_small(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
