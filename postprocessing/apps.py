"""Django's registration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PostprocessingConfig(AppConfig):
    name = "postprocessing"
    verbose_name = _("Post-processing")

    def ready(self) -> None:
        from orchestrator_site import measures, metrics
        from postprocessing import alerts, verbs
        from postprocessing import metrics as pqr_metrics

        measures.register(*alerts.MEASURES)
        metrics.register(pqr_metrics.collect)
        verbs.offer_all()
