"""Who may come in: keys, users, groups, and what axes keeps of logins."""

from __future__ import annotations

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from orchestrator_site import recording
from orchestrator_site.admin.bases import ReadOnlyAdmin
from orchestrator_site.cells import moment
from orchestrator_site.inputs import PermissionsInWords
from orchestrator_site.models import ApiKey


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


class Noted:
    """An admin of rows that keep no history: each change is an event, with the values of `noted`
    before and after."""

    noted: tuple[str, ...]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        form.before = recording.stored(obj, *self.noted) if change else {}
        super().save_model(request, obj, form, change)  # type: ignore[misc]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)  # type: ignore[misc]
        recording.note(form.instance, form.before, *self.noted)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        recording.gone(obj, recording.stored(obj, *self.noted))
        super().delete_model(request, obj)  # type: ignore[misc]

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            recording.gone(row, recording.stored(row, *self.noted))
        super().delete_queryset(request, queryset)  # type: ignore[misc]


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(Noted, PermissionsInWords, DjangoUserAdmin, ModelAdmin):
    """Superusers are made, changed and deleted by superusers alone."""

    noted = (
        *("username", "first_name", "last_name", "email", "password"),
        *("is_active", "is_staff", "is_superuser", "groups", "user_permissions"),
    )
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
class GroupAdmin(Noted, PermissionsInWords, DjangoGroupAdmin, ModelAdmin):
    noted = ("name", "permissions")


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
