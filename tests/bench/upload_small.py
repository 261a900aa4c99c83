"""5,000 small files into a bucket, with their rows in the registry on PostgreSQL.

In turns with s5cmd, which copies the same folder to the same server, and keeps no books. The server
is rclone's, which checks signatures. Each run has a bucket path, and ours a registry, of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests import s3
from tests.bench.support import inside
from tests.bench.support.figure import Figure, Target, compared

FILES, RUNS = 5000, 5
QUICK_FILES, QUICK_RUNS = 1000, 2
BYTES = 27 * 1024
COMPANY = "afinia"
FILES_A_DAY = 50


def run(quick: bool) -> list[Figure]:
    files, times = (QUICK_FILES, QUICK_RUNS) if quick else (FILES, RUNS)
    ours, theirs = [], []
    with (
        TemporaryDirectory(prefix="orchestrator-bench-") as downloads,
        s3.running() as server,
        inside.on_postgresql() as environment,
    ):
        environment |= {**server.environment, "DOWNLOADS_DIR": downloads}
        folder = Path(downloads) / COMPANY / "oficina_virtual" / "processed"
        _fill(folder, files)
        for number in range(times):
            paths = {"S3_BASE_PATH": f"ours-{number}"}
            ours.append(inside.call(__name__, "rate", files, environment=environment | paths))
            theirs.append(_s5cmd(server, folder, f"theirs-{number}", files))
    note = f"{files} files of {BYTES // 1024} KB"
    target = Target("ratio", ">=", 0.8)
    return [compared("upload_small.over_s5cmd", ours, theirs, "files/s", target, note)]


def rate(files: int) -> float:
    """Files a second, rows included; what has to be imported and asked once is not."""
    from django.conf import settings

    from postprocessing import objects, uploading
    from postprocessing.models import S3File, company_called

    S3File.objects.all().delete()
    store: Any = objects.store()
    assert store.head("nothing") is None
    began = time.perf_counter()
    done = uploading.upload(company_called(COMPANY))
    seconds = time.perf_counter() - began
    assert (done.uploaded, done.errors) == (files, 0), done
    there = S3File.objects.filter(status=S3File.Status.UPLOADED).count()
    assert there == files, there
    assert sum(1 for _one in store.listed(f"{settings.S3_BASE_PATH}/")) == files
    return files / seconds


def _s5cmd(server: s3.Server, folder: Path, path: str, files: int) -> float:
    command = [
        *(str(Path(sys.executable).parent / "s5cmd"), "--endpoint-url", server.endpoint),
        *("--log", "error", "cp", f"{folder}/", f"s3://{server.bucket}/{path}/"),
    ]
    began = time.perf_counter()
    subprocess.run(command, env={**os.environ, **server.environment}, check=True)
    seconds = time.perf_counter() - began
    sent = sum(1 for _one in (server.folder / path).iterdir())
    assert sent == files, sent
    return files / seconds


def _fill(folder: Path, files: int) -> None:
    """Invented files of the documents' names, some a day."""
    folder.mkdir(parents=True)
    for number in range(files):
        day = f"2026{1 + number // FILES_A_DAY // 28 % 12:02d}{1 + number // FILES_A_DAY % 28:02d}"
        name = f"{10_000_000 + number}_data_{day}_{number % 60:06d}.json"
        (folder / name).write_bytes(os.urandom(BYTES))
