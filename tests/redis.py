"""A Redis of the tests' own: on a free port, in memory alone, gone at the end."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.postgres import free_port

LONGEST = 20.0  # seconds


@contextmanager
def running(port: int = 0) -> Iterator[str]:
    """Its URL, once it answers. Raises FileNotFoundError where Redis is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("redis-server")
    port = port or free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"]
    server = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        _wait_for(url)
        yield url
    finally:
        server.kill()
        server.wait()


def empty(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()


def _wait_for(url: str) -> None:
    until = time.monotonic() + LONGEST
    with redis.Redis.from_url(url) as client:
        while not _is_up(client):
            if time.monotonic() > until:
                raise TimeoutError("Redis did not come up")
            time.sleep(0.01)


def _is_up(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
