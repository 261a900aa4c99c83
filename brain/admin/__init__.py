"""The brain in the admin."""

from brain.admin import (
    claims,
    configuration,
    distribution,
    flows,
    generators,
    organismos,
    people,
    providers,
    signing_keys,
    tramites,
)

__all__ = [
    "claims",
    "configuration",
    "distribution",
    "flows",
    "generators",
    "organismos",
    "people",
    "providers",
    "signing_keys",
    "tramites",
]
