"""The control plane's guide: every command of the page is executed, against real processes: the
web, the demo world, the dispatcher over a real Redis, and an isolated worker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from django.conf import settings

from tests.machine import ROOT, Machine, wait_for
from tests.postgres import free_port

pytestmark = [pytest.mark.long, pytest.mark.chromium]
GUIDE = ROOT / "docs" / "control-plane.md"
SECRET, SESSIONS = "a-signing-secret-of-this-machine-alone", "a-session-key-of-this-machine-alone-"
# What a worker is given besides: nothing of the control room's.
SYSTEM = ("PATH", "HOME", "LANG", "TMPDIR")


def commands() -> list[str]:
    """The page's commands, block by block."""
    return re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)


@contextmanager
def isolated_worker(machine: Machine, redis_url: str) -> Iterator[None]:
    """In a process whose environment holds nothing but what it needs."""
    environment = {
        **{name: os.environ[name] for name in SYSTEM if name in os.environ},
        "REDIS_URL": redis_url,
        "SCRIPT_SIGNING_SECRET": SECRET,
        "SESSION_KEYS": SESSIONS,
        "RESULTS_DIR": str(machine.folder / "media"),
        "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "WORKER_ID": "guide-1",
        "WORKER_CAPACITY": "1",
    }
    words = [sys.executable, "-m", "queues.browser.worker"]
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def room(migrated: Path, redis_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Everything runs; what the page's first lines ask the environment for."""
    machine = Machine.like(
        migrated,
        tmp_path,
        REDIS_URL=redis_url,
        SCRIPT_SIGNING_SECRET=SECRET,
        SESSION_KEYS=SESSIONS,
        DEMO="1",
    )
    port = str(free_port())
    machine.shell("from orchestrator_site.demo import controlling; controlling.seed()")
    with ExitStack() as all_of:
        all_of.enter_context(machine.world())
        all_of.enter_context(machine.running("web", "--port", port))
        all_of.enter_context(machine.running("runworker", "--jobs"))
        all_of.enter_context(isolated_worker(machine, redis_url))
        wait_for(lambda: _answers(f"http://127.0.0.1:{port}/healthz"), "the web")
        yield {"ROOM": f"http://127.0.0.1:{port}/api/v1", "WORLD": machine.world_url}


@pytest.mark.timeout(120)
@pytest.mark.skipif(not shutil.which("curl"), reason="the page is written for curl")
def test_every_command_of_the_guide_works(room: dict[str, str]) -> None:
    blocks = commands()
    assert len(blocks) >= 9
    # A function for each block would lose its variables: one shell, which says where it is.
    script = "set -euo pipefail\n" + "".join(
        f"echo '== {number}'\n{block}\n" for number, block in enumerate(blocks)
    )
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, **room}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    said = [block.strip().splitlines() for block in re.split(r"^== \d+\n", done.stdout, flags=re.M)]
    watched, brought = said[-3], said[-2]
    assert watched[0] == "done", done.stdout
    assert brought[0] == "F-2026-0101"
    assert "ended after" in brought[-1]
    assert said[-1] == ["ping"]


def test_no_command_of_the_guide_leads_to_another_machine() -> None:
    addresses = re.findall(r"https?://[^\s\"'`)]+", "".join(commands()))
    assert {address.split("/")[2].partition(":")[0] for address in addresses} == {"127.0.0.1"}


def test_the_files_that_the_pages_name_are_there() -> None:
    for page in (GUIDE, ROOT / "docs" / "deployment.md", ROOT / "README.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_units_name_commands_that_there_are() -> None:
    for unit in (ROOT / "docs" / "deployment").glob("*.service"):
        for started in re.findall(r"^ExecStart\w*=\S+ (.+)$", unit.read_text(), re.M):
            words = started.split()
            target = words[1] if words[0] == "-m" else words[0]
            path = Path(target.replace(".", "/") + ".py") if words[0] == "-m" else Path(target)
            assert (settings.BASE_DIR / path).exists(), f"{unit.name}: {started}"


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=1).ok
    except requests.RequestException:
        return False
