"""What a person does to files of the registry, to differences, and to verifications."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from orchestrator_site.models import Event
from orchestrator_site.verbs import Verb, offer
from postprocessing import asking, repairing
from postprocessing.models import Difference, S3File, Verification

MENDED = [kind for kind, repair in Difference.REPAIRS.items() if repair != Difference.Repair.NONE]


def _retry(row: S3File, reason: str) -> bool:
    moved = row.move(S3File.Status.PENDING, reason)
    if moved:
        asking.upload(row.pk)
    return moved


def _repair(row: Difference, reason: str) -> bool:
    return bool(repairing.repair([row], reason))


def _repair_all(row: Verification, reason: str) -> bool:
    """In the cluster: thousands of files may be missing."""
    Event.record([row], "", "repair asked for", reason)
    asking.repair(row.pk, reason)
    return True


def _can_be_repaired(row: Verification) -> bool:
    return row.differences.filter(kind__in=MENDED, repaired_at=None).exists()


S3_FILE_VERBS = (
    Verb(
        "retry",
        _("Upload again"),
        _("The file is sent once more, within seconds. An object that is there is replaced."),
        _retry,
        lambda row: row.status != S3File.Status.PENDING,
        icon="replay",
    ),
)

DIFFERENCE_VERBS = (
    Verb(
        "repair",
        _("Repair"),
        _("The file is loaded, uploaded or registered, as its kind of difference needs."),
        _repair,
        lambda row: row.repaired_at is None and row.repair != Difference.Repair.NONE,
        icon="build",
    ),
)

VERIFICATION_VERBS = (
    Verb(
        "repair_all",
        _("Repair all"),
        _(
            "What can be mended is, within seconds: files are loaded, uploaded, registered. Then"
            " all is compared again."
        ),
        _repair_all,
        _can_be_repaired,
        icon="build",
    ),
)


def offer_all() -> None:
    offer("s3-file", S3File, *S3_FILE_VERBS)
    offer("difference", Difference, *DIFFERENCE_VERBS)
    mend = "postprocessing.operate_difference"
    offer("verification", Verification, *VERIFICATION_VERBS, permission=mend)
