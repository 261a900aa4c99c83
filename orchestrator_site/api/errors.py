"""Every error in one shape."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from axes.helpers import get_lockout_message
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import exception_handler as drf_exception_handler
from rest_framework.views import set_rollback

API = "/api/"
logger = logging.getLogger(__name__)
ROW = api_settings.NON_FIELD_ERRORS_KEY  # where no one field is wrong


class TooLarge(exceptions.APIException):
    """More than a request may bring along."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = _("The body is too large.")


class Conflict(exceptions.APIException):
    """The verb does not fit the row's present state: somebody was first, or it makes no sense."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = _("The row has moved on.")


class Declined(exceptions.APIException):
    """What was asked was understood, and is refused; `code` says why, for programs."""

    def __init__(
        self,
        code: str,
        message: str,
        status_code: int = status.HTTP_409_CONFLICT,
        fields: Mapping[str, list[str]] | None = None,
    ) -> None:
        super().__init__(message)
        self.default_code = code
        self.status_code = status_code
        self.fields = dict(fields or {})


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every error as `{"error": {"code", "message", "fields"?}}`."""
    error = _known(error)
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    set_rollback()
    response.data = {"error": _problem(error, response)}
    return response


def answer(code: str, message: str, status_code: int) -> JsonResponse:
    """An error outside of the API's views, in the same shape."""
    return JsonResponse({"error": {"code": code, "message": message}}, status=status_code)


def locked_out(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """Too many failed logins: told to scripts in the API's shape, to people by axes."""
    if request.path.startswith(API):
        text = _("Too many failed logins: try again in a quarter of an hour.")
        return answer("locked_out", str(text), status.HTTP_429_TOO_MANY_REQUESTS)
    return HttpResponse(get_lockout_message(), status=status.HTTP_429_TOO_MANY_REQUESTS)


def _known(error: Exception) -> Exception:
    """Django's errors as the API's; any other one as it is."""
    if isinstance(error, DjangoValidationError):
        return exceptions.ValidationError(detail=serializers.as_serializer_error(error))
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, RequestDataTooBig):
        return TooLarge()
    if isinstance(error, exceptions.ParseError) and isinstance(error.__context__, ValueError):
        return exceptions.ParseError(_not_json(error.__context__))
    if isinstance(error, RecursionError):
        logger.warning("too deep for us", exc_info=error)
        return exceptions.ParseError(_("The JSON is nested too deep."))
    if isinstance(error, ProtectedError):
        return Conflict(_("Other rows need this one: it stays."))
    if isinstance(error, IntegrityError):
        logger.warning("the database refused: %s", error)
        return Conflict(_("This is there already, or does not fit what is there."))
    return error


def _problem(error: Exception, response: Response) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        detail = response.data if isinstance(response.data, dict) else {"": response.data}
        return {
            "code": "invalid",
            "message": str(_("Some fields are not valid.")),
            "fields": {
                ROW if name == NON_FIELD_ERRORS else name: list(_texts(value))
                for name, value in detail.items()
            },
        }
    code = getattr(error, "default_code", "error")
    detail = response.data.get("detail", "") if isinstance(response.data, dict) else response.data
    fields = getattr(error, "fields", None)
    return {"code": code, "message": str(detail)} | ({"fields": fields} if fields else {})


def _texts(value: Any, place: str = "") -> Iterator[str]:
    """What is wrong with a field, however deep in it: `good: G_IAD: ...`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{place}{name}: ")
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, place)
    else:
        yield f"{place}{value}"


def _not_json(error: ValueError) -> Any:
    """In the reader's language: the parser knows English only."""
    if not isinstance(error, json.JSONDecodeError):
        return _("This is not JSON: it is not in UTF-8, or holds NaN or Infinity.")
    told = _("This is not JSON: see line %(line)d, character %(column)d.")
    return told % {"line": error.lineno, "column": error.colno}
