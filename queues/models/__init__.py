"""The queues' rows."""

from queues.models.base import LeasedTask
from queues.models.evidence import EvidenceFile
from queues.models.tramite import TramiteTask

__all__ = ["EvidenceFile", "LeasedTask", "TramiteTask"]
