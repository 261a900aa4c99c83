"""What the mirror still has to tell Mongo, and what of Mongo could not be taken in, over HTTP."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers, viewsets

from orchestrator_site.api.views import ReadOnlyViewSet, with_verbs
from queues.models import MirrorChange, SetAside
from queues.verbs import CHANGE_VERBS, SET_ASIDE_VERBS


class MirrorChangeSerializer(serializers.ModelSerializer[MirrorChange]):
    class Meta:
        model = MirrorChange
        fields = ("id", "kind", "key", "at", "error", "set_aside_at")


class SetAsideSerializer(serializers.ModelSerializer[SetAside]):
    class Meta:
        model = SetAside
        fields = (
            "id",
            "collection",
            "document",
            "reason",
            "excerpt",
            "is_marked",
            "first_seen_at",
            "last_seen_at",
        )


@with_verbs(*CHANGE_VERBS)
class MirrorChangeViewSet(ReadOnlyViewSet):
    """`?set_aside_at__isnull=false`: those that Mongo could not take."""

    queryset = MirrorChange.objects.all()
    serializer_class = MirrorChangeSerializer
    filterset_fields = {"kind": ["exact"], "key": ["exact"], "set_aside_at": ["isnull"]}


@with_verbs(*SET_ASIDE_VERBS)
class SetAsideViewSet(ReadOnlyViewSet):
    """A document that is read again is no more among them; the answer shows it as it was."""

    queryset = SetAside.objects.all()
    serializer_class = SetAsideSerializer
    filterset_fields = ("collection", "document", "is_marked")


MIRROR_ROUTES: dict[str, type[viewsets.GenericViewSet[Any]]] = {
    "mirror-changes": MirrorChangeViewSet,
    "set-aside": SetAsideViewSet,
}
