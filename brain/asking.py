"""Asking the origin for claims while the batch before is settled here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from brain import origin
from brain.claimers import Answer, Claimer, ClaimerUnavailable
from brain.models import Claim
from brain.proving import delays


@dataclass(frozen=True)
class Told:
    """What came of asking. `shown` is the first read-back, where one was due at once."""

    answers: Mapping[int, Answer]
    shown: Mapping[int, origin.Row] | None = None
    unavailable: ClaimerUnavailable | None = None


class Inline(Executor):
    """Does the work in the caller's thread, at once."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def line_for(claimer: Claimer) -> Iterator[Executor]:
    """A thread of its own for claims in batches: the origin answers one while we settle another.

    One by one there is nothing to overlap, and a browser stays in its caller's thread. Inside a
    transaction on the origin another connection would not see what the caller did.
    """
    if claimer.batch == 1 or origin.is_in_transaction():
        yield Inline()
        return
    with ThreadPoolExecutor(1, thread_name_prefix="origin") as pool:
        try:
            yield pool
        finally:
            pool.submit(origin.hang_up)


def ask(claimer: Claimer, claims: Sequence[Claim]) -> Told:
    """Claim a batch that is written down already. Never raises ClaimerUnavailable: what was done
    before it came is to be read back."""
    try:
        answers = claimer.claim(list(claims))
    except ClaimerUnavailable as error:
        told = {claim.resource_id: Answer(str(error)[:200]) for claim in claims}
        return Told(told, unavailable=error)
    return Told(answers, _first_look(claims, answers))


def _first_look(
    claims: Sequence[Claim], answers: Mapping[int, Answer]
) -> Mapping[int, origin.Row] | None:
    if not claims or delays(answers)[0]:
        return None
    try:
        return origin.read_back([claim.resource_id for claim in claims])
    except origin.OriginError:
        return None  # the prover asks again, and tells
