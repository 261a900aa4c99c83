"""Uploads that are killed with -9 at random instants, and repeated: files, objects and registry
agree afterwards."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from postprocessing import objects, uploading
from postprocessing.models import S3File, company_called
from tests import s3

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
AFINIA = company_called("afinia")
KILLS, FILES, CHANGED = 6, 60, 40
LATEST = 0.08  # seconds after its start


def test_killed_uploads_leave_nothing_that_the_next_one_does_not_settle(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DOWNLOADS_DIR = tmp_path
    monkeypatch.setattr(uploading, "BATCH", 10)
    seed = random.randrange(10_000)
    chance = random.Random(seed)
    with s3.running() as server:
        settings.STORAGES = server.storages()
        share_client(monkeypatch)
        left_pending = 0
        for number in range(KILLS):
            change(chance, number)
            kill_in_the_midst(chance)
            left_pending += S3File.objects.filter(status="pending").count()
        done = uploading.upload(AFINIA)
        assert (done.files, done.errors, done.faults) == (FILES, 0, []), seed
        agree(server, seed)
        assert uploading.upload(AFINIA, full=True).pre_existing == FILES
    assert left_pending, f"no kill met an upload at work (seed {seed})"


def share_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto takes longer to make one than an upload takes. It has no connection yet that processes
    could come to share."""
    store = objects.store()
    assert store.url("x")
    monkeypatch.setattr(objects, "store", lambda: store)


def change(chance: random.Random, number: int) -> None:
    """New files at first, later other content for some of them."""
    AFINIA.folder.mkdir(parents=True, exist_ok=True)
    for one in range(FILES) if not number else chance.sample(range(FILES), CHANGED):
        path = AFINIA.folder / f"RE{one}_data_20251010_011520.json"
        path.write_bytes(chance.randbytes(20_000))


def kill_in_the_midst(chance: random.Random) -> None:
    connections.close_all()
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(told, b"!")
            uploading.upload(AFINIA, told=lambda done, of: os.write(told, b"!"))
        finally:
            os._exit(0)
    os.close(told)
    os.read(ready, 1)
    if chance.random() < 0.7:  # not before its first batch is on its way
        os.read(ready, 1)
    time.sleep(chance.uniform(0, LATEST))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)


def agree(server: s3.Server, seed: int) -> None:
    known = {row.filename: row for row in S3File.objects.all()}
    files = {path.name: path.read_bytes() for path in AFINIA.folder.iterdir()}
    assert set(known) == set(files), seed
    assert {one.key for one in objects.store().listed("oficina-virtual/")} == {
        row.s3_key for row in known.values()
    }
    for name, content in files.items():
        row, found = known[name], objects.store().head(known[name].s3_key)
        assert row.status == "uploaded", (seed, name)
        assert found is not None
        sha256 = hashlib.sha256(content).hexdigest()
        assert sha256 == row.file_hash == found.sha256, (seed, name)
        assert (server.folder / row.s3_key).read_bytes() == content, (seed, name)
