"""The project's settings, with views that do nothing beside its own."""

from orchestrator_site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.support.bare_urls"
