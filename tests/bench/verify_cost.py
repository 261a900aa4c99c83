"""What the verification of a 10 KB script costs over the two sums that it cannot do without.

In turns with bare `hashlib.sha256` and `hmac.digest` of the same bytes. The opening of a whole
envelope with that script (JSON, fields, both signatures, age) is there to be read.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable

from queues.browser.signing import opened, verify_script
from tests.bench.support.figure import Figure, Target, compared
from tests.queues.envelopes import KEY, RING, envelope

BYTES = 10 * 1024
TIMES, RUNS = 500, 31
QUICK_TIMES, QUICK_RUNS = 200, 11
MOST = 1.5


def run(quick: bool) -> list[Figure]:
    times, runs = (QUICK_TIMES, QUICK_RUNS) if quick else (TIMES, RUNS)
    script = ('{"steps":[' + "x" * BYTES)[: BYTES - 2] + "]}"
    known = envelope(script=script)
    content, secret, text = script.encode(), KEY.secret.encode(), known.to_json()

    def bare() -> None:
        made = hashlib.sha256(content).hexdigest()
        signature = hmac.digest(secret, content, "sha256").hex()
        assert made == known.script_hash and signature == known.signature

    def verified() -> None:
        verify_script(script, known.script_hash, known.signature, KEY.id, RING)

    def whole() -> None:
        opened(text, RING, 3600)

    rounds = [[_microseconds(do, times) for do in (verified, whole, bare)] for _ in range(runs)]
    ours, envelopes, theirs = ([one[side] for one in rounds] for side in range(3))
    target = Target("ratio", "<=", MOST)
    return [
        compared("verify_cost.script", ours, theirs, "us", target, f"{BYTES} bytes"),
        compared("verify_cost.envelope", envelopes, theirs, "us"),
    ]


def _microseconds(do: Callable[[], None], times: int) -> float:
    """Of this process alone: a call is too short for others to be left in."""
    began = time.process_time()
    for _ in range(times):
        do()
    return (time.process_time() - began) / times * 1e6
