"""The brain in the admin."""

from brain.admin import claims, configuration, organismos, tramites

__all__ = ["claims", "configuration", "organismos", "tramites"]
