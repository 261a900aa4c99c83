"""Addresses: the admin, the API, health."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView
from rest_framework.routers import DefaultRouter, SimpleRouter

from brain.api.control import CONTROL_ROUTES, RunView
from brain.api.distribution import (
    DistributionPauseView,
    DistributionResumeView,
    DistributionView,
    SharesView,
    SimulateView,
)
from brain.api.flows import FLOW_ROUTES
from brain.api.generators import GENERATOR_ROUTES
from brain.api.views import ROUTES, BrainPauseView, BrainResumeView, BrainView
from orchestrator_site import health, metrics, views
from orchestrator_site.api.alerts import AlertRuleViewSet, AlertViewSet
from orchestrator_site.api.auth import KeyViewSet, LoginView, LogoutView, RegisterView
from orchestrator_site.api.files import SignedFileView
from orchestrator_site.api.organisations import MemberViewSet, OwnOrganisationView
from orchestrator_site.dashboard import distribution
from postprocessing.admin import pages as pqr
from postprocessing.api.views import ROUTES as PQR_ROUTES
from postprocessing.api.views import ReportView
from queues.api.jobs import JOB_ROUTES
from queues.api.results import ResultView
from queues.api.views import ROUTES as QUEUE_ROUTES
from queues.api.webhooks import WEBHOOK_ROUTES

router = DefaultRouter(trailing_slash=True)
for prefix, viewset in {**ROUTES, **GENERATOR_ROUTES, **QUEUE_ROUTES, **PQR_ROUTES}.items():
    router.register(prefix, viewset, basename=f"api-{prefix}")
router.register("events", views.EventViewSet, basename="api-events")
router.register("alerts", AlertViewSet, basename="api-alerts")
router.register("alert-rules", AlertRuleViewSet, basename="api-alert-rules")

# The control plane's. Its guide writes the addresses without a slash at their end, and both work.
control = SimpleRouter()
control.trailing_slash = "/?"
for prefix, viewset in {**CONTROL_ROUTES, **FLOW_ROUTES, **JOB_ROUTES, **WEBHOOK_ROUTES}.items():
    control.register(prefix, viewset, basename=f"api-{prefix}")
control.register("keys", KeyViewSet, basename="api-keys")
control.register("organisation/members", MemberViewSet, basename="api-members")

api: list[Any] = [
    path("", include(router.urls)),
    path("", include(control.urls)),
    re_path("^auth/register/?$", RegisterView.as_view(), name="api-register"),
    re_path("^auth/login/?$", LoginView.as_view(), name="api-login"),
    re_path("^auth/logout/?$", LogoutView.as_view(), name="api-logout"),
    re_path("^organisation/?$", OwnOrganisationView.as_view(), name="api-organisation"),
    re_path("^run/?$", RunView.as_view(), name="api-run"),
    path("files/<str:signed>", SignedFileView.as_view(), name="api-file"),
    # Without a slash at its end: so the scrapers know it.
    path("queue-entries/<slug:document_id>/result", ResultView.as_view(), name="api-result"),
    path("brain/", BrainView.as_view(), name="api-brain"),
    path("brain/pause/", BrainPauseView.as_view(), name="api-brain-pause"),
    path("brain/resume/", BrainResumeView.as_view(), name="api-brain-resume"),
    path("distribution/", DistributionView.as_view(), name="api-distribution"),
    path("distribution/pause/", DistributionPauseView.as_view(), name="api-distribution-pause"),
    path("distribution/resume/", DistributionResumeView.as_view(), name="api-distribution-resume"),
    path("shares/", SharesView.as_view(), name="api-shares"),
    path("shares/simulate/", SimulateView.as_view(), name="api-shares-simulate"),
    path("post-processing/", ReportView.as_view(), name="api-post-processing"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("redoc/", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
]
handler404 = views.not_found
handler500 = views.failed
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    # Before the admin's own, which would take it for one of its apps.
    path("admin/distribution/", admin.site.admin_view(distribution.page), name="distribution"),
    path("distribution/switch", distribution.switch, name="distribution-switch"),
    path("admin/postprocessing/", admin.site.admin_view(pqr.overview), name="pqr"),
    path(
        "admin/postprocessing/company/<slug:name>/",
        admin.site.admin_view(pqr.company),
        name="pqr-company",
    ),
    path("postprocessing/ask", pqr.ask, name="pqr-ask"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
    path("evidence/<int:pk>/", views.evidence, name="evidence"),
    path("media/<path:path>", views.media, name="media"),
    path("brain/switch", views.brain_switch, name="brain-switch"),
    path("i18n/", include("django.conf.urls.i18n")),
    # Browsers ask for it on every page, whatever the page says.
    path("favicon.ico", RedirectView.as_view(url=static("orchestrator/favicon.svg"))),
    path("healthz", health.healthz),
    path("health", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics.page, name="metrics"),
]
