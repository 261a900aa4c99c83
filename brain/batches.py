"""The open batch: how many people each generator may take of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from brain import performance, sentences
from brain.distribution import level, slots
from brain.models import DistributionBatch
from queues.models import DistributionConfig, Generator


def lock() -> DistributionConfig:
    """What rounds go by, locked until the transaction ends: one round at a time, on all hosts."""
    rows = DistributionConfig.objects.select_for_update()
    config, _created = rows.get_or_create(name="main_config")
    return config


def opened(
    config: DistributionConfig, generators: Sequence[Generator], now: datetime
) -> DistributionBatch:
    """The batch to assign from, for who holds the lock. A new one takes the place of one that is
    full, too old, or reckoned from shares that were changed since."""
    fixed = as_set(config, generators)
    batch = DistributionBatch.objects.filter(is_open=True).first()
    if batch and not (reason := _over(batch, config, fixed, now)):
        return batch
    if batch:
        _close(batch, reason, now)
    rates = performance.success_rates(generators, now - timedelta(hours=config.window_hours))
    return _open(fixed, rates, now, batch.counter if batch else 0)


def use(batch: DistributionBatch, taken: Counter[str]) -> None:
    """Count people who were assigned; the counter of the rotation moves with each."""
    batch.used = dict(Counter(batch.used) + taken)
    batch.counter += taken.total()
    batch.save(update_fields=["used", "counter"])


def as_set(config: DistributionConfig, generators: Sequence[Generator]) -> dict[str, Any]:
    """What people set and slots are reckoned from."""
    return {
        "size": config.batch_size,
        "high": config.high_threshold,
        "low": config.low_threshold,
        "remainder": next((one.name for one in generators if one.takes_remainder), None),
        "shares": {one.name: one.shares for one in generators},
    }


def reckoned(
    fixed: Mapping[str, Any], rates: Mapping[str, float]
) -> tuple[dict[str, int], dict[str, Any]]:
    """The slots of a batch by generator, and for each the rate, level and share they come from."""
    levels = {name: level(rates.get(name), fixed["high"], fixed["low"]) for name in fixed["shares"]}
    shares = {name: fixed["shares"][name][picked] for name, picked in levels.items()}
    picked = {
        name: {"rate": rates.get(name), "level": str(levels[name]), "share": shares[name]}
        for name in shares
    }
    return slots(fixed["size"], shares, fixed["remainder"]), picked


def _open(
    fixed: dict[str, Any], rates: Mapping[str, float], now: datetime, counter: int
) -> DistributionBatch:
    found, picked = reckoned(fixed, rates)
    return DistributionBatch.objects.create(
        size=fixed["size"],
        slots=found,
        inputs={**fixed, "picked": picked},
        counter=counter,
        opened_at=now,
    )


def _over(
    batch: DistributionBatch, config: DistributionConfig, fixed: Mapping[str, Any], now: datetime
) -> str:
    if batch.assigned >= batch.size:
        return sentences.FULL
    if now - batch.opened_at > config.minutes("batch"):
        return sentences.TIME_OVER
    same = {key: batch.inputs.get(key) for key in fixed} == fixed
    return "" if same else sentences.RULES_CHANGED


def _close(batch: DistributionBatch, reason: str, now: datetime) -> None:
    batch.is_open, batch.closed_at, batch.close_reason = False, now, reason
    batch.save(update_fields=["is_open", "closed_at", "close_reason"])
