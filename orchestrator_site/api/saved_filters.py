"""Saved filters of lists, for staff: one's own and everybody's."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework import mixins, serializers, viewsets
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from orchestrator_site import saved_filters
from orchestrator_site.api.access import RolePermission
from orchestrator_site.api.errors import Conflict
from orchestrator_site.models import ApiKey, SavedFilter


class StaffPermission(RolePermission):
    """For whoever sees lists. They are a person's own: a key that may act may keep them."""

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user or not user.is_authenticated or not user.is_staff:
            return False
        if not isinstance(request.auth, ApiKey) or request.method in SAFE_METHODS:
            return True
        return request.auth.scope != ApiKey.Scope.READ


class SavedFilterSerializer(serializers.ModelSerializer[SavedFilter]):
    """`page`: the list, as `app.model`; `query`: what stands in its address after the `?`."""

    user = serializers.CharField(source="user.username", read_only=True)
    query = serializers.CharField(max_length=10_000)

    class Meta:
        model = SavedFilter
        fields = ("id", "page", "name", "query", "is_shared", "user", "created_at")

    def validate_page(self, page: str) -> str:
        if not saved_filters.may_see(self.context["request"].user, page):
            raise serializers.ValidationError(_("There is no such list for you."))
        return page.lower()

    def validate_query(self, query: str) -> str:
        try:
            kept = saved_filters.kept(query)
        except (saved_filters.TooLong, ValueError) as error:
            told = _("This filter is too long to be saved.")
            raise serializers.ValidationError(told) from error
        if not kept:
            raise serializers.ValidationError(_("This filters by nothing."))
        return kept

    def validate_is_shared(self, is_shared: bool) -> bool:
        if is_shared and not saved_filters.may_share(self.context["request"].user):
            raise serializers.ValidationError(_("Only who may act on something may share."))
        return is_shared


class SavedFilterViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[SavedFilter],
):
    """Filters of the control room's lists under a name."""

    queryset: QuerySet[SavedFilter] = SavedFilter.objects.all()
    serializer_class = SavedFilterSerializer
    permission_classes = (StaffPermission,)
    filterset_fields = ("page", "name", "is_shared")

    def get_queryset(self) -> QuerySet[SavedFilter]:
        """Of lists that the person may see."""
        rows = saved_filters.visible(self.request.user)
        pages = rows.order_by().values_list("page", flat=True).distinct()
        seen = [page for page in pages if saved_filters.may_see(self.request.user, page)]
        return rows.filter(page__in=seen)

    def perform_create(self, serializer: serializers.BaseSerializer[SavedFilter]) -> None:
        """One of this name is changed."""
        values = serializer.validated_data
        try:
            serializer.instance = saved_filters.keep(
                self.request.user,
                values["page"],
                values["name"],
                values["query"],
                values.get("is_shared", False),
            )
        except saved_filters.TooMany as error:
            told = _("You have %d saved filters: delete one first.")
            raise Conflict(told % saved_filters.MOST) from error

    def perform_destroy(self, instance: SavedFilter) -> None:
        if not saved_filters.may_delete(self.request.user, instance):
            raise PermissionDenied
        instance.delete()
