"""Fernet tokens under text secrets. No Django in here: isolated workers read sessions with it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from cryptography.fernet import Fernet, MultiFernet


def fernet(secrets: Iterable[str]) -> MultiFernet:
    """Encrypts with the first secret, reads with any. A secret is text of any length."""
    return MultiFernet([Fernet(_key(secret)) for secret in secrets])


def _key(secret: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest())
