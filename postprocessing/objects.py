"""The one door to the bucket of the complaints' files, or to what stands in for it: a folder of
this machine, where no credentials are configured."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies
from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import FileSystemStorage, storages
from tenacity import (
    before_sleep_log,
    retry,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from postprocessing.sending import EMPTY, Answer, Credentials, Proxy, Unreachable, Wire

logger = logging.getLogger(__name__)
STORAGE = "pqr"
SMALL = 2**20  # bytes that are sent in one piece from memory
LARGE = 8 * 2**20  # from here on in several parts, which are in flight by themselves
TRIES = 5
CONNECT_TIMEOUT, TIMEOUT = 10, 60  # seconds
BUSY = frozenset({408, 429, 500, 502, 503, 504})
BUSY_CODES = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable"})
REFUSED = frozenset({301, 307, 401, 403})
REFUSED_CODES = frozenset(
    {"NoSuchBucket", "InvalidBucketName", "AuthorizationHeaderMalformed", "PermanentRedirect"}
)

PARTIAL = ".put-"  # begins the names of files that are being written here
_IN_XML = {name: re.compile(f"<{name}>([^<]*)</{name}>") for name in ("Code", "Message")}


class ObjectError(Exception):
    """An object could not be sent, or asked for. `is_temporary`: later it may work."""

    def __init__(self, message: str, is_temporary: bool = False) -> None:
        super().__init__(message)
        self.is_temporary = is_temporary


class BucketRefused(ObjectError):
    """Nothing can be sent: the credentials are refused, or there is no such bucket."""


@dataclass(frozen=True)
class ObjectInfo:
    """`sha256` is what the uploader said it was: known from a HEAD alone, "" where nobody said.
    `etag`: the MD5 of what was sent in one piece; "" where there is none."""

    key: str
    size: int
    etag: str = ""
    sha256: str = ""


class ObjectStore(Protocol):
    """For any number of threads. What fails for a while has been tried several times. All methods
    but `url` raise ObjectError."""

    is_simulated: bool
    bucket: str  # "": simulated

    def put(
        self,
        key: str,
        content: bytes | BinaryIO,
        content_type: str,
        sha256: str,
        case_id: str = "",
    ) -> None:
        """`sha256` is of the whole content, which is read from where the file stands."""

    def head(self, key: str) -> ObjectInfo | None:
        """None: there is no such object."""

    def listed(self, prefix: str) -> Iterator[ObjectInfo]: ...

    def url(self, key: str) -> str:
        """Where the object is, for those who may read the bucket; "": simulated."""

    def signed_url(self, key: str) -> str:
        """Where anybody may read it for some minutes; "": simulated."""

    def close(self) -> None: ...


_stores: dict[tuple[int, str], ObjectStore] = {}


def store() -> ObjectStore:
    """The one that is configured. It costs nothing until it is used; then its connections are kept
    for the next one who asks."""
    configured = settings.STORAGES[STORAGE]
    which = (os.getpid(), repr(configured))  # connections do not survive a fork
    if which not in _stores:
        storage = storages.create_storage(configured)
        if isinstance(storage, FileSystemStorage):
            _stores[which] = Folder(storage)
        else:
            _stores[which] = Bucket(storage)
    return _stores[which]


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, ObjectError) and error.is_temporary


_again = retry(
    retry=retry_if_exception(_is_temporary),
    stop=stop_after_attempt(TRIES),
    wait=wait_random_exponential(multiplier=0.2, max=10),
    before_sleep=before_sleep_log(logger, logging.DEBUG),
    reraise=True,
)


class Bucket:
    """An S3 bucket. Short requests go by the wire, the rest by boto's client."""

    is_simulated = False

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.bucket: str = storage.bucket_name
        self._one_large = Lock()

    def put(
        self,
        key: str,
        content: bytes | BinaryIO,
        content_type: str,
        sha256: str,
        case_id: str = "",
    ) -> None:
        told = {"sha256": sha256, **({"case-id": case_id} if case_id else {})}
        if not isinstance(content, bytes):
            self._send(key, content, {"ContentType": content_type, "Metadata": told})
            return
        headers = {f"x-amz-meta-{name}": value for name, value in told.items()}
        self._asked("PUT", key, {"content-type": content_type, **headers}, content, sha256)

    def head(self, key: str) -> ObjectInfo | None:
        answer = self._asked("HEAD", key)
        if answer.status == 404:
            return None
        return ObjectInfo(
            key,
            size=int(answer.headers.get("content-length") or 0),
            etag=_md5(answer.headers.get("etag") or ""),
            sha256=answer.headers.get("x-amz-meta-sha256") or "",
        )

    def listed(self, prefix: str) -> Iterator[ObjectInfo]:
        pages = self._client.get_paginator("list_objects_v2")
        with _told(self.bucket):
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
                for one in page.get("Contents", ()):
                    yield ObjectInfo(one["Key"], one["Size"], _md5(one.get("ETag", "")))

    def url(self, key: str) -> str:
        return self._base_url + quote(key, safe="/~")

    def signed_url(self, key: str) -> str:
        with _told(self.bucket):
            return self._signed_url(key)

    def close(self) -> None:
        if "_wire" in self.__dict__:
            self._wire.close()

    def _asked(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sha256: str = EMPTY,
    ) -> Answer:
        answer = self._tried(method, key, headers, body, sha256)
        # The first time without the machinery of the others: it costs as much as the signature.
        if isinstance(answer, ObjectError):
            if not answer.is_temporary:
                raise answer
            answer = self._tried_again(method, key, headers, body, sha256)
        return answer

    @_again
    def _tried_again(self, *request: Any) -> Answer:
        answer = self._tried(*request)
        if isinstance(answer, ObjectError):
            raise answer
        return answer

    def _tried(
        self, method: str, key: str, headers: Mapping[str, str] | None, body: bytes, sha256: str
    ) -> Answer | ObjectError:
        try:
            answer = self._wire.request(method, key, headers, body, sha256)
        except Unreachable as error:
            return ObjectError(f"{self._base_url}: {error}", is_temporary=True)
        if answer.status == 200 or (answer.status == 404 and method == "HEAD"):
            return answer
        return _failure(self.bucket, answer.status, *_code_and_message(answer.body))

    def _send(self, key: str, content: BinaryIO, extra: Mapping[str, Any]) -> None:
        size = os.fstat(content.fileno()).st_size
        with _told(self.bucket), self._one_large if size >= LARGE else nullcontext():
            self._client.upload_fileobj(
                content, self.bucket, key, ExtraArgs=extra, Config=self.storage.transfer_config
            )

    @cached_property
    def _client(self) -> Any:
        """Parts of a large object are tried again one by one: that is boto's own."""
        ours = Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            max_pool_connections=settings.PQR_UPLOADS_IN_FLIGHT + 10,
            # Other servers than Amazon's refuse what boto sends by default.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        if not (self.storage.endpoint_url or self.storage.addressing_style):
            # Or addresses that are signed would lead to Virginia, which redirects.
            ours = ours.merge(Config(s3={"addressing_style": "virtual"}))
        self.storage.client_config = self.storage.client_config.merge(ours)
        with _told(self.bucket):
            return self.storage.connection.meta.client

    @cached_property
    def _base_url(self) -> str:
        """What the URL of each object begins with: boto knows which host and path that is."""
        with _told(self.bucket):
            return self._signed_url("x").partition("?")[0].removesuffix("x")

    @cached_property
    def _wire(self) -> Wire:
        storage = self.storage
        return Wire(
            self._base_url,
            Credentials(
                storage.access_key,
                storage.secret_key,
                self._client.meta.region_name,
                storage.security_token or "",
            ),
            timeout=TIMEOUT,
            tls=_tls(self._client._endpoint.http_session._verify),
            proxy=self._proxy(),
        )

    def _proxy(self) -> Proxy | None:
        proxies = self._client.meta.config.proxies or get_environ_proxies(self._base_url)
        known = ProxyConfiguration(proxies)
        url = known.proxy_url_for(self._base_url)
        return Proxy(url, known.proxy_headers_for(url)) if url else None

    def _signed_url(self, key: str) -> str:
        url: str = self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": key},
            ExpiresIn=self.storage.querystring_expire,
        )
        return url


