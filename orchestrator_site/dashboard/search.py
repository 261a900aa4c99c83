"""One box for everything: rows by their names, and the pages of the menu.

`?q=` is a page, which needs no JavaScript; with `&extended=1` it is the list below the palette that
opens everywhere by Ctrl+K.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from orchestrator_site.dashboard import menu
from orchestrator_site.dashboard.case import finding
from orchestrator_site.dashboard.case.page import expect_staff

PAGES = 8  # of the menu
SHORTEST = 2  # letters of a page's name


@dataclass(frozen=True)
class Page:
    """A page of the menu."""

    title: str
    description: str
    url: str
    icon: str


@dataclass(frozen=True)
class Hit:
    """As the palette shows it."""

    title: str
    description: str
    link: str
    icon: str


def page(request: HttpRequest) -> HttpResponse:
    expect_staff(request)
    text = (request.GET.get("q") or request.GET.get("s") or "").strip()
    rows, pages = finding.find(text, request.user.has_perm), pages_of(request, text)
    if "extended" in request.GET:
        context: dict[str, Any] = {"results": _hits(text, rows, pages)}
        return TemplateResponse(request, "admin/case/palette.html", context)
    context = {
        **admin.site.each_context(request),
        "title": _("Search"),
        "text": text,
        "rows": rows,
        "pages": pages,
        "searchable": finding.searchable(request.user.has_perm),
    }
    return TemplateResponse(request, "admin/search.html", context)


def pages_of(request: HttpRequest, text: str) -> list[Page]:
    """The pages whose name, or whose group's, has the text in it; whatever the accents."""
    wanted = _folded(text)
    if len(wanted) < SHORTEST:
        return []
    found = [
        Page(str(item["title"]), str(group.get("title", "")), str(item["link"]), item["icon"])
        for group in menu.navigation(request)
        for item in group["items"]
    ]
    by_name = [one for one in found if wanted in _folded(one.title)]
    by_group = [one for one in found if wanted in _folded(one.description) and one not in by_name]
    return [*by_name, *by_group][:PAGES]


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in plain if not unicodedata.combining(one)).strip()


def _hits(text: str, rows: list[finding.Found], pages: list[Page]) -> list[Hit]:
    if not text:
        return []
    found = [Hit(one.title, one.description, one.url, one.icon) for one in rows]
    found += [Hit(one.title, one.description, one.url, one.icon) for one in pages]
    every = f"{reverse('search')}?{urlencode({'q': text})}"
    told = _("%(n)d found") % {"n": len(found)} if found else _("nothing found: what can I search?")
    return [*found, Hit(_("Search for “%(text)s”") % {"text": text}, told, every, "manage_search")]
