"""Signatures of scripts and of the envelopes that carry them: HMAC-SHA256 with keys that have ids.

A script's signature is over its exact bytes and lasts as long as its key. An envelope's is over
every field of it, so that another organisation, user, job or input is another envelope. The two
are told apart by what is signed: an envelope's text begins with a word that no script begins with.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

SHORTEST = 32  # characters of a secret
LONGEST = 2**20  # bytes of an envelope
INTEGRITY = "Script integrity check failed"
SIGNATURE = "Script signature verification failed"
SORTED = json.JSONEncoder(sort_keys=True).encode
ENVELOPE = "Envelope signature verification failed"
NO_SESSION = "Session not found"


class SecretRefused(Exception):
    """There is no secret to sign with, or it is too short; says what to do."""


class EnvelopeRefused(Exception):
    """What must not run. The message is the documented one, where there is one."""


@dataclass(frozen=True)
class Key:
    """A signing key. `expires_at`: seconds since 1970, 0 for never."""

    id: str
    secret: str = field(repr=False)
    expires_at: float = 0
    is_revoked: bool = False

    @classmethod
    def of(cls, secret: str, **more: Any) -> Key:
        """Its id follows from the secret: whoever holds the one knows the other."""
        if len(secret) < SHORTEST:
            raise SecretRefused(
                f"A signing secret needs at least {SHORTEST} characters: make one with"
                " `openssl rand -hex 32`, the same for the control plane and its workers."
            )
        return cls(hashlib.sha256(secret.encode()).hexdigest()[:12], secret, **more)

    def is_valid(self, now: float) -> bool:
        return not self.is_revoked and (not self.expires_at or now < self.expires_at)

    def sign(self, content: bytes) -> str:
        return hmac.digest(self.secret.encode(), content, "sha256").hex()


class Keyring:
    """Keys by id; the first signs, every one that is neither revoked nor expired verifies."""

    def __init__(self, keys: Iterable[Key]) -> None:
        listed = list(keys)
        if not listed:
            raise SecretRefused("There is no signing secret: set SCRIPT_SIGNING_SECRET.")
        self.current = listed[0]
        self.keys: Mapping[str, Key] = {key.id: key for key in listed}

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Keyring:
        """The current secret first, then older ones. Raises SecretRefused."""
        return cls(Key.of(secret) for secret in secrets)

    @classmethod
    def read(cls, path: Path) -> Keyring:
        """From a file, `[{"secret", "expiresAt"?, "revoked"?}, ...]`, the current one first.
        Raises SecretRefused."""
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))
            keys = [
                Key.of(
                    one["secret"],
                    expires_at=float(one.get("expiresAt") or 0),
                    is_revoked=bool(one.get("revoked")),
                )
                for one in listed
            ]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SecretRefused(f"The file of signing keys {path} cannot be read.") from error
        return cls(keys)

    def without(self, revoked: Collection[str]) -> Keyring:
        """The same ring where these keys, by their ids, verify nothing."""
        if not revoked:
            return self
        keys = [replace(k, is_revoked=k.is_revoked or k.id in revoked) for k in self.keys.values()]
        return type(self)(keys)

    def verifies(self, key_id: str, content: bytes, signature: str, now: float) -> bool:
        """In constant time, as far as the content goes."""
        key = self.keys.get(key_id)
        made = (key or self.current).sign(content)
        is_same = hmac.compare_digest(made.encode(), signature.encode("utf-8", "replace"))
        return is_same and key is not None and key.is_valid(now)


@dataclass(frozen=True)
class Envelope:
    """One attempt at a job, as it travels. The names on the wire are these in camelCase."""

    job_id: str
    org_id: str
    user_id: str
    provider_id: str
    provider_name: str
    flow_id: str
    flow_version: str
    script_content: str = field(repr=False)
    script_hash: str
    signature: str
    key_id: str
    created_at: int  # milliseconds since 1970
    attempt: int  # from 1; a greater one makes the earlier ones worthless
    lease: str  # what proves the attempt to the control plane
    deadline: int  # milliseconds since 1970; 0: none
    needs_session: bool
    hosts: list[str]  # where the run may go
    inputs: dict[str, Any] = field(repr=False)
    metadata: dict[str, Any] = field(repr=False)
    envelope_key_id: str = ""
    envelope_signature: str = ""

    def to_json(self) -> str:
        return json.dumps({WIRE[name]: getattr(self, name) for name in WIRE}, ensure_ascii=False)

    def signed(self, key: Key) -> Envelope:
        """This one under the key's signature."""
        unsigned = {**vars(self), "envelope_key_id": key.id}
        made = type(self)(**unsigned)
        return type(self)(**{**unsigned, "envelope_signature": key.sign(made._covered())})

    def _covered(self) -> bytes:
        """All that the signature is over: each field with its length, so that none can lend a
        letter to another. The script stands there by its hash."""
        parts = [b"sri-envelope-1"]
        for name in COVERED:
            value = getattr(self, name)
            text = value if isinstance(value, str) else SORTED(value)
            content = text.encode("utf-8", "surrogatepass")
            parts.append(b"%d:%b" % (len(content), content))
        return b"\n".join(parts)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


