"""Addresses: the admin, the API, health."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView
from rest_framework.routers import DefaultRouter

from brain.api.views import ROUTES, BrainPauseView, BrainResumeView, BrainView
from orchestrator_site import health, views

router = DefaultRouter(trailing_slash=True)
for prefix, viewset in ROUTES.items():
    router.register(prefix, viewset, basename=f"api-{prefix}")
router.register("events", views.EventViewSet, basename="api-events")

api: list[Any] = [
    path("", include(router.urls)),
    path("brain/", BrainView.as_view(), name="api-brain"),
    path("brain/pause/", BrainPauseView.as_view(), name="api-brain-pause"),
    path("brain/resume/", BrainResumeView.as_view(), name="api-brain-resume"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("redoc/", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
]
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
    path("evidence/<int:pk>/", views.evidence, name="evidence"),
    path("media/<path:path>", views.media, name="media"),
    path("brain/switch", views.brain_switch, name="brain-switch"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("healthz", health.healthz),
    path("health", health.healthz),
    path("readyz", health.readyz),
]
