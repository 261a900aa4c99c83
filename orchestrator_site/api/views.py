"""View sets with verbs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator_site import tenancy, verbs
from orchestrator_site.api.errors import Conflict
from orchestrator_site.status import StatusModel
from orchestrator_site.verbs import Verb


class ReasonSerializer(serializers.Serializer[Any]):
    """Input of the verbs that take something from somebody."""

    reason = serializers.CharField(min_length=3, max_length=1000)


class OptionalReasonSerializer(serializers.Serializer[Any]):
    """Input of the verbs that people do to what is their own."""

    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class ProblemSerializer(serializers.Serializer[Any]):
    """The one shape of errors."""

    code = serializers.CharField()
    message = serializers.CharField()
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()), required=False
    )


class ErrorSerializer(serializers.Serializer[Any]):
    """Every answer that is an error."""

    error = ProblemSerializer()


class ReadOnlyViewSet(viewsets.ReadOnlyModelViewSet[Any]):
    """Rows that a machine writes: list, filter, read."""

    required_permission: str | None = None


class ModelViewSet(viewsets.ModelViewSet[Any]):
    """Configuration: list, filter, read, write."""

    required_permission: str | None = None


class Tenanted:
    """Of a view set whose rows are organisations': a member has its own, our staff all of them."""

    organisation_path = "organisation"

    def get_queryset(self) -> Any:
        rows = super().get_queryset()  # type: ignore[misc]
        asking = getattr(self.request, "user", None)  # type: ignore[attr-defined]
        return tenancy.visible(rows, asking, self.organisation_path)


ViewSet = TypeVar("ViewSet", bound=type[viewsets.GenericViewSet[Any]])


# The field by which addresses name a row, where it is not its key: known to what acts on many.
LOOKUPS: dict[type[Model], str] = {}


def with_verbs(*declared: Verb) -> Callable[[ViewSet], ViewSet]:
    """Give a view set one endpoint per verb: POST .../{id}/{verb} with a reason. One that says so
    in `reason_class` takes it without."""

    def decorate(viewset: ViewSet) -> ViewSet:
        rows: Any = vars(viewset)["queryset"]
        shown: Any = vars(viewset)["serializer_class"]
        reason: Any = vars(viewset).get("reason_class", ReasonSerializer)
        permission = verbs.operate_permission(rows.model)
        LOOKUPS[rows.model] = viewset.lookup_field
        for verb in declared:
            asked = _with_value(reason, verb, rows.model)
            setattr(viewset, verb.name, _endpoint(verb, permission, shown, asked))
        return viewset

    return decorate


def _with_value(reason: Any, verb: Verb, model: type[Model]) -> Any:
    """The verb's input: the reason, and the value of its argument where it has one."""
    argument = verb.argument
    if argument is None:
        return reason
    told = str(argument.help or argument.label)
    field: serializers.Field[Any, Any, Any, Any] = (
        serializers.IntegerField(min_value=argument.least, max_value=argument.most, help_text=told)
        if argument.is_number
        else serializers.CharField(max_length=200, help_text=told)
    )
    name = f"{model.__name__}{verb.name.title().replace('_', '')}Serializer"
    return type(name, (reason,), {"value": field, "__doc__": f"Input of the verb {verb.path}."})


def _refresh(row: Any) -> None:
    with suppress(ObjectDoesNotExist):  # its verb was the end of it: shown as it was
        row.refresh_from_db()


def _why_not(row: Any) -> str:
    """With the state that the row is in by now, as the API calls it."""
    _refresh(row)
    if not isinstance(row, StatusModel):
        return str(_("The row is not in a state for this (any more)."))
    told = _("The row is “%(state)s”: it is not in a state for this (any more).")
    return str(told % {"state": row.status})


def _endpoint(verb: Verb, permission: str, shown: Any, reason: Any) -> Any:
    def act(
        self: viewsets.GenericViewSet[Any], request: Request, pk: str | None = None
    ) -> Response:
        row = self.get_object()  # first: what is another's is not there, whatever was sent
        given = reason(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        try:
            done = verb.fits(row) and verb.carry_out(
                row, asked["reason"], str(asked.get("value", ""))
            )
        except verbs.InvalidValue as error:
            raise ValidationError({"value": [str(error)]}) from error
        except verbs.Refused as error:
            raise Conflict(str(error)) from error
        if not done:
            raise Conflict(_why_not(row))
        _refresh(row)
        return Response(self.get_serializer(row).data)

    act.__name__ = verb.name
    act.__doc__ = f"{verb.label}. {verb.consequence}"
    routed = action(
        detail=True, methods=["post"], url_path=verb.path, required_permission=permission
    )(act)
    # After the routing, which forgets what was described before it.
    responses = {200: shown, 409: ErrorSerializer}
    if verb.argument:
        responses[400] = ErrorSerializer
    return extend_schema(request=reason, responses=responses)(routed)
