"""A verb on many rows over the API: asked for, followed, stopped, undone, reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiTypes, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator_site import bulk, tenancy
from orchestrator_site.admin.bulk import may_act, model_of, report
from orchestrator_site.api.access import RolePermission
from orchestrator_site.api.errors import Conflict
from orchestrator_site.api.views import LOOKUPS, ErrorSerializer, ReadOnlyViewSet, with_verbs
from orchestrator_site.models import BulkAction
from orchestrator_site.narrowing import NoSuchFilter, narrowed
from orchestrator_site.verbs import OFFERS, InvalidValue, Offer, Refused, Verb, operate_permission

MOST_IDS = 10_000
LOOKED_AT = 200
EXAMPLES = 20
OPERATE = "orchestrator_site.operate_bulkaction"


class BulkActionSerializer(serializers.ModelSerializer[BulkAction]):
    counts = serializers.SerializerMethodField()
    goneThrough = serializers.IntegerField(source="gone_through", read_only=True)
    canBeUndone = serializers.SerializerMethodField()
    undoneBy = serializers.SerializerMethodField()

    class Meta:
        model = BulkAction
        fields = (
            "id",
            "case_id",
            "kind",
            "verb",
            "value",
            "reason",
            "filter",
            "actor_kind",
            "actor",
            "status",
            "total",
            "goneThrough",
            "counts",
            "undoes",
            "undoneBy",
            "canBeUndone",
            "created_at",
            "started_at",
            "ended_at",
        )
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_counts(self, row: BulkAction) -> dict[str, int]:
        return row.counts

    def get_canBeUndone(self, row: BulkAction) -> bool:
        return bulk.can_be_undone(row)

    @extend_schema_field({"type": "integer", "nullable": True})
    def get_undoneBy(self, row: BulkAction) -> int | None:
        return BulkAction.objects.filter(undoes=row).values_list("pk", flat=True).first()


class BulkAskedSerializer(serializers.Serializer[Any]):
    """`ids` as the list of the rows has them, or a `filter` of the rows' own fields, such as
    {"status": "failed", "created_at__lt": "2026-01-01"}; {} is all rows."""

    kind = serializers.CharField(max_length=64)
    verb = serializers.CharField(max_length=64)
    ids = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        allow_empty=False,
        max_length=MOST_IDS,
    )
    filter = serializers.DictField(child=serializers.CharField(max_length=1000), required=False)
    value = serializers.CharField(max_length=200, default="", allow_blank=True)
    reason = serializers.CharField(min_length=3, max_length=1000)
    dry_run = serializers.BooleanField(default=False)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in given) == ("filter" in given):
            raise serializers.ValidationError(_("Give either ids or a filter."))
        offer = OFFERS.get(given["kind"])
        if offer is None or offer.kind == bulk.KIND:
            known = ", ".join(sorted(set(OFFERS) - {bulk.KIND}))
            raise serializers.ValidationError({"kind": [_("One of: %s.") % known]})
        verb = offer.called(given["verb"])
        if verb is None:
            known = ", ".join(one.path for one in offer.verbs)
            raise serializers.ValidationError({"verb": [_("One of: %s.") % known]})
        return {**given, "offer": offer, "verb": verb}


class BulkRehearsalSerializer(serializers.Serializer[Any]):
    """What would be done: `fitting` of the first `looked_at` rows are in a state for it."""

    matches = serializers.IntegerField()
    looked_at = serializers.IntegerField()
    fitting = serializers.IntegerField()
    examples = serializers.ListField(child=serializers.CharField())


class BulkRules(RolePermission):
    """Looking asks for the list's permission; asking for one, for that to act on bulk actions, and
    then for that of its rows. It is for our own staff: the rows are everybody's."""

    def has_permission(self, request: Request, view: Any) -> bool:
        is_ours = tenancy.organisation_of(request.user) is None
        return is_ours and super().has_permission(request, view)

    def needed(self, request: Request, view: Any) -> list[str]:
        return [OPERATE] if view.action == "create" else super().needed(request, view)

    def has_object_permission(self, request: Request, view: Any, row: BulkAction) -> bool:
        if request.method in SAFE_METHODS:
            return True
        model = model_of(row)
        needed = [operate_permission(model)] if model else []
        return may_act(request.user, row) and self.in_scope(request, needed)


@with_verbs(*bulk.BULK_VERBS)
class BulkActionViewSet(ReadOnlyViewSet):
    """Verbs on many rows, done in the background, one after the other."""

    queryset = BulkAction.objects.all()
    serializer_class = BulkActionSerializer
    permission_classes = [BulkRules]
    filterset_fields = ("status", "kind", "verb", "actor", "undoes", "case_id")

    @extend_schema(
        request=BulkAskedSerializer,
        responses={
            200: BulkRehearsalSerializer,
            202: BulkActionSerializer,
            400: ErrorSerializer,
            403: ErrorSerializer,
            404: ErrorSerializer,
            409: ErrorSerializer,
        },
    )
    def create(self, request: Request) -> Response:
        """Ask for a verb on many rows: 202, and the action to follow. With `dry_run` how many rows
        it would be: 200, and nothing is done."""
        given = BulkAskedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        offer, verb = asked["offer"], asked["verb"]
        _check_permission(request, offer)
        rows, told = _rows(offer, asked)
        try:
            bulk.check(offer, verb, asked["value"])
            if asked["dry_run"]:
                return Response(_rehearsed(verb, rows))
            row = bulk.ask(offer, verb, rows, asked["reason"], asked["value"], told)
        except InvalidValue as error:
            raise ValidationError({"value": [str(error)]}) from error
        except Refused as error:
            raise Conflict(str(error)) from error
        bulk.ring()
        return Response(self.get_serializer(row).data, status=202)

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=True, required_permission="orchestrator_site.view_bulkaction")
    def report(self, request: Request, pk: str | None = None) -> StreamingHttpResponse:
        """Each row that was gone through, and what became of it, as CSV."""
        return report(self.get_object())


def _check_permission(request: Request, offer: Offer) -> None:
    needed = operate_permission(offer.model)
    if not (request.user.has_perm(needed) and RolePermission().in_scope(request, [needed])):
        raise PermissionDenied


def _rows(offer: Offer, asked: Mapping[str, Any]) -> tuple[QuerySet[Any], str]:
    """The rows that are meant, and the filter in words."""
    try:
        if "filter" in asked:
            told = ", ".join(f"{name}={value}" for name, value in asked["filter"].items())
            return narrowed(offer.model, asked["filter"]), told
        field = LOOKUPS.get(offer.model, "pk")
        known = offer.model._meta.pk.name if field == "pk" else field
        ids = set(asked["ids"])
        rows = narrowed(offer.model, {f"{known}__in": ",".join(ids)})
    except NoSuchFilter as error:
        name = "filter" if "filter" in asked else "ids"
        raise ValidationError({name: [str(error)]}) from error
    if rows.count() < len(ids):
        raise NotFound(_("Some of these rows are not there."))
    return rows, ""


def _rehearsed(verb: Verb, rows: QuerySet[Any]) -> dict[str, Any]:
    looked_at = list(rows.order_by("pk")[:LOOKED_AT])
    return {
        "matches": rows.count(),
        "looked_at": len(looked_at),
        "fitting": sum(bool(verb.fits(row)) for row in looked_at),
        "examples": [str(row) for row in looked_at[:EXAMPLES]],
    }
