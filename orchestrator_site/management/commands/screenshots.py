"""The pictures of the guides, taken of a control room at work, so that they stay true."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from orchestrator_site.commands import ActingCommand
from orchestrator_site.demo.bucket import free_port
from orchestrator_site.management.commands.demo import EMPTY, QUICK
from queues.browser.picturing import NotSignedIn, Shot, take

FILLED = 12  # appeals that have been sent: then there is something to see
PATIENCE = 240  # seconds
SHOTS = (
    Shot("overview", "/admin/"),
    Shot("overview-dark", "/admin/", is_dark=True),
    Shot("overview-phone", "/admin/", is_narrow=True),
    Shot("appeals", "/admin/queues/appeals/"),
    Shot("case", "/admin/case/{case}/"),
    Shot("distribution", "/admin/distribution/"),
    Shot("shares", "/admin/queues/sharechange/"),
    Shot("devices", "/admin/devices/board/"),
    Shot("post-processing", "/admin/postprocessing/"),
    Shot("alerts", "/admin/orchestrator_site/alert/"),
)


class Command(ActingCommand):
    help = (
        "Start a control room with its demo world in a folder of its own, wait until it has worked "
        "for a while, and take the pictures of the guides: docs/screens/{language}/{name}.png."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("names", nargs="*", help="only these pictures")
        parser.add_argument("--out", default=str(settings.BASE_DIR / "docs" / "screens"))
        parser.add_argument("--url", default="", help="of a control room that runs, instead")
        parser.add_argument("--password", default="", help="of its admin")

    def handle(self, *args: Any, **options: Any) -> None:
        shots = [shot for shot in SHOTS if not options["names"] or shot.name in options["names"]]
        if unknown := set(options["names"]) - {shot.name for shot in SHOTS}:
            known = ", ".join(shot.name for shot in SHOTS)
            raise CommandError(
                f"No such picture: {', '.join(sorted(unknown))}. There are: {known}."
            )
        out = Path(options["out"])
        if options["url"]:
            taken = self._take(options["url"].rstrip("/"), options["password"], shots, out)
        else:
            with room() as (url, environment):
                self.stderr.write(f"Waiting until {FILLED} appeals have been sent ...")
                password = wait_until_filled(url, Path(environment["DATA_DIR"]))
                taken = self._take(url, password, shots, out)
        if options["json"]:
            self.put_json({"pictures": [str(path) for path in taken]})
        else:
            self.stdout.write("\n".join(map(str, taken)))

    def _take(self, url: str, password: str, shots: list[Shot], out: Path) -> list[Path]:
        try:
            return take(url, password, shots, out, settings.BROWSER_EXECUTABLE)
        except NotSignedIn as error:
            raise CommandError("The admin's password is not right.") from error


@contextmanager
def room() -> Iterator[tuple[str, dict[str, str]]]:
    """A control room of its own, at work: its address, and the environment of its commands."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-screens-") as folder:
        port = free_port()
        environment = {
            **settings.ENVIRON,
            **dict.fromkeys(EMPTY, ""),
            **QUICK,
            "DJANGO_SETTINGS_MODULE": "orchestrator_site.settings",
            "DATA_DIR": folder,
            "ORIGIN_PATH": str(Path(folder) / "origin.sqlite3"),
            "PORT": str(port),
            "DEMO_WORLD_URL": f"http://127.0.0.1:{free_port()}",
            "DEMO": "1",
        }
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "start"]
        log = (Path(folder) / "start.log").open("w")
        started = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, stdout=log, stderr=log
        )
        try:
            yield f"http://127.0.0.1:{port}", environment
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(100)
            except subprocess.TimeoutExpired:
                started.kill()


def wait_until_filled(url: str, folder: Path) -> str:
    """The admin's password. Raises CommandError where it does not come so far."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        password = folder / "admin-password"
        if password.exists() and _is_up(url):
            session = _signed_in(url, password.read_text().strip())
            while time.monotonic() < end:
                if _sent(url, session) >= FILLED:
                    return password.read_text().strip()
                time.sleep(2)
        time.sleep(1)
    raise CommandError(f"In {PATIENCE} s fewer than {FILLED} appeals were sent.")


def _is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=10).ok
    except requests.RequestException:
        return False


def _signed_in(url: str, password: str) -> requests.Session:
    session = requests.Session()
    session.get(f"{url}/admin/login/", timeout=30)
    token = session.cookies.get("csrftoken", "")
    given = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
    session.post(f"{url}/admin/login/", given, headers={"Referer": url}, timeout=30)
    return session


def _sent(url: str, session: requests.Session) -> int:
    answer = session.get(f"{url}/api/v1/tramites/", params={"status": "completed"}, timeout=30)
    answer.raise_for_status()
    return len(answer.json()["results"])
