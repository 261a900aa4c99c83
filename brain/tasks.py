"""What the django-q2 cluster `brain` calls."""

from __future__ import annotations

from brain import assigning, cycles, probing, reconciling, sessions, signing
from brain.assigning import DISTRIBUTION
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.sessions import me, run_leased
from orchestrator_site.stopping import Stop, note_for
from queues.models import NbcRecord


def session() -> bool:
    """The brain's loop for some minutes; at once done where another session has the lease."""
    with acting_as(ActorKind.BRAIN, me("brain")):
        return run_leased("brain", cycles.step, Stop(note_for("brain")))


def distribution_session() -> bool:
    """The distributor's loop, in the same way."""
    with acting_as(ActorKind.BRAIN, me(DISTRIBUTION)):
        return run_leased(
            DISTRIBUTION,
            lambda _stopped: assigning.step(),
            Stop(note_for("brain")),
            channel=NbcRecord._meta.db_table,
        )


def cycle_now(site_id: str = "") -> str:
    """One cycle at once, whatever the interval: what "Run now" rings for."""
    with acting_as(ActorKind.BRAIN, me("brain")):
        return str(cycles.run_cycle([site_id] if site_id else []))


def reconcile() -> dict[str, int]:
    """Compare the ledger with the origin; the differences are for staff to see."""
    with acting_as(ActorKind.BRAIN, me("brain")):
        return reconciling.run().counts()


def keep_sessions() -> dict[str, int]:
    """What time does to the sessions of organisations' users; ask whether those still live that
    are due; say again to workers which keys are revoked."""
    with acting_as(ActorKind.SYSTEM, "sessions"):
        kept = sessions.keep()
        signing.tell_revoked()
        return kept | probing.probe_due()
