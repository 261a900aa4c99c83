"""`manage.py web`: it says when it answers, and what is wrong where it cannot."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from django.core.management import CommandError, call_command

from tests.machine import ROOT, Machine
from tests.postgres import free_port


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port} of 127.0.0.1: Address already in use"):
            call_command("web", port=port)


def test_it_says_where_it_is_once_it_answers(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "manage.py", "web", "--port", str(port)]
    environment = Machine(tmp_path).environment
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().decode().strip() == (
                f"The control room is on http://127.0.0.1:{port}/"
            )
            assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).ok
        finally:
            process.terminate()
