"""Where scrapers report: a key, a signature over the body, and a result that counts once."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.authentication import get_authorization_header
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator_site.api.access import ApiKeyAuthentication
from orchestrator_site.api.errors import Conflict, TooLarge
from orchestrator_site.api.views import ErrorSerializer
from orchestrator_site.models import Event
from queues import results
from queues.api.access import MayReport
from queues.api.serializers import ReportSerializer, TakenSerializer
from queues.models import QueueEntry

MOST = 2**20  # bytes of a result
SIGNATURE = "X-Signature"


class WrongSignature(exceptions.PermissionDenied):
    default_code = "wrong_signature"


class ResultView(APIView):
    """Not throttled: a result that is turned away would cost the person an attempt."""

    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayReport]
    parser_classes = [JSONParser]
    throttle_classes = ()

    @extend_schema(
        operation_id="queue_entries_result",
        request=ReportSerializer,
        parameters=[
            OpenApiParameter(
                SIGNATURE,
                location=OpenApiParameter.HEADER,
                required=True,
                description="`sha256=` and the HMAC-SHA256 of the body, in hexadecimal digits,"
                " made with the API key of this request.",
            )
        ],
        responses={200: TakenSerializer}
        | dict.fromkeys((400, 401, 403, 404, 409, 413), ErrorSerializer),
    )
    def post(self, request: Request, document_id: str) -> Response:
        """Report a task's result. The same result may be sent again; another one, or one for a
        task that has ended otherwise, is answered 409 and written down."""
        try:
            report = _signed(request)
            report.is_valid(raise_exception=True)
        except exceptions.APIException as error:
            _note(document_id, error)
            raise
        return _taken(document_id, report)


def _signed(request: Request) -> ReportSerializer:
    """What was sent. Raises TooLarge before any of it is read, WrongSignature, ParseError."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > MOST:
        text = _("A result has at most %(most)d bytes; this one has %(length)s.")
        raise TooLarge(text % {"most": MOST, "length": length})
    key = get_authorization_header(request).partition(b" ")[2].strip()
    expected = "sha256=" + hmac.new(key, request.body, hashlib.sha256).hexdigest()
    given = request.headers.get(SIGNATURE, "")
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise WrongSignature(_("The signature does not fit the body and the key."))
    return ReportSerializer(data=request.data)


def _taken(document_id: str, given: ReportSerializer) -> Response:
    try:
        is_new = results.take_in(document_id, given.report)
    except QueueEntry.DoesNotExist as error:
        raise exceptions.NotFound from error
    except results.MovedOn as error:
        raise Conflict(str(error)) from error
    told = {
        "status": "settled" if is_new else "repeated",
        "document_id": document_id,
        "condition": given.report.condition,
    }
    return Response(TakenSerializer(told).data)


def _note(document_id: str, error: exceptions.APIException) -> None:
    """On the task, where staff look; what it names is not there to be written on otherwise."""
    entry = QueueEntry.objects.filter(document_id=document_id).first()
    if entry is None:
        return
    told = {
        WrongSignature: "a result with a wrong signature was refused",
        TooLarge: "a result that is too large was refused",
    }
    words = told.get(type(error), "a result that is not valid was refused")
    data: dict[str, Any] = {"problem": error.detail}
    Event.record([entry], entry.status, entry.status, words, data)
