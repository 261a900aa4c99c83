"""What scrapers may do, and nobody needs a role for."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework.request import Request

from orchestrator_site.api.access import RolePermission

REPORT = "queues.report_registrowork"
OPERATE_DEVICES = "devices.operate_device"


class MayReport(RolePermission):
    """Any of these permissions will do; a key must have more than the scope to read."""

    any_of: ClassVar[tuple[str, ...]] = (REPORT,)

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user or not user.is_authenticated or not self.in_scope(request, [OPERATE_DEVICES]):
            return False
        return any(user.has_perm(permission) for permission in self.any_of)


class MayBeat(MayReport):
    any_of = (REPORT, OPERATE_DEVICES)
