"""Files of complaints into PostgreSQL, against a COPY of the same rows and `bulk_create`.

Both sides read every file, and its JSON. The other side's rows are ready: what it does besides is
one COPY of all of them in one transaction, or `bulk_create(update_conflicts=True)` of objects in
batches as ours. We check and hash what we read, look for what is there, and keep what we know of
each file. In the mix a third of
the files are new, a third say something else than a file before did, and a third say the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from django.db import connection

from postprocessing import loading, reading
from postprocessing.models import OvAfinia
from postprocessing.writing import CHANGING, COLUMNS
from tests.bench.support import complaint_files, inside
from tests.bench.support.figure import Figure, Target, compared
from tests.postprocessing.complaints import EXTRACTED, STATES

FILES, RUNS = 20_000, 5
QUICK_FILES, QUICK_RUNS = 6_000, 2
NEW, BEFORE, MIXED = "new", "before", "mixed"  # folders
TABLE = OvAfinia._meta.db_table
NAMES = ", ".join(COLUMNS)


def run(quick: bool) -> list[Figure]:
    files, times = (QUICK_FILES, QUICK_RUNS) if quick else (FILES, RUNS)
    with inside.on_postgresql() as environment:
        return inside.call(__name__, "on_postgresql", files, times, environment=environment)


def on_postgresql(files: int, times: int) -> list[Figure]:
    third = files // 3
    write_folders(files, third)
    new, rows = _kept(NEW, files)
    before, _rows = _kept(BEFORE, 2 * third)
    mixed = {"inserted": files - 2 * third, "updated": third, "duplicates": third}
    figures: dict[str, list[float]] = {"ours": [], "copy": [], "bulk": [], "mixed": []}
    for _run in range(times):
        with complaint_files.folder(NEW):
            figures["ours"].append(files / loaded(inserted=files))
            figures["copy"].append(files / timed(lambda: copy(new)))
            figures["bulk"].append(files / timed(lambda: bulk_create(rows)))
        with complaint_files.folder(MIXED):
            complaint_files.forget()
            copy(before)
            figures["mixed"].append(files / loaded(forget=False, **mixed))
    ours, bare, bulk, mix = (figures[name] for name in ("ours", "copy", "bulk", "mixed"))
    note = f"{files:,} files of 2.5 KB"
    return [
        compared("load_new.over_copy", ours, bare, "files/s", Target("ratio", ">=", 0.75), note),
        compared("load_new.over_bulk_create", ours, bulk, "files/s", Target("ratio", ">=", 3)),
        compared("load_new.mixed", mix, bare, "files/s", Target("ratio", ">=", 0.5)),
    ]


def write_folders(files: int, third: int) -> None:
    later = EXTRACTED + timedelta(days=1)
    with complaint_files.folder(NEW):
        complaint_files.write(range(files))
    with complaint_files.folder(BEFORE):
        complaint_files.write(range(2 * third))
    with complaint_files.folder(MIXED):
        complaint_files.write(range(third), later)
        complaint_files.write(range(third, 2 * third), later, estado_solicitud=STATES[2])
        complaint_files.write(range(2 * third, files), later)


def _kept(folder: str, files: int) -> tuple[bytes, list[OvAfinia]]:
    """What a load of the folder leaves in the table: as COPY takes it, and as objects."""
    with complaint_files.folder(folder):
        loaded(inserted=files)
    with connection.cursor() as cursor, cursor.copy(f"COPY {TABLE} ({NAMES}) TO STDOUT") as sent:
        told = b"".join(sent)
    rows = list(OvAfinia.objects.all())
    for row in rows:
        row.pk = None
    return told, rows


def loaded(*, forget: bool = True, **expected: int) -> float:
    """The seconds of a load, of which this is to become of the files."""
    if forget:
        complaint_files.forget()
    began = time.perf_counter()
    told = loading.load(complaint_files.company())
    seconds = time.perf_counter() - began
    assert expected.items() <= vars(told).items(), told
    return seconds


def timed(write: Callable[[], None]) -> float:
    complaint_files.forget()
    began = time.perf_counter()
    assert complaint_files.read_all()
    write()
    return time.perf_counter() - began


def copy(rows: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {TABLE} ({NAMES}) FROM STDIN") as sent:
        sent.write(rows)


def bulk_create(rows: list[OvAfinia]) -> None:
    OvAfinia.objects.bulk_create(
        rows,
        batch_size=reading.BATCH,
        update_conflicts=True,
        unique_fields=["hash_registro"],
        update_fields=[name for name in CHANGING if name != "hash_registro"],
    )
    for row in rows:
        row.pk = None
        row._state.adding = True
