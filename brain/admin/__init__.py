"""The brain in the admin."""

from brain.admin import (
    claims,
    configuration,
    distribution,
    generators,
    organismos,
    people,
    tramites,
)

__all__ = [
    "claims",
    "configuration",
    "distribution",
    "generators",
    "organismos",
    "people",
    "tramites",
]
