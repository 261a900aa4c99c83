"""Inputs of the admin's forms, where the usual ones do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import Permission
from django.db.models import Field
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from orchestrator_site import telling


class OneLineTexts(ModelAdmin):
    """Texts without a limit that are nevertheless of one line: addresses, subjects."""

    one_line: Sequence[str] = ()

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        if db_field.name in self.one_line:
            kwargs["widget"] = UnfoldAdminTextInputWidget()
        return super().formfield_for_dbfield(db_field, request, **kwargs)


class PermissionsInWords(ModelAdmin):
    """Permissions are chosen by their names in the reader's language."""

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest | None = None, **kwargs: Any
    ) -> Any:
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.related_model is Permission:
            field.label_from_instance = telling.permission
        return field
