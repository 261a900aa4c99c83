"""The clusters on a real Redis: as broker and as cache."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import redis

from tests.machine import Machine, wait_for
from tests.postgres import free_port
from tests.redis import running

pytestmark = pytest.mark.long


def test_a_cluster_runs_the_brain_over_redis(
    redis_url: str, migrated: Path, tmp_path: Path
) -> None:
    client = redis.Redis.from_url(redis_url)
    machine = Machine.like(migrated, tmp_path, REDIS_URL=redis_url)
    with machine.running("runcluster", "brain") as supervisor:
        doing = "SELECT doing FROM devices_worker"
        wait_for(lambda: machine.ask(doing) == [("executes",)], "the canary, over Redis", 60)
        wait_for(lambda: machine.ask("SELECT 1 FROM brain_cycle"), "a cycle of the brain", 60)
        assert machine.ask("SELECT count(*) FROM django_q_ormq") == [(0,)]
        assert client.keys("django_q:*")
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 0
    assert "127.0.0.1" in machine.run("doctor", check=False).stdout


def test_a_supervisor_outlives_a_redis_that_is_away(migrated: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    machine = Machine.like(migrated, tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}/0")
    with log.open("w") as told:
        with running(port):
            command = machine._command(("runcluster", "brain"))
            supervisor = subprocess.Popen(command, env=machine.environment, stderr=told)
            doing = "SELECT doing FROM devices_worker"
            wait_for(lambda: machine.ask(doing) == [("executes",)], "the canary")
        wait_for(lambda: "no broker" in log.read_text(), "the supervisor's word")
        with running(port):
            assert supervisor.poll() is None
            supervisor.send_signal(signal.SIGTERM)
            assert supervisor.wait(90) == 0
