"""What a person does to devices, to people to look up, and to their tasks."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from devices.models import Device
from orchestrator_site.clock import db_now
from orchestrator_site.verbs import Verb, offer
from queues import endings, jobs, moving, priorities, settling
from queues.mirror import retrying
from queues.models import (
    DistributionConfig,
    Job,
    MirrorChange,
    NbcRecord,
    QueueEntry,
    SetAside,
    WebhookDelivery,
    WebhookEndpoint,
)
from queues.webhook_verbs import DELIVERY_VERBS, ENDPOINT_VERBS

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
        lambda device: device.status == Service.IN_SERVICE,  # as undoing it leaves it
        icon="hourglass_bottom",
        undo="restore",
    ),
    Verb(
        "quarantine",
        _("Quarantine"),
        _("The device gets no new task until somebody restores it. One under way goes on."),
        Device.quarantine,
        lambda device: device.status != Service.QUARANTINED,
        icon="block",
        undo="restore",
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
    Verb(
        "move",
        _("Move to another generator"),
        _(
            "The task ends before its scraper is called, without an attempt counted. The person"
            " waits for a device and a place in the share of the generator that you choose."
        ),
        moving.move_task,
        lambda entry: entry.status == QueueEntry.WAITING and entry.called_at is None,
        icon="swap_horiz",
        argument=moving.ANOTHER,
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
        undo="retry",
    ),
    Verb(
        "retry",
        _("Try again"),
        _("The person waits again, with all attempts."),
        NbcRecord.retry,
        lambda person: person.status in (Person.FAILED, Person.CANCELLED),
        icon="replay",
        undo="cancel",
    ),
    Verb(
        "now",
        _("Do not wait for midnight"),
        _("The person is assigned as soon as there is a device, and may be turned away again."),
        NbcRecord.hurry,
        lambda person: person.status == Person.AFTER_MIDNIGHT,
        icon="bolt",
    ),
    Verb(
        "move",
        _("Choose the generator"),
        _(
            "The next round gives the person to that generator, without waiting for its turn. Where"
            " it has no share, no place left in the batch, or no device, the person waits for it."
        ),
        moving.choose,
        lambda person: person.status in (Person.PENDING, Person.AFTER_MIDNIGHT),
        icon="swap_horiz",
        argument=moving.WANTED,
        undo="move",
    ),
    Verb(
        "priority",
        _("Change the priority"),
        _("People with a higher priority are assigned first."),
        priorities.put,
        lambda person: person.status in (Person.PENDING, Person.AFTER_MIDNIGHT),
        icon="low_priority",
        argument=priorities.PRIORITY,
        undo="priority",
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
        "priority",
        _("Change the priority"),
        _("Of an organisation's jobs that wait, those with a higher priority go first."),
        jobs.put,
        lambda job: job.status in (OfJob.QUEUED, OfJob.HELD),
        icon="low_priority",
        argument=priorities.PRIORITY,
        undo="priority",
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


def offer_all() -> None:
    offer("device", Device, *DEVICE_VERBS)
    offer("imss", QueueEntry, *ENTRY_VERBS)
    offer("job", Job, *JOB_VERBS)
    offer("person", NbcRecord, *PERSON_VERBS)
    offer("mirror-change", MirrorChange, *CHANGE_VERBS)
    offer("set-aside", SetAside, *SET_ASIDE_VERBS)
    offer("webhook", WebhookEndpoint, *ENDPOINT_VERBS)
    offer("webhook-message", WebhookDelivery, *DELIVERY_VERBS)
