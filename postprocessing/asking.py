"""What people and scripts ask the cluster `postprocessing` for; it begins within seconds."""

from __future__ import annotations

from queues import doorbell

CLUSTER = "postprocessing"
PROCESS, EXTRACT, VERIFY, UPLOAD, REPAIR = (
    f"postprocessing.tasks.{name}" for name in ("process", "extract", "verify", "upload", "repair")
)


def process(company: str, database_only: bool = False, full: bool = False) -> None:
    """A run of one company; `full` looks at every file again."""
    doorbell.ring(CLUSTER, PROCESS, company, database_only, full)


def extract(company: str, database_only: bool = False) -> None:
    """Its complaints from its site, then a run, then a verification."""
    doorbell.ring(CLUSTER, EXTRACT, company, database_only)


def verify(company: str) -> None:
    doorbell.ring(CLUSTER, VERIFY, company)


def upload(pk: int) -> None:
    """The file of a row of the registry."""
    doorbell.ring(CLUSTER, UPLOAD, pk)


def repair(pk: int, reason: str) -> None:
    """All that a verification found and a machine can mend."""
    doorbell.ring(CLUSTER, REPAIR, pk, reason)
