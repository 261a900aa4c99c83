"""Django's registration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PostprocessingConfig(AppConfig):
    name = "postprocessing"
    verbose_name = _("Post-processing")
