"""The queues' rows."""

from queues.models.base import LeasedTask
from queues.models.evidence import EvidenceFile
from queues.models.generator import DistributionConfig, Endpoint, Generator, ShareChange
from queues.models.imss import NbcRecord, QueueEntry, RegistroWork
from queues.models.job import Job, OrganisationTurn
from queues.models.mirror import MirrorChange, MirrorState, SetAside
from queues.models.tramite import TramiteTask
from queues.models.webhook import WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "DistributionConfig",
    "Endpoint",
    "EvidenceFile",
    "Generator",
    "Job",
    "LeasedTask",
    "MirrorChange",
    "MirrorState",
    "NbcRecord",
    "OrganisationTurn",
    "QueueEntry",
    "RegistroWork",
    "SetAside",
    "ShareChange",
    "TramiteTask",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
]
