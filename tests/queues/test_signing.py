"""Signatures of scripts and envelopes: nothing that was changed is opened."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from queues.browser import scripts, signing
from queues.browser.signing import Envelope, EnvelopeRefused, Key, Keyring, SecretRefused
from tests.envelopes import KEY, KEYS, envelope
from tests.envelopes import SECRET as OURS

DAY = 86400.0
OTHER = Key.of("b" * 32)


def refusal(text: str | bytes, keys: Keyring = KEYS, now: float | None = None) -> str:
    with pytest.raises(EnvelopeRefused) as refused:
        signing.opened(text, keys, DAY, now)
    return str(refused.value)


def test_what_was_signed_is_opened_as_it_was() -> None:
    sent = envelope(inputs={"número": 7, "text": "ñ\ud800"}, metadata={"a": [1, None, True]})
    assert signing.opened(sent.to_json(), KEYS, DAY) == sent
    assert signing.opened(sent.to_json().encode("utf-8", "surrogatepass"), KEYS, DAY) == sent


def test_a_changed_script_fails_its_hash_and_then_its_signature() -> None:
    sent = envelope()
    changed = sent.script_content.replace("site", "evil")
    assert refusal(replace(sent, script_content=changed).to_json()) == signing.INTEGRITY
    hashed = replace(sent, script_content=changed, script_hash=scripts.sha256(changed))
    assert refusal(hashed.to_json()) == signing.SIGNATURE


@pytest.mark.parametrize("wire", [w for w in signing.NAMES if w != "envelopeSignature"])
def test_no_field_can_be_changed(wire: str) -> None:
    raw = json.loads(envelope(inputs={"a": 1}).to_json())
    raw[wire] = _another(raw[wire])
    assert refusal(json.dumps(raw)) in (signing.INTEGRITY, signing.SIGNATURE, signing.ENVELOPE)


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value, "x"]
    if isinstance(value, dict):
        return {**value, "x": 1}
    return value + 1 if isinstance(value, int) else f"{value}x"


def test_a_script_of_one_envelope_is_none_of_anothers() -> None:
    one, two = envelope(), envelope({"do": "navigate", "url": "https://two.example/"})
    swapped = replace(
        one,
        script_content=two.script_content,
        script_hash=two.script_hash,
        signature=two.signature,
    )
    assert refusal(swapped.to_json()) == signing.ENVELOPE


def test_another_organisations_signature_is_refused() -> None:
    one, two = envelope(org_id="7"), envelope(org_id="8")
    stolen = replace(one, envelope_signature=two.envelope_signature)
    assert refusal(stolen.to_json()) == signing.ENVELOPE


def test_no_field_lends_a_letter_to_its_neighbour() -> None:
    sent = envelope(org_id="12", user_id="3")
    assert refusal(replace(sent, org_id="1", user_id="23").to_json()) == signing.ENVELOPE


def test_keys_of_others_and_revoked_and_expired_ones_verify_nothing() -> None:
    now = time.time()
    assert refusal(envelope(key=OTHER).to_json()) == signing.SIGNATURE
    assert refusal(envelope().to_json(), KEYS.without({KEY.id})) == signing.SIGNATURE
    expired = Keyring([replace(KEY, expires_at=now - 1)])
    assert refusal(envelope().to_json(), expired) == signing.SIGNATURE
    both = Keyring([OTHER, replace(KEY, expires_at=now + 5)])
    assert signing.opened(envelope().to_json(), both, DAY, now)
    assert KEYS.without(set()) is KEYS
    assert not KEY.is_revoked


def test_a_key_of_the_script_alone_does_not_sign_the_envelope() -> None:
    sent = envelope(key=OTHER)
    ours = replace(sent, signature=signing.sign_script(sent.script_content, KEY), key_id=KEY.id)
    assert refusal(ours.to_json()) == signing.ENVELOPE


def test_old_ones_and_those_of_the_future_are_refused() -> None:
    sent = envelope()
    now = sent.created_at / 1000
    for moment in (now + DAY + 1, now - 61):
        assert "too old" in refusal(sent.to_json(), now=moment)
    due = envelope(deadline=int((now + 10) * 1000))
    assert refusal(due.to_json(), now=now + 11) == "The job's deadline is over"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.pop("orgId"), "Missing field: orgId"),
        (lambda raw: raw.update(orgId=7), "Wrong field: orgId"),
        (lambda raw: raw.update(attempt=True), "Wrong field: attempt"),
        (lambda raw: raw.update(signature=""), "Empty field: signature"),
        (lambda raw: raw.update(more=1), "Unknown field: more"),
    ],
)
def test_fields_are_checked_first(change: Any, message: str) -> None:
    raw = json.loads(envelope().to_json())
    raw["scriptHash"] = "changed"
    change(raw)
    assert refusal(json.dumps(raw)) == message


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{", b"\xff\xfe\x00", "[" * 100_000, '{"a": 1, "a": 1}', "x" * 2**20 + "x"],
)
def test_what_is_no_envelope_is_refused(text: str | bytes) -> None:
    assert "envelope" in refusal(text)


def test_a_name_that_stands_there_twice_is_refused() -> None:
    text = envelope().to_json()
    assert refusal(text[:-1] + ', "orgId": "8"}') == "The envelope is not JSON"


def test_a_secret_that_is_too_short_is_refused_and_a_key_shows_none() -> None:
    with pytest.raises(SecretRefused, match="32 characters"):
        Keyring.of(["short"])
    with pytest.raises(SecretRefused, match="SCRIPT_SIGNING_SECRET"):
        Keyring.of([])
    assert OURS not in repr(KEY) + repr(KEYS.current)


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    listed = [{"secret": OURS}, {"secret": "b" * 32, "revoked": True, "expiresAt": 5}]
    path.write_text(json.dumps(listed))
    ring = Keyring.read(path)
    assert ring.current == KEY
    assert ring.keys[OTHER.id] == replace(OTHER, is_revoked=True, expires_at=5)
    for wrong in ("", "{}", "[1]", '[{"secret": 1}]', '[{"secret": "short"}]'):
        path.write_text(wrong)
        with pytest.raises(SecretRefused):
            Keyring.read(path)


# --- Chance ---------------------------------------------------------------------------------------


def test_ten_thousand_changes_by_chance_are_all_refused() -> None:
    """Of bytes of the envelope as it travels, of its fields, and of its script with a new hash."""
    seed = int(os.environ.get("MUTATION_SEED", "0")) or random.randrange(2**32)
    chance = random.Random(seed)
    sent = envelope(inputs={"invoice": "A-1", "n": 12.5}, metadata={"by": ["ana", None]})
    meaning = _meaning(sent)
    text, raw = sent.to_json().encode(), json.loads(sent.to_json())
    ways = (
        lambda: _other_bytes(text, chance),
        lambda: _other_field(raw, chance),
        lambda: _other_script(raw, chance),
    )
    changed = 0
    while changed < 10_000:
        mutant = chance.choice(ways)()
        try:
            opened = signing.opened(mutant, KEYS, DAY)
        except EnvelopeRefused:
            changed += 1
        else:  # white space between the fields
            assert _meaning(opened) == meaning, f"seed {seed}: {mutant!r}"


def _meaning(opened: Envelope) -> str:
    return json.dumps(vars(opened), sort_keys=True)


def _other_bytes(text: bytes, chance: random.Random) -> bytes:
    content = bytearray(text)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(content))
        end = at + chance.choice((0, 1, 1, 3))
        content[at:end] = chance.randbytes(chance.choice((0, 1, 1, 2)))
    return bytes(content)


def _other_field(raw: dict[str, Any], chance: random.Random) -> str:
    wire, other = chance.choices(list(raw), k=2)
    value = chance.choice((raw[other], _another(raw[wire]), chance.random(), "0", None))
    return json.dumps({**raw, wire: value})


def _other_script(raw: dict[str, Any], chance: random.Random) -> str:
    script, at = raw["scriptContent"], chance.randrange(len(raw["scriptContent"]))
    script = script[:at] + chr(chance.randrange(32, 0x2000)) + script[at + 1 :]
    return json.dumps({**raw, "scriptContent": script, "scriptHash": scripts.sha256(script)})
