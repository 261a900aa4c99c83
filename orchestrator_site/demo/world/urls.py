"""The addresses of the world."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from orchestrator_site.demo.world import granos, intranet, madrid, oficina, scrapers, xaloc


def up(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


urlpatterns = [
    path("_up", up),
    path("intranet/xvia-grupoeuropa/public/", include((intranet.urlpatterns, "intranet"))),
    path("sede/xaloc/", include((xaloc.urlpatterns, "xaloc"))),
    path("sede/madrid/", include((madrid.urlpatterns, "madrid"))),
    path("granos/", include((granos.urlpatterns, "granos"))),
    path("scrapers/", include((scrapers.urlpatterns, "scrapers"))),
    *(
        path(
            f"oficina/{company}/",
            include((oficina.urlpatterns, "oficina"), namespace=company),
            {"company": company},
        )
        for company in oficina.BRANDS
    ),
]
