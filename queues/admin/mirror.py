"""What the mirror still has to tell Mongo, and what of Mongo could not be taken in."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from orchestrator_site.admin import VerbAdmin, badge, moment
from orchestrator_site.cells import brief
from orchestrator_site.sentences import told
from queues.admin.lists import LongListAdmin
from queues.mirror import standing
from queues.mirror.kinds import KINDS, NBC
from queues.models import MirrorChange, SetAside
from queues.verbs import CHANGE_VERBS, SET_ASIDE_VERBS


class MirrorAdmin(VerbAdmin, LongListAdmin):
    """How the mirror fares stands above its lists."""

    list_before_template = "admin/mirror/standing.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "mirror": standing.current()}
        return super().changelist_view(request, context)


class KindFilter(admin.SimpleListFilter):
    """Of the kinds that there are: the rows, of which there may be millions, are not asked."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, name) for name in sorted(KINDS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class AsideFilter(admin.SimpleListFilter):
    title = _("set aside")
    parameter_name = "aside"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Set aside")), ("no", _("To be told"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in ("yes", "no"):
            return queryset.filter(set_aside_at__isnull=self.value() == "no")
        return queryset


@admin.register(MirrorChange)
class MirrorChangeAdmin(MirrorAdmin):
    verbs = CHANGE_VERBS
    list_display = ("key", "kind", "changed", "state", "problem")
    list_filter = (AsideFilter, KindFilter)
    search_fields = ("key", "error")
    ordering = ("-id",)
    fields = ("kind", "key", "changed", "state", "error")
    readonly_fields = ("changed", "state")

    @display(description=_("changed"), ordering="at")
    def changed(self, row: MirrorChange) -> SafeString:
        return moment(row.at)

    @display(description=_("set aside"), ordering="set_aside_at")
    def state(self, row: MirrorChange) -> SafeString:
        if row.set_aside_at is None:
            return badge("open", _("To be told"), "wait")
        words = badge("aside", _("Set aside"), "bad")
        return format_html('<span class="nowrap">{} {}</span>', words, moment(row.set_aside_at))

    @display(description=_("error"))
    def problem(self, row: MirrorChange) -> SafeString:
        return brief(row.error)


@admin.register(SetAside)
class SetAsideAdmin(MirrorAdmin):
    verbs = SET_ASIDE_VERBS
    list_display = ("document", "collection", "why", "part", "first_seen", "last_seen")
    list_filter = ("collection",)
    search_fields = ("document", "reason", "excerpt")
    fields = ("collection", "document", "reason_told", "excerpt", "mark", "first_seen", "last_seen")
    readonly_fields = ("reason_told", "mark", "first_seen", "last_seen")

    def verb_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """What is read again is no more on the list, and has no page to go back to."""
        answer = super().verb_view(request, object_id, name)
        is_done = isinstance(answer, HttpResponseRedirect)
        if is_done and not SetAside.objects.filter(pk=object_id).exists():
            return HttpResponseRedirect(reverse("admin:queues_setaside_changelist"))
        return answer

    @display(description=_("reason"))
    def why(self, row: SetAside) -> SafeString:
        return brief(told(row.reason))

    @display(description=_("reason"))
    def reason_told(self, row: SetAside) -> str:
        return told(row.reason)

    @display(description=_("marked in Mongo"))
    def mark(self, row: SetAside) -> str:
        """People's documents alone: all others are looked at again anyway."""
        if row.collection != NBC[1]:
            return "-"
        return str(_("Yes") if row.is_marked else _("No"))

    @display(description=_("excerpt"))
    def part(self, row: SetAside) -> SafeString:
        return brief(row.excerpt)

    @display(description=_("first seen"), ordering="first_seen_at")
    def first_seen(self, row: SetAside) -> SafeString:
        return moment(row.first_seen_at)

    @display(description=_("last seen"), ordering="last_seen_at")
    def last_seen(self, row: SetAside) -> SafeString:
        return moment(row.last_seen_at)
