"""The admin's ground, and its own rows; the bases are every app's."""

from orchestrator_site.admin import audit as audit
from orchestrator_site.admin import bulk as bulk
from orchestrator_site.admin import maintenance as maintenance
from orchestrator_site.admin import organisations as organisations
from orchestrator_site.admin import rows as rows
from orchestrator_site.admin.access import SuperuserAdmin
from orchestrator_site.admin.bases import ReadOnlyAdmin, VerbAdmin
from orchestrator_site.cells import badge, moment

__all__ = ["ReadOnlyAdmin", "SuperuserAdmin", "VerbAdmin", "badge", "moment"]