class Folder:
    """Keeps objects as files. Types and hashes are not kept: the hash is of what is there."""

    is_simulated = True
    bucket = ""

    def __init__(self, storage: FileSystemStorage) -> None:
        self.storage = storage

    def put(
        self,
        key: str,
        content: bytes | BinaryIO,
        content_type: str,
        sha256: str,
        case_id: str = "",
    ) -> None:
        with _told_of_files():
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=PARTIAL, delete=False) as new:
                for piece in _pieces(content):
                    new.write(piece)
            os.replace(new.name, path)

    def head(self, key: str) -> ObjectInfo | None:
        with _told_of_files():
            path = self._path(key)
            if not path.is_file():
                return None
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return ObjectInfo(key, path.stat().st_size, sha256=sha256)

    def listed(self, prefix: str) -> Iterator[ObjectInfo]:
        root = Path(self.storage.location)
        with _told_of_files():
            for folder, _folders, names in os.walk(self._path(prefix.rpartition("/")[0] or ".")):
                for path in (Path(folder) / one for one in names if not one.startswith(PARTIAL)):
                    key = path.relative_to(root).as_posix()
                    if key.startswith(prefix):
                        yield ObjectInfo(key, path.stat().st_size)

    def url(self, key: str) -> str:
        return ""

    def signed_url(self, key: str) -> str:
        return ""

    def close(self) -> None:
        return

    def _path(self, key: str) -> Path:
        return Path(self.storage.path(key))


def _tls(verify: bool | str) -> ssl.SSLContext:
    """By boto's own certificates, or those of a path; False: nothing is verified."""
    if verify is False:
        return ssl._create_unverified_context()
    path = Path(get_cert_path(verify))
    if path.is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)


def _pieces(content: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
    else:
        yield from iter(lambda: content.read(SMALL), b"")


def _md5(etag: str) -> str:
    """An ETag that is an MD5; of an object of several parts it is something else."""
    plain = etag.strip('"')
    return plain if re.fullmatch(r"[0-9a-f]{32}", plain) else ""


def _code_and_message(body: bytes) -> tuple[str, str]:
    text = body.decode(errors="replace")
    found = [pattern.search(text) for pattern in _IN_XML.values()]
    code, message = (one[1] if one else "" for one in found)
    return code, message


def _failure(bucket: str, status: int, code: str, message: str) -> ObjectError:
    told = f"{bucket}: {' '.join(filter(None, [str(status), code]))}"
    told += f": {message}" if message else ""
    if status in BUSY or code in BUSY_CODES:
        return ObjectError(told, is_temporary=True)
    if status in REFUSED or code in REFUSED_CODES:
        return BucketRefused(told)
    return ObjectError(told)


@contextmanager
def _told(bucket: str) -> Iterator[None]:
    """boto's errors as ours."""
    try:
        yield
    except ClientError as error:
        found = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        words = (found.get("Code", ""), found.get("Message", ""))
        raise _failure(bucket, status, *words) from error
    except BotoCoreError as error:
        raise ObjectError(f"{bucket}: {error}", is_temporary=True) from error


@contextmanager
def _told_of_files() -> Iterator[None]:
    try:
        yield
    except (OSError, SuspiciousFileOperation) as error:
        raise ObjectError(str(error)) from error
