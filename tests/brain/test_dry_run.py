"""A dry run lists everything and changes no byte."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator_site.demo.cases import CASES, METHODS
from tests import parts
from tests.machine import Machine


def digest(path: Path) -> str:
    """Of the file's bytes, what still lies in SQLite's journal taken in first."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.long
def test_a_dry_run_lists_every_candidate_and_changes_no_byte(
    migrated: Path, tmp_path: Path
) -> None:
    parts.require("a browser")
    machine = Machine.like(migrated, tmp_path)
    machine.run("prepare")
    files = [machine.folder / "db.sqlite3", machine.folder / "origin.sqlite3"]
    with machine.world():
        before = [digest(path) for path in files]
        media = sorted((machine.folder / "media").rglob("*"))
        answer = machine.run("runbrain", "--once", "--dry-run", "--json")
        assert [digest(path) for path in files] == before
        assert sorted((machine.folder / "media").rglob("*")) == media
        again = machine.run("runbrain", "--once", "--dry-run", "--json")
    told = json.loads(answer.stdout)
    assert told == json.loads(again.stdout)
    by_site = {site["site_id"]: site for site in told["sites"]}
    assert set(by_site) == set(METHODS)
    for site_id, site in by_site.items():
        assert site["error"] == ""
        listed = {case["idRecurso"]: case["verdict"] for case in site["cases"]}
        # What the demo expects after a claim, as it looks before: claimed is "accepted" here.
        expected = {
            case.pk: case.expected.verdict.replace("claimed", "accepted").replace(
                "already_queued", "accepted"
            )
            for case in CASES
            if case.site == site_id and case.expected.verdict != "not_found"
        }
        assert listed == expected
    assert by_site["madrid"]["account"] == "BOT_MULTIVIA"
    assert sum(site["would_claim"] for site in by_site.values()) == 38
    repaired = {c["idRecurso"]: c["expediente"] for c in by_site["xaloc_girona"]["cases"]}
    assert repaired[1012] == "2026/101012-MUL"