WIRE: Mapping[str, str] = {one.name: _camel(one.name) for one in fields(Envelope)}
NAMES: Mapping[str, str] = {wire: name for name, wire in WIRE.items()}
TYPES: Mapping[str, type] = {
    "created_at": int,
    "attempt": int,
    "deadline": int,
    "needs_session": bool,
    "hosts": list,
    "inputs": dict,
    "metadata": dict,
}
COVERED = tuple(name for name in WIRE if name not in ("script_content", "envelope_signature"))


def sign_script(script: str, key: Key) -> str:
    """The signature of a script: HMAC-SHA256 hex over its exact bytes."""
    return key.sign(script.encode("utf-8", "surrogatepass"))


def verify_script(
    script: str,
    script_hash: str,
    signature: str,
    key_id: str,
    keys: Keyring,
    now: float | None = None,
) -> None:
    """Raises EnvelopeRefused: first for the hash, then for the signature."""
    content = script.encode("utf-8", "surrogatepass")
    made = hashlib.sha256(content).hexdigest()
    if not hmac.compare_digest(made.encode(), script_hash.encode("utf-8", "replace")):
        raise EnvelopeRefused(INTEGRITY)
    if not keys.verifies(key_id, content, signature, time.time() if now is None else now):
        raise EnvelopeRefused(SIGNATURE)


def opened(text: str | bytes, keys: Keyring, most_age: float, now: float | None = None) -> Envelope:
    """The envelope in `text`, verified: fields, hash, signatures, age (`most_age` in seconds).
    Raises EnvelopeRefused."""
    now = time.time() if now is None else now
    envelope = parsed(text)
    verify_script(
        envelope.script_content,
        envelope.script_hash,
        envelope.signature,
        envelope.key_id,
        keys,
        now,
    )
    covered = envelope._covered()
    if not keys.verifies(envelope.envelope_key_id, covered, envelope.envelope_signature, now):
        raise EnvelopeRefused(ENVELOPE)
    if not -60 <= now - envelope.created_at / 1000 <= most_age:
        raise EnvelopeRefused("The envelope is too old, or of the future")
    if envelope.deadline and now * 1000 > envelope.deadline:
        raise EnvelopeRefused("The job's deadline is over")
    return envelope


def parsed(text: str | bytes) -> Envelope:
    """The envelope in `text`, its fields checked and nothing else. Raises EnvelopeRefused."""
    if len(text) > LONGEST:
        raise EnvelopeRefused(f"The envelope is longer than {LONGEST} bytes")
    try:
        raw = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise EnvelopeRefused("The envelope is not JSON") from error
    if not isinstance(raw, dict):
        raise EnvelopeRefused("The envelope is not an object")
    problem = next(_field_problems(raw), None)
    if problem:
        raise EnvelopeRefused(problem)
    return Envelope(**{NAMES[wire]: value for wire, value in raw.items()})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _field_problems(raw: dict[str, Any]) -> Iterator[str]:
    for name, wire in WIRE.items():
        wanted = TYPES.get(name, str)
        if wire not in raw:
            yield f"Missing field: {wire}"
        elif type(raw[wire]) is not wanted:
            yield f"Wrong field: {wire}"
        elif wanted is str and not raw[wire]:
            yield f"Empty field: {wire}"
    for wire in raw:
        if wire not in NAMES:
            yield f"Unknown field: {wire[:60]}"
