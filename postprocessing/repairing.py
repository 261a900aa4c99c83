"""Mending what a verification found: files are loaded, uploaded, or noted in the registry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from django.db.models import QuerySet

from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused
from postprocessing import loading, uploading
from postprocessing.companies import Company
from postprocessing.models import Difference, company_called
from postprocessing.objects import ObjectError

AT_ONCE = 500  # of as many, every fault is told by name
Repair = Difference.Repair
# In this order: what a file's key is made of stands in the table.
WAYS: dict[str, Callable[[Company, list[str]], dict[str, str]]] = {
    Repair.LOAD: lambda company, names: _faults(loading.load_files(company, names)),
    Repair.UPLOAD: lambda company, names: _faults(uploading.upload_files(company, names)),
    Repair.REGISTER: lambda company, names: _faults(uploading.register_files(company, names)),
}


def repair(differences: QuerySet[Difference] | Iterable[Difference], reason: str) -> int:
    """Mend those that a machine can; returns how many it did.

    Raises Refused with what went wrong with the others; those that went well are kept.
    """
    by_way: dict[tuple[str, str], list[Difference]] = defaultdict(list)
    for one in differences:
        if one.repaired_at is None and one.repair in WAYS:
            by_way[one.repair, one.verification.empresa].append(one)
    done, problems = 0, []
    order = list(WAYS)
    for (way, empresa), all_of in sorted(by_way.items(), key=lambda item: order.index(item[0][0])):
        for start in range(0, len(all_of), AT_ONCE):
            some = all_of[start : start + AT_ONCE]
            mended, failed = _mend(way, company_called(empresa), some, reason)
            done += mended
            problems += failed
    if problems:
        raise Refused("; ".join(problems[:5]))
    return done


def _mend(way: str, company: Company, some: list[Difference], reason: str) -> tuple[int, list[str]]:
    """How many were mended, and what is wrong with the others."""
    try:
        faults = WAYS[way](company, [one.filename for one in some])
    except ObjectError as error:
        return 0, [str(error)]
    well = [one for one in some if one.filename not in faults]
    Difference.objects.filter(pk__in=[one.pk for one in well]).update(repaired_at=db_now())
    Event.record(well, "", "repaired", reason, {"by": way})
    return len(well), [f"{one.filename}: {faults[one.filename]}" for one in some if one not in well]


def _faults(done: loading.Loaded | uploading.Uploaded) -> dict[str, str]:
    return {one.file: one.reason for one in done.faults}
