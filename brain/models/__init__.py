"""The brain's rows."""

from brain.models.authorisation import ClientAuthorisation
from brain.models.claim import Claim
from brain.models.cycle import Cycle
from brain.models.decision import Decision, DistributionBatch
from brain.models.flow import Flow
from brain.models.motivo import Motivo
from brain.models.organismo import Organismo
from brain.models.reconciliation import Reconciliation
from brain.origin import RecursosExp

__all__ = [
    "Claim",
    "ClientAuthorisation",
    "Cycle",
    "Decision",
    "DistributionBatch",
    "Flow",
    "Motivo",
    "Organismo",
    "Reconciliation",
    "RecursosExp",
]
