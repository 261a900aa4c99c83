"""Mending all that a comparison found."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from brain import reconciling
from brain.claiming import FAULTS
from brain.models import Organismo, Reconciliation
from orchestrator_site.verbs import Refused, Verb


@dataclass
class Repairs:
    """The cases that were mended, and why others were not, by idRecurso."""

    repaired: list[int] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


def repair_all(row: Reconciliation, reason: str) -> Repairs:
    """Mend every difference as its kind says; one that cannot be mended stops no other."""
    done = Repairs()
    for difference in row.differences:
        pk = difference["resource_id"]
        try:
            if reconciling.repair(reconciling.Difference(**difference), reason):
                done.repaired.append(pk)
        except (*FAULTS, Organismo.DoesNotExist) as error:
            done.errors[str(pk)] = str(error)
    return done


def _run(row: Reconciliation, reason: str) -> bool:
    done = repair_all(row, reason)
    if done.errors:
        text = _("%(n)s repaired; not repaired: %(errors)s")
        errors = "; ".join(f"{pk}: {error}" for pk, error in done.errors.items())
        raise Refused(text % {"n": len(done.repaired), "errors": errors})
    return bool(done.repaired)


REPAIR_ALL = Verb(
    "repair_all",
    _("Repair all"),
    _(
        "Cases that are ours are queued; claims on cases that are not are closed, and what waits "
        "of them is cancelled."
    ),
    _run,
    lambda row: bool(row.differences),
    icon="build",
    is_dangerous=True,
)
