"""Changes to configuration, as events."""

from orchestrator_site.recording import Values, gone, note, stored

__all__ = ["Values", "gone", "note", "stored"]
