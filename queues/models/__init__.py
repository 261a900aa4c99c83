"""The queues' rows."""

from queues.models.base import LeasedTask
from queues.models.evidence import EvidenceFile
from queues.models.generator import DistributionConfig, Endpoint, Generator, ShareChange
from queues.models.imss import NbcRecord, QueueEntry, RegistroWork
from queues.models.mirror import MirrorChange, MirrorState, SetAside
from queues.models.tramite import TramiteTask

__all__ = [
    "DistributionConfig",
    "Endpoint",
    "EvidenceFile",
    "Generator",
    "LeasedTask",
    "MirrorChange",
    "MirrorState",
    "NbcRecord",
    "QueueEntry",
    "RegistroWork",
    "SetAside",
    "ShareChange",
    "TramiteTask",
]
