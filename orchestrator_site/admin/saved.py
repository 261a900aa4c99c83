"""Saved filters above the lists: plain forms."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from orchestrator_site import saved_filters


class SavedFilterForm(forms.Form):
    page = forms.CharField(max_length=100)
    name = forms.CharField(max_length=60)
    query = forms.CharField(max_length=10_000, required=False)
    is_shared = forms.BooleanField(required=False)


@require_POST
def keep(request: HttpRequest) -> HttpResponse:
    """Keep a list's filter under a name, and go back to it."""
    form = SavedFilterForm(request.POST)
    if not saved_filters.may_see(request.user, request.POST.get("page", "")):
        raise PermissionDenied
    if form.is_valid():
        return _kept(request, **form.cleaned_data)
    messages.error(request, _("A filter needs a name of at most 60 letters."))
    return _back(request.POST["page"], request.POST.get("query", ""))


def _kept(request: HttpRequest, page: str, name: str, query: str, is_shared: bool) -> HttpResponse:
    may_share = is_shared and saved_filters.may_share(request.user)
    try:
        row = saved_filters.keep(request.user, page, name, query, may_share)
    except saved_filters.TooMany:
        told = _("You have %d saved filters: delete one first.")
        messages.error(request, told % saved_filters.MOST)
    except (saved_filters.TooLong, ValueError):  # more parts than an address may have
        messages.error(request, _("This filter is too long to be saved."))
    else:
        messages.success(request, _('Saved as "%s".') % row.name)
        query = row.query
    return _back(page, query)


@require_POST
def forget(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a saved filter; the list stays as it is."""
    row = get_object_or_404(saved_filters.visible(request.user), pk=pk)
    if not saved_filters.may_delete(request.user, row):
        raise PermissionDenied
    page = row.page
    row.delete()
    messages.success(request, _('"%s" is deleted.') % row.name)
    return _back(page, request.POST.get("query", ""))


def _back(page: str, query: str) -> HttpResponse:
    """To the list, as it was filtered."""
    app, _dot, model = page.partition(".")
    try:
        kept = saved_filters.kept(query)
    except (saved_filters.TooLong, ValueError):
        kept = ""
    address = reverse(f"admin:{app}_{model}_changelist")
    return HttpResponseRedirect(f"{address}?{kept}" if kept else address)
