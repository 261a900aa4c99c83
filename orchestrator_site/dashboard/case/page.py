"""A case's page, its archive, and the way to both by any name of the case."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from orchestrator_site.dashboard.case import archive, finding
from orchestrator_site.dashboard.case.facts import Link
from orchestrator_site.dashboard.case.story import NoSuchCase, Story, read
from orchestrator_site.tenancy import organisation_of

EVENTS = 100  # on a page
LARGEST_ID = 2**63


def case(request: HttpRequest, case_id: UUID) -> HttpResponse:
    """All that is known of a case. `?order=oldest` turns its events round, `?past=` pages them."""
    order, past = request.GET.get("order", ""), request.GET.get("past", "")
    try:
        story = _story(
            request,
            case_id,
            oldest_first=order == "oldest",
            past=int(past) if _is_id(past) else None,
            most=EVENTS,
        )
    except NoSuchCase:
        return unknown(request, str(case_id))
    context = {
        **admin.site.each_context(request),
        "title": story.told.title,
        "subtitle": story.told.kind_title,
        "story": story,
        "rows": [one for one in story.told.rows if _leads(request, one)],
        "order": order,
        "may": request.user.has_perm,
    }
    return TemplateResponse(request, "admin/case/page.html", context)


def download(request: HttpRequest, case_id: UUID) -> HttpResponseBase:
    """The whole of it as one zip; told on a page where it is too large."""
    try:
        story = _story(request, case_id)
        archive.check(story)
    except NoSuchCase:
        return unknown(request, str(case_id))
    except archive.TooLarge as error:
        context = {**admin.site.each_context(request), "title": _("Too large"), "story": story}
        context["problem"] = str(error)
        return TemplateResponse(request, "admin/case/too_large.html", context, status=413)
    return zipped(story)


def zipped(story: Story) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(archive.pieces(story), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="{archive.name_of(story)}"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def lookup(request: HttpRequest) -> HttpResponse:
    """`?q=`: straight to the case that is meant; to the search where that is not one."""
    expect_staff(request)
    text = request.GET.get("q", "")
    cases = {one.case_id for one in finding.find(text, request.user.has_perm) if one.case_id}
    if len(cases) == 1:
        return HttpResponseRedirect(reverse("case", args=[cases.pop()]))
    return HttpResponseRedirect(f"{reverse('search')}?{urlencode({'q': text})}")


def unknown(request: HttpRequest, text: str) -> HttpResponse:
    """Nothing is known of it: what could be asked for instead."""
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("There is no such case"),
        "text": text,
        "searchable": finding.searchable(request.user.has_perm),
    }
    return TemplateResponse(request, "admin/case/unknown.html", context, status=404)


def expect_staff(request: HttpRequest) -> None:
    """A case shows what belongs to no organisation too. Raises PermissionDenied."""
    if organisation_of(request.user) is not None:
        raise PermissionDenied


def _story(request: HttpRequest, case_id: UUID, **options: Any) -> Story:
    expect_staff(request)
    return read(case_id, request.user.has_perm, **options)


def _leads(request: HttpRequest, link: Link) -> bool:
    return not link.may or request.user.has_perm(link.may)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < LARGEST_ID
