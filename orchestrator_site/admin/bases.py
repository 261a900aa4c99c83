"""The admins' bases: read-only rows, and verbs with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote_plus, urlencode

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orchestrator_site import sentences, verbs
from orchestrator_site.admin import confirming
from orchestrator_site.admin.confirming import Asked
from orchestrator_site.models import Event
from orchestrator_site.verbs import Text, Verb


def sentence(name: str, title: Text) -> Callable[[Any, Any], str]:
    """For a row's page: the stored sentence of a field, whole, in the reader's language."""

    @display(description=title, ordering=name)
    def told(admin: Any, row: Any) -> str:
        return sentences.told(getattr(row, name)) or "-"

    return told


class ReadOnlyAdmin(ModelAdmin):
    """Rows that a machine writes: to be looked at. `made_by` says how they come in."""

    list_per_page = 50
    show_full_result_count = False
    made_by: Text = _("Nobody enters these by hand: the machine writes them.")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """No role would do: who asks for the page is told the way."""
        if not self.has_add_permission(request):
            raise PermissionDenied(self.made_by)
        return super().add_view(request, form_url, extra_context)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        events = Event.objects.filter(**self._events_of(object_id))
        context = {**(extra_context or {}), "show_history": events.exists()}
        return super().changeform_view(request, object_id, form_url, context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What happened to the row is told by its events."""
        url = reverse("admin:orchestrator_site_event_changelist")
        return HttpResponseRedirect(f"{url}?{urlencode(self._events_of(object_id))}")

    def _events_of(self, object_id: str | None) -> dict[str, str]:
        kind = self.opts.concrete_model._meta.label_lower
        return {"object_type": kind, "object_id": unquote(object_id or "")}


class VerbAdmin(ModelAdmin):
    """An admin with `verbs`: as actions on the list and as buttons on the row's page."""

    verbs: Sequence[Verb] = ()
    change_form_template = "admin/verbs_change_form.html"

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(verbs.operate_permission(self.model))

    def _get_base_actions(self) -> list[Any]:
        offered = [_action(verb) for verb in self.verbs]
        return [
            *super()._get_base_actions(),
            *((function, name, label) for function, name, label in offered),
        ]

    def get_urls(self) -> list[URLPattern]:
        meta = self.opts
        one = path(
            "<path:object_id>/verb/<slug:name>/",
            self.admin_site.admin_view(self.verb_view),
            name=f"{meta.app_label}_{meta.model_name}_verb",
        )
        return [one, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        buttons = self.fitting(row) if row and self.has_operate_permission(request) else []
        context = {**(extra_context or {}), "verbs": buttons}
        return super().change_view(request, object_id, form_url, context)

    def fitting(self, row: Any) -> list[Verb]:
        return [verb for verb in self.verbs if verb.fits(row)]

    def verb_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """One verb on one row: asks, then does."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        verb = next((one for one in self.verbs if one.name == name), None)
        row = self.get_object(request, object_id)
        if verb is None or row is None:
            raise Http404
        rows = self.model._default_manager.filter(pk=row.pk)
        return self.confirm(request, verb, rows) or HttpResponseRedirect(self._page(object_id))

    def confirm(self, request: HttpRequest, verb: Verb, rows: QuerySet[Any]) -> HttpResponse | None:
        """Ask for the reason; with it, do the verb and tell how it went (None: done)."""
        few = list(rows[:2])
        only = few[0] if len(few) == 1 else None
        now = verb.argument.of(only) if verb.argument and only else ""
        asked = Asked.of(request, verb, now)
        if not asked.is_settled:
            return self._ask(request, verb, rows, asked)
        if only is not None:
            confirming.one(request, verb, only, asked)
            return None
        if not verb.in_background or verbs.offer_of(self.model) is None:
            confirming.some(request, verb, rows, asked)
            return None
        told = unquote_plus(request.GET.urlencode()) if _is_for_all(request) else ""
        return confirming.many(request, verb, rows, asked, told)

    def _ask(
        self, request: HttpRequest, verb: Verb, rows: QuerySet[Any], asked: Asked
    ) -> HttpResponse:
        match = request.resolver_match
        object_id = match.kwargs.get("object_id") if match else None
        context = {
            **self.admin_site.each_context(request),
            **confirming.about(verb, rows, asked),
            "opts": self.opts,
            "back": self._page(object_id) if object_id else request.get_full_path(),
            "selected": request.POST.getlist("_selected_action"),
            "action": request.POST.get("action", ""),
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/verb_confirmation.html", context)

    def _page(self, object_id: str) -> str:
        meta = self.opts
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[object_id])


def _is_for_all(request: HttpRequest) -> bool:
    """Whether it is for all rows that the list's filter lets through."""
    return request.POST.get("select_across", "0") == "1"


def _action(verb: Verb) -> tuple[Callable[..., Any], str, Any]:
    def act(
        model_admin: VerbAdmin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return model_admin.confirm(request, verb, queryset)

    act.__name__ = verb.name
    act.short_description = verb.label  # type: ignore[attr-defined]
    act.allowed_permissions = ["operate"]  # type: ignore[attr-defined]
    return act, verb.name, verb.label
