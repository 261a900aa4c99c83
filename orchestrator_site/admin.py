"""The admin's ground: read-only rows, verbs with a reason, badges, and third-party admins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orchestrator_site import telling, verbs
from orchestrator_site.alerting import ALERT_VERBS
from orchestrator_site.cells import badge, moment
from orchestrator_site.inputs import PermissionsInWords
from orchestrator_site.models import Alert, AlertRule, ApiKey, Event, Lease, Pause
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


class KindFilter(admin.SimpleListFilter):
    title = _("object type")
    parameter_name = "object_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        types = Event.objects.order_by("object_type").values_list("object_type", flat=True)
        return [(one, telling.kind(one)) for one in types.distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(object_type=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("when", "kind", "object_id", "change", "reason", "actor", "case_id")
    list_filter = (KindFilter, "new", "actor_kind")
    readonly_fields = ("kind", "change")
    fields = (
        "at",
        "kind",
        "object_id",
        "change",
        "reason",
        "actor_kind",
        "actor",
        "case_id",
        "data",
    )
    search_fields = ("=case_id", "=object_id", "reason", "actor")
    date_hierarchy = "at"

    @display(description=_("at"), ordering="at")
    def when(self, row: Event) -> SafeString:
        return moment(row.at)

    @display(description=_("object type"), ordering="object_type")
    def kind(self, row: Event) -> str:
        return telling.kind(row.object_type)

    @display(description=_("change"), ordering="new")
    def change(self, row: Event) -> str:
        return telling.change(row)


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "holder", "epoch", "expires")

    @display(description=_("expires at"), ordering="expires_at")
    def expires(self, row: Lease) -> SafeString:
        return moment(row.expires_at)


@admin.register(Pause)
class PauseAdmin(ReadOnlyAdmin):
    list_display = ("name", "begun", "by", "reason")

    @display(description=_("since"), ordering="since")
    def begun(self, row: Pause) -> SafeString:
        return moment(row.since)


@admin.register(AlertRule)
class AlertRuleAdmin(SimpleHistoryAdmin, ModelAdmin):
    list_display = ("name", "measured", "beyond", "for_seconds", "state", "enabled")
    list_filter = ("severity", "enabled")
    search_fields = ("name", "measure")
    readonly_fields = ("meaning",)
    fields = (
        "name",
        "measure",
        "meaning",
        "threshold",
        "for_seconds",
        "severity",
        "enabled",
        "cooldown_minutes",
        "emails",
    )

    @display(description=_("measure"), ordering="measure")
    def measured(self, row: AlertRule) -> str:
        return row.title

    @display(description=_("threshold"), ordering="threshold")
    def beyond(self, row: AlertRule) -> str:
        return row.limit

    @display(description=_("severity"), ordering="severity")
    def state(self, row: AlertRule) -> SafeString:
        return badge(row.severity, row.get_severity_display(), row.tone)

    @display(description=_("what is measured"))
    def meaning(self, row: AlertRule) -> str:
        return f"{row.definition.help} ({row.limit})" if row.definition else "-"


@admin.register(Alert)
class AlertAdmin(VerbAdmin, ReadOnlyAdmin):
    verbs = ALERT_VERBS
    list_display = ("about", "severity", "state", "message", "since", "seen")
    list_filter = ("status", "rule__severity", "rule")
    list_select_related = ("rule",)
    search_fields = ("subject", "message", "rule__name", "=case_id")
    date_hierarchy = "first_seen_at"
    readonly_fields = ("state", "severity", "acknowledged", "thread")
    fields = (
        "rule",
        "severity",
        "subject",
        "state",
        "message",
        "value",
        "first_seen_at",
        "last_seen_at",
        "raised_at",
        "acknowledged",
        "resolved_at",
        "notified_at",
        "notify_error",
        "thread",
    )

    @display(description=_("alert"), ordering="subject")
    def about(self, row: Alert) -> str:
        return row.heading

    @display(description=_("severity"), ordering="rule__severity")
    def severity(self, row: Alert) -> SafeString:
        return badge(row.rule.severity, row.rule.get_severity_display(), row.rule.tone)

    @display(description=_("status"), ordering="status")
    def state(self, row: Alert) -> SafeString:
        return badge(row.status, row.get_status_display(), row.tone)

    @display(description=_("since"), ordering="first_seen_at")
    def since(self, row: Alert) -> SafeString:
        return moment(row.first_seen_at)

    @display(description=_("last seen"), ordering="last_seen_at")
    def seen(self, row: Alert) -> SafeString:
        return moment(row.last_seen_at)

    @display(description=_("acknowledged by"))
    def acknowledged(self, row: Alert) -> str | SafeString:
        event = row.acknowledgement
        if event is None:
            return "-"
        return format_html("{} {}: {}", event.actor, moment(event.at), event.reason)

    @display(description=_("thread"))
    def thread(self, row: Alert) -> SafeString:
        url = reverse("admin:orchestrator_site_event_changelist")
        return format_html('<a href="{}?q={}">{}</a>', url, row.case_id, _("All its events"))


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    list_display = ("name", "user", "prefix", "scope", "expires", "used")
    autocomplete_fields = ("user",)
    readonly_fields = ("prefix", "last_used_at")

    @display(description=_("expires at"), ordering="expires_at")
    def expires(self, row: ApiKey) -> SafeString:
        return moment(row.expires_at)

    @display(description=_("last used"), ordering="last_used_at")
    def used(self, row: ApiKey) -> SafeString:
        return moment(row.last_used_at)

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
class UserAdmin(PermissionsInWords, DjangoUserAdmin, ModelAdmin):
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
class GroupAdmin(PermissionsInWords, DjangoGroupAdmin, ModelAdmin):
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
