"""Every error in one shape."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler
from rest_framework.views import set_rollback


class Conflict(exceptions.APIException):
    """The verb does not fit the row's present state: somebody was first, or it makes no sense."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = _("The row has moved on.")


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every error as `{"error": {"code", "message", "fields"?}}`."""
    if isinstance(error, DjangoValidationError):
        error = exceptions.ValidationError(detail=serializers.as_serializer_error(error))
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    set_rollback()
    response.data = {"error": _problem(error, response)}
    return response


def _problem(error: Exception, response: Response) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        detail = response.data if isinstance(response.data, dict) else {"": response.data}
        return {
            "code": "invalid",
            "message": str(_("Some fields are not valid.")),
            "fields": {
                name: [str(one) for one in _listed(value)] for name, value in detail.items()
            },
        }
    code = getattr(error, "default_code", "error")
    detail = response.data.get("detail", "") if isinstance(response.data, dict) else response.data
    return {"code": code, "message": str(detail)}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
