"""The clusters on a real Redis: as broker and as cache."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests import parts
from tests.machine import Machine, wait_for
from tests.postgres import free_port


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A server of the test's own, in memory alone."""
    parts.require("Redis")
    port = free_port()
    server = subprocess.Popen(
        [
            str(shutil.which("redis-server")),
            "--port",
            str(port),
            "--save",
            "",
            "--bind",
            "127.0.0.1",
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


def is_up(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_a_cluster_runs_the_brain_over_redis(redis_url: str, tmp_path: Path) -> None:
    client = redis.Redis.from_url(redis_url)
    wait_for(lambda: is_up(client), "Redis")
    machine = Machine(tmp_path, REDIS_URL=redis_url)
    machine.run("migrate", "-v0")
    with machine.running("runcluster", "brain") as supervisor:
        doing = "SELECT doing FROM devices_worker"
        wait_for(lambda: machine.ask(doing) == [("executes",)], "the canary, over Redis", 60)
        wait_for(lambda: machine.ask("SELECT 1 FROM brain_cycle"), "a cycle of the brain", 60)
        assert machine.ask("SELECT count(*) FROM django_q_ormq") == [(0,)]
        assert client.keys("django_q:*")
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 0
    assert "127.0.0.1" in machine.run("doctor", check=False).stdout
