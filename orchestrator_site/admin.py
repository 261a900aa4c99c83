"""The admin's ground: read-only rows, verbs with a reason, badges, and third-party admins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orchestrator_site import verbs
from orchestrator_site.models import ApiKey, Event, Lease, Pause
from orchestrator_site.verbs import Verb

EXAMPLES = 3


class ReadOnlyAdmin(ModelAdmin):
    """Rows that a machine writes: to be looked at."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
        back = reverse(
            f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[object_id]
        )
        rows = self.model._default_manager.filter(pk=row.pk)
        return self.confirm(request, verb, rows) or HttpResponseRedirect(back)

    def confirm(self, request: HttpRequest, verb: Verb, rows: QuerySet[Any]) -> HttpResponse | None:
        """Ask for the reason; with it, do the verb and tell how it went (None: done)."""
        reason = request.POST.get("reason", "").replace("\0", "").strip()
        if request.POST.get("confirmed") and len(reason) >= 3:
            _tell(request, verbs.apply(verb, rows, reason))
            return None
        examples = list(rows[:EXAMPLES])
        context = {
            **self.admin_site.each_context(request),
            "title": verb.label,
            "verb": verb,
            "opts": self.opts,
            "count": rows.count(),
            "examples": examples,
            "missing_reason": bool(request.POST.get("confirmed")),
            "selected": request.POST.getlist("_selected_action"),
            "action": request.POST.get("action", ""),
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/verb_confirmation.html", context)


def _action(verb: Verb) -> tuple[Callable[..., Any], str, Any]:
    def act(
        model_admin: VerbAdmin, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return model_admin.confirm(request, verb, queryset)

    act.__name__ = verb.name
    act.short_description = verb.label  # type: ignore[attr-defined]
    act.allowed_permissions = ["operate"]  # type: ignore[attr-defined]
    return act, verb.name, verb.label


def _tell(request: HttpRequest, tally: verbs.Tally) -> None:
    if tally.done:
        text = ngettext("Done for %(n)d row.", "Done for %(n)d rows.", tally.done)
        messages.success(request, text % {"n": tally.done})
    if tally.moved_on:
        text = ngettext(
            "%(n)d row was left alone: it is not in a state for this (any more).",
            "%(n)d rows were left alone: they are not in a state for this (any more).",
            tally.moved_on,
        )
        messages.warning(request, text % {"n": tally.moved_on})
    for refusal in tally.refused[:EXAMPLES]:
        messages.error(request, refusal)
    if (more := len(tally.refused) - EXAMPLES) > 0:
        messages.error(request, _("%(n)d more were refused.") % {"n": more})


def badge(value: str, text: Any, colour: str) -> SafeString:
    """A state as a coloured word; `colour` is ok, busy, wait, warn, bad or off."""
    return format_html('<span class="state state-{}" title="{}">{}</span>', colour, value, text)


def moment(at: datetime | None) -> SafeString:
    """A time, short, in the reader's zone; the whole of it on hover."""
    if at is None:
        return mark_safe("-")
    local = timezone.localtime(at)
    today = local.date() == timezone.localdate()
    short = local.strftime("%H:%M:%S") if today else date_format(local, "j M H:i")
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        local.strftime("%Y-%m-%d %H:%M:%S %Z"),
        short,
    )


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("when", "object_type", "object_id", "old", "new", "reason", "actor", "case_id")
    list_filter = ("object_type", "new", "actor_kind")
    search_fields = ("=case_id", "=object_id", "reason", "actor")
    date_hierarchy = "at"

    @display(description=_("at"), ordering="at")
    def when(self, row: Event) -> SafeString:
        return moment(row.at)


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "holder", "epoch", "expires_at")


@admin.register(Pause)
class PauseAdmin(ReadOnlyAdmin):
    list_display = ("name", "since", "by", "reason")


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    list_display = ("name", "user", "prefix", "scope", "expires_at", "last_used_at")
    autocomplete_fields = ("user",)
    readonly_fields = ("prefix", "last_used_at")

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """A superuser's key is a superuser's to give."""
        if db_field.name == "user" and not request.user.is_superuser:
            kwargs["queryset"] = User.objects.filter(is_superuser=False)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        key = "" if change else obj.issue()
        super().save_model(request, obj, form, change)
        if key:
            text = _("The key, shown this once: %(key)s") % {"key": key}
            messages.warning(request, text)


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """Superusers are made, changed and deleted by superusers alone."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    return user is None or not user.is_superuser or bool(request.user.is_superuser)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


for _model in (AccessAttempt, AccessFailureLog, AccessLog):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
    admin.site.register(_model, ReadOnlyAdmin)


class SuperuserAdmin(ReadOnlyAdmin):
    """Tables that hold code to run, such as django-q2's pickles: for superusers alone."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)
