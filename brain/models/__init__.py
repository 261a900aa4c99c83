"""The brain's rows."""

from brain.models.authorisation import ClientAuthorisation
from brain.models.claim import Claim
from brain.models.cycle import Cycle
from brain.models.decision import Decision, DistributionBatch
from brain.models.flow import Flow
from brain.models.motivo import Motivo
from brain.models.organismo import Organismo
from brain.models.provider import ConnectedProvider, Provider
from brain.models.reconciliation import Reconciliation
from brain.models.signing_key import SigningKey
from brain.origin import RecursosExp

__all__ = [
    "Claim",
    "ClientAuthorisation",
    "ConnectedProvider",
    "Cycle",
    "Decision",
    "DistributionBatch",
    "Flow",
    "Motivo",
    "Organismo",
    "Provider",
    "Reconciliation",
    "RecursosExp",
    "SigningKey",
]
