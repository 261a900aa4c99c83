"""An S3 server of the demo's own that checks signatures: in a temporary folder, on a free port,
with random keys, gone at the end."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 20.0  # seconds
REGION = "us-east-1"
BUCKET = "complaints"


@dataclass(frozen=True)
class Server:
    """`folder`: where the bucket's objects are, as files."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes the project use it."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_S3_BUCKET_NAME": self.bucket,
            "AWS_S3_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
        }


def program() -> Path | None:
    """rclone, which comes with the requirements of development; None: it is not installed."""
    beside = Path(sys.executable).parent / "rclone"
    found = beside if beside.exists() else shutil.which("rclone")
    return Path(found) if found else None


@contextmanager
def running() -> Iterator[Server]:
    """A fresh one with an empty bucket. Raises FileNotFoundError where rclone is not installed."""
    rclone = program()
    if rclone is None:
        raise FileNotFoundError("rclone")
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-s3-"))
    (folder / BUCKET).mkdir()
    port = free_port()
    access, secret = secrets.token_hex(8), secrets.token_hex(16)
    command = [
        *(str(rclone), "serve", "s3"),
        *("--addr", f"127.0.0.1:{port}", "--auth-key", f"{access},{secret}"),
        *("--config", str(folder / "none.conf"), str(folder)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield Server(f"http://127.0.0.1:{port}", access, secret, BUCKET, folder / BUCKET)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError("rclone serve s3 does not come up")
