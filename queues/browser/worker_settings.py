"""What an isolated worker is told by its environment, and what it must not find there."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from queues.browser.egress import Network
from queues.browser.execution import Limits, Store
from queues.browser.signing import SHORTEST, Keyring, SecretRefused
from queues.browser.store import FolderStore, S3Store

# The control plane's own: with one of these a flow that breaks out would have more than a browser.
FORBIDDEN = re.compile(
    r"DATABASE_URL|.+_DATABASE_URL|PG[A-Z]+|(?:POSTGRES|MYSQL|DB|SQLSERVER|MONGO|MONGODB|DJANGO)_.+"
    r"|SECRET_KEY|ENCRYPTION_KEYS|JWT_.+|API_.+|.*_API_.+|.*API_?KEY.*|.+_TOKEN"
)
# Of the bucket's own credentials, where they are lent for a while.
ALLOWED = ("AWS_SESSION_TOKEN",)
NAME = re.compile(r"[\w.-]{1,100}")


class SettingsRefused(Exception):
    """The worker must not start; says which variable and what to do, never its value."""


@dataclass(frozen=True)
class WorkerSettings:
    """`most_age`: seconds of an envelope. `keys`: the signing keys of now."""

    worker_id: str
    redis_url: str = field(repr=False)
    store: Store
    keys: Callable[[], Keyring] = field(repr=False)
    session_keys: tuple[str, ...] = field(repr=False)
    limits: Limits
    capacity: int = 5
    most_age: float = 86400.0
    executable: str = ""


def read(environment: Mapping[str, str] | None = None) -> WorkerSettings:
    """From `environment`, as a rule the process's own. Raises SettingsRefused."""
    all_of_it = os.environ if environment is None else environment
    given = {name: value for name, value in all_of_it.items() if value.strip()}
    _expect_isolation(given)
    return WorkerSettings(
        worker_id=_worker_id(given),
        redis_url=_redis_url(given),
        store=_store(given),
        keys=_keys(given),
        session_keys=_secrets(given, "SESSION_KEYS"),
        limits=Limits(
            deadline=_number(given, "JOB_DEADLINE_SECONDS", 600),
            page_timeout=_number(given, "PAGE_TIMEOUT_SECONDS", 30),
            networks=_networks(given),
            most_bytes=round(_number(given, "MOST_DOWNLOAD_MB", 200) * 10**6),
        ),
        capacity=max(int(_number(given, "WORKER_CAPACITY", 5)), 1),
        most_age=_number(given, "JOB_MOST_AGE_HOURS", 24) * 3600,
        executable=given.get("BROWSER_EXECUTABLE", ""),
    )


def _expect_isolation(given: Mapping[str, str]) -> None:
    found = sorted(n for n in given if FORBIDDEN.fullmatch(n.upper()) and n not in ALLOWED)
    if found:
        raise SettingsRefused(
            f"A worker must hold no database and no API credentials. Remove {', '.join(found)}"
            " from its environment."
        )


def _worker_id(given: Mapping[str, str]) -> str:
    default = re.sub(r"[^\w.-]", "-", f"{socket.gethostname()}-{os.getpid()}")
    name = given.get("WORKER_ID", default)
    if not NAME.fullmatch(name):
        raise SettingsRefused(
            "WORKER_ID must be up to 100 letters, digits, dots, dashes and underscores."
        )
    return name


def _redis_url(given: Mapping[str, str]) -> str:
    url = given.get("REDIS_URL", "")
    if urlsplit(url).scheme not in ("redis", "rediss", "unix"):
        raise SettingsRefused("Set REDIS_URL, such as redis://:password@host:6379/0.")
    return url


def _store(given: Mapping[str, str]) -> Store:
    if "RESULTS_DIR" in given:
        return FolderStore(Path(given["RESULTS_DIR"]))
    needed = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_BUCKET_NAME")
    lacking = [name for name in needed if name not in given]
    if lacking:
        raise SettingsRefused(
            f"Set {', '.join(lacking)} to store results in a bucket, or RESULTS_DIR for a folder."
        )
    return S3Store(
        given["AWS_S3_BUCKET_NAME"],
        access_key=given["AWS_ACCESS_KEY_ID"],
        secret_key=given["AWS_SECRET_ACCESS_KEY"],
        session_token=given.get("AWS_SESSION_TOKEN", ""),
        endpoint=given.get("AWS_S3_ENDPOINT_URL", ""),
        region=given.get("AWS_REGION", "eu-south-2"),
        own_path=given.get("S3_OWN_PATH", "control-room"),
    )


def _keys(given: Mapping[str, str]) -> Callable[[], Keyring]:
    if "SIGNING_KEYS_FILE" in given:
        file = KeysFile(Path(given["SIGNING_KEYS_FILE"]))
        return _tried(file.keyring, "SIGNING_KEYS_FILE")
    secrets = _secrets(given, "SCRIPT_SIGNING_SECRET")
    ring = _tried(lambda: Keyring.of(secrets), "SCRIPT_SIGNING_SECRET")()
    return lambda: ring


def _tried(make: Callable[[], Keyring], name: str) -> Callable[[], Keyring]:
    try:
        make()
    except SecretRefused as error:
        raise SettingsRefused(f"{name}: {error}") from error
    return make


class KeysFile:
    """Signing keys in a file that is replaced when they change. While it cannot be read, those
    of before hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ring: Keyring | None = None
        self._stamp: object = None

    def keyring(self) -> Keyring:
        """Raises SecretRefused, as long as it was never read."""
        stamp = self._seen()
        if self._ring is None or stamp != self._stamp:
            try:
                self._ring, self._stamp = Keyring.read(self.path), stamp
            except SecretRefused:
                if self._ring is None:
                    raise
        return self._ring

    def _seen(self) -> object:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _secrets(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Separated by commas, the current one first."""
    listed = tuple(one.strip() for one in given.get(name, "").split(",") if one.strip())
    if not listed or any(len(one) < SHORTEST for one in listed):
        raise SettingsRefused(
            f"{name} needs secrets of at least {SHORTEST} characters, separated by commas, the"
            " current one first: the same as the control plane's. Make one with"
            " `openssl rand -hex 32`."
        )
    return listed


def _number(given: Mapping[str, str], name: str, default: float) -> float:
    try:
        number = float(given.get(name, default))
    except ValueError:
        number = 0
    if not 0 < number <= 10**6:
        raise SettingsRefused(f"{name} must be a number above 0.")
    return number


def _networks(given: Mapping[str, str]) -> tuple[Network, ...]:
    listed = given.get("EGRESS_ALLOWED_NETWORKS", "").split(",")
    try:
        return tuple(ip_network(text.strip()) for text in listed if text.strip())
    except ValueError as error:
        raise SettingsRefused(
            "EGRESS_ALLOWED_NETWORKS must be networks such as 10.1.0.0/16, separated by commas."
        ) from error
