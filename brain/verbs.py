"""What a person does to appeals, claims, and what the brain goes by."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from brain import (
    enqueuing,
    flowing,
    holding,
    probing,
    reconciling,
    repairing,
    sessions,
    shares,
    signing,
)
from brain.models import Claim, ConnectedProvider, Flow, Organismo, Reconciliation, SigningKey
from orchestrator_site.models import Event
from orchestrator_site.verbs import Refused, Verb, offer
from queues import doorbell, priorities
from queues.models import Generator, TramiteTask

Task = TramiteTask.Status


def _rerun(task: TramiteTask, reason: str) -> bool:
    enqueuing.rerun(task, reason)
    return True


def _give_back(task: TramiteTask, reason: str) -> bool:
    if task.intent_at is not None:
        raise Refused(_("The irrevocable step has begun: wait for its end, then decide."))
    return task.give_back(reason)


def _pause(organismo: Organismo, reason: str) -> bool:
    return _switch(organismo, True, reason)


def _resume(organismo: Organismo, reason: str) -> bool:
    return _switch(organismo, False, reason)


def _switch(organismo: Organismo, paused: bool, reason: str) -> bool:
    rows = Organismo.objects.filter(pk=organismo.pk, paused=not paused)
    if not rows.update(paused=paused):
        return False
    old, new = ("running", "paused") if paused else ("paused", "running")
    Event.record([organismo], old, new, reason)
    return True


def _run_now(organismo: Organismo, reason: str) -> bool:
    doorbell.ring("brain", "brain.tasks.cycle_now", organismo.site_id)
    Event.record([organismo], "", "run asked for", reason)
    return True


def _probe(connection: ConnectedProvider, reason: str) -> bool:
    probing.probe(connection)
    return True


def _enable(generator: Generator, reason: str) -> bool:
    return shares.switch(generator, True, reason)


def _disable(generator: Generator, reason: str) -> bool:
    return shares.switch(generator, False, reason)


def _close_breakers(generator: Generator, reason: str) -> bool:
    closed = [endpoint.close_breaker(reason) for endpoint in generator.endpoints.all()]
    return any(closed)


TASK_VERBS = (
    Verb(
        "authorise",
        _("Authorise"),
        _("The appeal goes into the queue and will be sent."),
        holding.authorise,
        lambda task: task.status == Task.HELD,
        icon="check_circle",
        undo="hold",
    ),
    Verb(
        "reject",
        _("Reject"),
        _("The appeal ends without being sent. Its claim stays until it is released."),
        TramiteTask.reject,
        lambda task: task.status == Task.HELD,
        icon="cancel",
        is_dangerous=True,
    ),
    Verb(
        "hold",
        _("Hold"),
        _("No worker takes the appeal until somebody authorises it."),
        TramiteTask.hold,
        lambda task: task.status == Task.PENDING,
        icon="pause_circle",
        undo="authorise",
    ),
    Verb(
        "cancel",
        _("Cancel"),
        _("The appeal ends without being sent. Its claim stays until it is released."),
        TramiteTask.cancel,
        lambda task: task.status == Task.PENDING,
        icon="cancel",
        is_dangerous=True,
    ),
    Verb(
        "give_back",
        _("Give back"),
        _(
            "The appeal is taken from its worker, which changes nothing any more, and goes back"
            " into the queue without an attempt counted. Refused once the irrevocable step has"
            " begun."
        ),
        _give_back,
        lambda task: task.status == Task.PROCESSING,
        icon="undo",
        is_dangerous=True,
    ),
    Verb(
        "priority",
        _("Change the priority"),
        _("Appeals with a higher priority are filed first."),
        priorities.put,
        lambda task: task.status in (Task.PENDING, Task.HELD),
        icon="low_priority",
        argument=priorities.PRIORITY,
        undo="priority",
    ),
    Verb(
        "confirm_sent",
        _("It was sent"),
        _("The appeal counts as sent, its receipt as missing. It is not sent again."),
        TramiteTask.confirm_sent,
        lambda task: task.status == Task.IN_DOUBT,
        icon="mark_email_read",
    ),
    Verb(
        "confirm_not_sent",
        _("It was not sent: send it"),
        _("The appeal goes back into the queue and WILL be sent. Look at the site first."),
        TramiteTask.confirm_not_sent,
        lambda task: task.status == Task.IN_DOUBT,
        icon="replay",
        is_dangerous=True,
    ),
    Verb(
        "rerun",
        _("Run again"),
        _("A new task files the appeal once more, even where it was sent before."),
        _rerun,
        lambda task: task.status in TramiteTask.FINAL,
        icon="replay",
        is_dangerous=True,
    ),
)

CLAIM_VERBS = (
    Verb(
        "release",
        _("Give back"),
        _("The case becomes free in the origin again, and its waiting task is cancelled."),
        reconciling.release,
        lambda claim: claim.status in (*Claim.OURS, Claim.Status.UNPROVEN),
        icon="undo",
        is_dangerous=True,
    ),
)

ORGANISMO_VERBS = (
    Verb(
        "pause",
        _("Pause"),
        _("The brain claims nothing more for it. What is queued goes on."),
        _pause,
        lambda organismo: not organismo.paused,
        icon="pause_circle",
        undo="resume",
    ),
    Verb(
        "resume",
        _("Resume"),
        _("The brain claims for it again from the next cycle on."),
        _resume,
        lambda organismo: organismo.paused,
        icon="play_circle",
        undo="pause",
    ),
    Verb(
        "run_now",
        _("Run now"),
        _("The brain visits it at once, whatever the interval."),
        _run_now,
        lambda organismo: organismo.active and not organismo.paused,
        icon="bolt",
    ),
)

FLOW_VERBS = (
    Verb(
        "activate",
        _("Activate"),
        _("New tasks carry this version from now on; tasks in the queue keep theirs."),
        flowing.activate,
        lambda flow: not flow.active,
        icon="verified",
    ),
    Verb(
        "approve",
        _("Approve"),
        _("The version may be activated. Its author cannot approve it."),
        flowing.approve,
        lambda flow: flow.organisation_id is not None and flow.approved_at is None,
        icon="thumb_up",
    ),
    Verb(
        "rollback",
        _("Back to the version before"),
        _("The version that was active before this one is active again."),
        flowing.rollback,
        lambda flow: flow.active and flowing.previous(flow) is not None,
        icon="undo",
        is_dangerous=True,
    ),
)

CONNECTION_VERBS = (
    Verb(
        "disconnect",
        _("Disconnect"),
        _("Its cookies are forgotten. Jobs that want it wait until its user connects anew."),
        sessions.disconnect,
        lambda row: row.status != ConnectedProvider.Status.DISCONNECTED,
        icon="link_off",
        is_dangerous=True,
    ),
    Verb(
        "probe",
        _("Probe now"),
        _("The provider is asked with its cookies whether the session lives."),
        _probe,
        lambda row: row.status == ConnectedProvider.Status.ACTIVE and bool(row.provider.probe_url),
        icon="network_check",
    ),
)

GENERATOR_VERBS = (
    Verb(
        "enable",
        _("Enable"),
        _("The generator gets people again, by its share."),
        _enable,
        lambda generator: not generator.enabled,
        icon="play_circle",
        undo="disable",
    ),
    Verb(
        "disable",
        _("Disable"),
        _("The generator gets nobody more; others take its part. Its tasks under way go on."),
        _disable,
        lambda generator: generator.enabled,
        icon="pause_circle",
        undo="enable",
    ),
    Verb(
        "close_breakers",
        _("Ask its endpoints again"),
        _("Endpoints that were left alone because nobody answered are asked again at once."),
        _close_breakers,
        lambda generator: any(one.open_until for one in generator.endpoints.all()),
        icon="power",
    ),
)


def offer_all() -> None:
    offer("tramite", TramiteTask, *TASK_VERBS)
    offer("claim", Claim, *CLAIM_VERBS)
    offer("organismo", Organismo, *ORGANISMO_VERBS)
    offer("flow", Flow, *FLOW_VERBS)
    offer("connection", ConnectedProvider, *CONNECTION_VERBS)
    offer("generator", Generator, *GENERATOR_VERBS)
    offer("signing-key", SigningKey, *signing.KEY_VERBS)
    compare = "brain.operate_claim"
    offer("reconciliation", Reconciliation, repairing.REPAIR_ALL, permission=compare)
