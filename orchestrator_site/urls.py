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
from brain.api.signing_keys import SigningKeyViewSet
from brain.api.views import ROUTES, BrainPauseView, BrainResumeView, BrainView
from orchestrator_site import health, metrics, views
from orchestrator_site.admin import saved
from orchestrator_site.api.alerts import (
    AlertRuleViewSet,
    AlertViewSet,
    MaintenanceWindowViewSet,
)
from orchestrator_site.api.audit import AuditViewSet
from orchestrator_site.api.auth import KeyViewSet, LoginView, LogoutView, RegisterView
from orchestrator_site.api.bulk import BulkActionViewSet
from orchestrator_site.api.files import SignedFileView
from orchestrator_site.api.members import StaffMemberViewSet
from orchestrator_site.api.organisations import MemberViewSet, OwnOrganisationView
from orchestrator_site.api.saved_filters import SavedFilterViewSet
from orchestrator_site.dashboard import devices as device_board
from orchestrator_site.dashboard import distribution, search
from orchestrator_site.dashboard.case import page as case_page
from orchestrator_site.dashboard.case.api import ArchiveView, CaseView, SearchView
from orchestrator_site.dashboard.live import view as live_view
from orchestrator_site.dashboard.overview import PART as OVERVIEW
from orchestrator_site.dashboard.overview_api import OverviewView
from orchestrator_site.dashboard.queues import page as queue_pages
from orchestrator_site.dashboard.queues.api import QueueView
from orchestrator_site.dashboard.queues.catalogue import KINDS
from postprocessing.admin import pages as pqr
from postprocessing.api.views import ROUTES as PQR_ROUTES
from postprocessing.api.views import ReportView
from queues.api.jobs import JOB_ROUTES
from queues.api.results import ResultView
from queues.api.views import ROUTES as QUEUE_ROUTES
from queues.api.webhooks import WEBHOOK_ROUTES


class Router(DefaultRouter):
    """Its root tells of the control plane's addresses too, which have a router of their own."""

    include_format_suffixes = False

    def get_api_root_view(self, api_urls: Any = None) -> Any:
        return self.APIRootView.as_view(api_root_dict=_known_names())

    def get_urls(self) -> list[Any]:
        """Each view set's behind its prefix: one address is not compared with all the others."""
        root = [path("", self.get_api_root_view(), name=self.root_view_name)]
        return root + [path(f"{one[0]}/", include(self._of(*one))) for one in self.registry]

    def _of(self, prefix: str, viewset: Any, basename: str) -> list[Any]:
        own = SimpleRouter(trailing_slash=self.trailing_slash == "/")
        own.register("", viewset, basename=basename)
        return own.urls


router = Router(trailing_slash=True)
for prefix, viewset in {**ROUTES, **GENERATOR_ROUTES, **QUEUE_ROUTES, **PQR_ROUTES}.items():
    router.register(prefix, viewset, basename=f"api-{prefix}")
router.register("events", views.EventViewSet, basename="api-events")
router.register("alerts", AlertViewSet, basename="api-alerts")
router.register("alert-rules", AlertRuleViewSet, basename="api-alert-rules")
router.register("maintenance-windows", MaintenanceWindowViewSet, basename="api-maintenance-windows")
router.register("audit", AuditViewSet, basename="api-audit")
router.register("saved-filters", SavedFilterViewSet, basename="api-saved-filters")
router.register("bulk-actions", BulkActionViewSet, basename="api-bulk-actions")
router.register("members", StaffMemberViewSet, basename="api-staff-members")
router.register("signing-keys", SigningKeyViewSet, basename="api-signing-keys")

# The control plane's. Its guide writes the addresses without a slash at their end, and both work.
control = SimpleRouter()
control.trailing_slash = "/?"
for prefix, viewset in {**CONTROL_ROUTES, **FLOW_ROUTES, **JOB_ROUTES, **WEBHOOK_ROUTES}.items():
    control.register(prefix, viewset, basename=f"api-{prefix}")
control.register("keys", KeyViewSet, basename="api-keys")
control.register("organisation/members", MemberViewSet, basename="api-members")


def _known_names() -> dict[str, str]:
    """Of all lists, and of the control plane's other addresses, by how they begin."""
    listed = [*router.registry, *control.registry]
    names = {prefix: f"{basename}-list" for prefix, _viewset, basename in listed}
    others = ("run", "organisation", "auth/register", "auth/login", "auth/logout")
    return names | {name: f"api-{name.rpartition('/')[2]}" for name in others}


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
    path("overview/", OverviewView.as_view(), name="api-overview"),
    path("brain/", BrainView.as_view(), name="api-brain"),
    path("brain/pause/", BrainPauseView.as_view(), name="api-brain-pause"),
    path("brain/resume/", BrainResumeView.as_view(), name="api-brain-resume"),
    path("distribution/", DistributionView.as_view(), name="api-distribution"),
    path("distribution/pause/", DistributionPauseView.as_view(), name="api-distribution-pause"),
    path("distribution/resume/", DistributionResumeView.as_view(), name="api-distribution-resume"),
    path("shares/", SharesView.as_view(), name="api-shares"),
    path("shares/simulate/", SimulateView.as_view(), name="api-shares-simulate"),
    path("queues/<slug:kind>/", QueueView.as_view(), name="api-queue"),
    path("search/", SearchView.as_view(), name="api-search"),
    path("cases/<uuid:case_id>/", CaseView.as_view(), name="api-case"),
    path("cases/<uuid:case_id>/archive/", ArchiveView.as_view(), name="api-case-archive"),
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
    path("admin/search/", admin.site.admin_view(search.page), name="search"),
    path("admin/case/", admin.site.admin_view(case_page.lookup), name="case-lookup"),
    path("admin/case/<uuid:case_id>/", admin.site.admin_view(case_page.case), name="case"),
    path(
        "admin/case/<uuid:case_id>/archive",
        admin.site.admin_view(case_page.download),
        name="case-archive",
    ),
    *[
        path(
            f"admin/queues/{name}/",
            admin.site.admin_view(queue_pages.page),
            {"name": name},
            name=f"queue-{name}",
        )
        for name in KINDS
    ],
    path("admin/devices/board/", admin.site.admin_view(device_board.page), name="device-board"),
    path("admin/saved-filters/", admin.site.admin_view(saved.keep), name="saved-filters"),
    path(
        "admin/saved-filters/<int:pk>/delete/",
        admin.site.admin_view(saved.forget),
        name="saved-filter-forget",
    ),
    path("admin/distribution/", admin.site.admin_view(distribution.page), name="distribution"),
    path("distribution/switch", distribution.switch, name="distribution-switch"),
    path("admin/postprocessing/", admin.site.admin_view(pqr.overview), name="pqr"),
    path(
        "admin/postprocessing/company/<slug:name>/",
        admin.site.admin_view(pqr.company),
        name="pqr-company",
    ),
    path("postprocessing/ask", pqr.ask, name="pqr-ask"),
    path("admin/live/overview/", live_view(OVERVIEW), name="live-overview"),
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
