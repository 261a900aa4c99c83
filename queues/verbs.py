"""What a person does to devices, to people to look up, and to their tasks."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from devices.models import Device
from orchestrator_site.clock import db_now
from orchestrator_site.verbs import Verb
from queues import endings, jobs, settling
from queues.mirror import retrying
from queues.models import DistributionConfig, Job, NbcRecord, QueueEntry

Service = Device.Status
Person = NbcRecord.Status
OfJob = Job.Status


def _give_back(entry: QueueEntry, reason: str) -> bool:
    return settling.settle(entry, endings.released(reason, db_now()))


def _is_stuck(device: Device) -> bool:
    before = db_now() - DistributionConfig.current().minutes("stuck")
    return not device.available and Device.objects.stuck(before).filter(pk=device.pk).exists()


DEVICE_VERBS = (
    Verb(
        "release",
        _("Release"),
        _(
            "The device is taken from its task: the task ends, the person waits again, and the"
            " late result will be refused."
        ),
        settling.release,
        lambda device: not device.available,
        icon="lock_open",
        is_dangerous=True,
    ),
    Verb(
        "release_stuck",
        _("Release as stuck"),
        _(
            "As a release, of a device that hangs: where its scraper was called it counts as a"
            " failure of the device's and as an attempt of the person's. The late result will be"
            " refused."
        ),
        settling.release_stuck,
        _is_stuck,
        icon="lock_reset",
        is_dangerous=True,
    ),
    Verb(
        "drain",
        _("Drain"),
        _("The device gets no new task. The one under way goes on."),
        Device.drain,
        lambda device: device.status != Service.DRAINING,
        icon="hourglass_bottom",
    ),
    Verb(
        "quarantine",
        _("Quarantine"),
        _("The device gets no new task until somebody restores it. One under way goes on."),
        Device.quarantine,
        lambda device: device.status != Service.QUARANTINED,
        icon="block",
    ),
    Verb(
        "restore",
        _("Restore"),
        _("The device gets tasks again, and its failures are forgotten."),
        Device.restore,
        lambda device: device.status != Service.IN_SERVICE,
        icon="play_circle",
    ),
)

ENTRY_VERBS = (
    Verb(
        "give_back",
        _("Give back"),
        _(
            "The task ends, its device is free, and the person waits again without an attempt"
            " counted. The late result will be refused."
        ),
        _give_back,
        lambda entry: entry.status in QueueEntry.LIVE,
        icon="undo",
        is_dangerous=True,
    ),
)

PERSON_VERBS = (
    Verb(
        "cancel",
        _("Cancel"),
        _(
            "The person is not looked up. A task under way ends by itself and frees its device;"
            " its result will not count."
        ),
        NbcRecord.cancel,
        lambda person: person.status in NbcRecord.CANCELLABLE,
        icon="cancel",
        is_dangerous=True,
    ),
    Verb(
        "retry",
        _("Try again"),
        _("The person waits again, with all attempts."),
        NbcRecord.retry,
        lambda person: person.status in (Person.FAILED, Person.CANCELLED),
        icon="replay",
    ),
    Verb(
        "now",
        _("Do not wait for midnight"),
        _("The person is assigned as soon as there is a device, and may be turned away again."),
        NbcRecord.hurry,
        lambda person: person.status == Person.AFTER_MIDNIGHT,
        icon="bolt",
    ),
)

JOB_VERBS = (
    Verb(
        "cancel",
        _("Cancel"),
        _(
            "A job that waits ends at once. The browser of one that runs is closed as soon as its"
            " worker hears of it; what it had begun to send goes to a person."
        ),
        jobs.cancel,
        lambda job: job.status in Job.LIVE and job.cancel_asked_at is None,
        icon="cancel",
        is_dangerous=True,
    ),
    Verb(
        "retry",
        _("Try again"),
        _("The job goes back into the queue, with all attempts."),
        jobs.retry,
        lambda job: job.status == OfJob.ERROR,
        icon="replay",
    ),
    Verb(
        "prioritise",
        _("Put first"),
        _("The job goes before the organisation's others that wait."),
        jobs.prioritise,
        lambda job: job.status in (OfJob.QUEUED, OfJob.HELD),
        icon="vertical_align_top",
    ),
    Verb(
        "confirm_done",
        _("It was done"),
        _("The job counts as done. It is not run again."),
        jobs.confirm_done,
        lambda job: job.status == OfJob.IN_DOUBT,
        icon="check_circle",
    ),
    Verb(
        "confirm_not_done",
        _("It was not done: run it"),
        _("The job goes back into the queue and WILL run. Look at the site first."),
        jobs.confirm_not_done,
        lambda job: job.status == OfJob.IN_DOUBT,
        icon="replay",
        is_dangerous=True,
    ),
)

CHANGE_VERBS = (
    Verb(
        "retry",
        _("Try again"),
        _("Mongo is told once more, of the row as it stands by then."),
        retrying.publish_again,
        lambda change: change.set_aside_at is not None,
        icon="replay",
    ),
)

SET_ASIDE_VERBS = (
    Verb(
        "retry",
        _("Read again"),
        _(
            "The mark is taken off the document in Mongo, and it is read again. What is still"
            " wrong in it puts it back here."
        ),
        retrying.read_again,
        lambda row: True,
        icon="replay",
    ),
)
