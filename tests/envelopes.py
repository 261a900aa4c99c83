"""Signed envelopes of the tests' own."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from orchestrator_site.sealing import fernet
from queues.browser import scripts, signing
from queues.browser.signing import Envelope, Key, Keyring

SECRET = "a-secret-of-the-tests-of-32-letters-"
SESSION_KEY = "a-session-key-of-the-tests-of-32-letters"
KEY = Key.of(SECRET)
KEYS = Keyring([KEY])
LOOK = {"do": "navigate", "url": "https://site.example/"}


def envelope(*steps: dict[str, Any], key: Key = KEY, **fields: Any) -> Envelope:
    """One that a worker with KEYS accepts."""
    script = scripts.canonical([*(steps or [LOOK])])
    known: dict[str, Any] = {
        "job_id": str(uuid.uuid4()),
        "org_id": "7",
        "user_id": "9",
        "provider_id": "3",
        "provider_name": "cargill",
        "flow_id": "11",
        "flow_version": "1.0.0",
        "script_content": script,
        "script_hash": scripts.sha256(script),
        "signature": signing.sign_script(script, key),
        "key_id": key.id,
        "created_at": int(time.time() * 1000),
        "attempt": 1,
        "lease": str(uuid.uuid4()),
        "deadline": 0,
        "needs_session": False,
        "hosts": ["site.example"],
        "inputs": {},
        "metadata": {},
    }
    return Envelope(**{**known, **fields}).signed(key)


def session_token(*cookies: dict[str, Any]) -> str:
    """As the control plane puts it into Redis."""
    content = json.dumps({"cookies": cookies, "connectedAt": int(time.time() * 1000)})
    return fernet([SESSION_KEY]).encrypt(content.encode()).decode()
