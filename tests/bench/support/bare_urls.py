"""The project's addresses, and beside them views that return bytes as they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from orchestrator_site.urls import handler404, handler500
from orchestrator_site.urls import urlpatterns as own

__all__ = ["handler404", "handler500", "urlpatterns"]


@cache
def _kept(name: str) -> bytes:
    return (Path(settings.DATA_DIR) / f"{name}.json").read_bytes()


def bare(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(_kept(name), content_type="application/json")


urlpatterns = [path("bare/<slug:name>", bare), *own]
