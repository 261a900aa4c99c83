"""What the overview says, as plain data in no language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from brain import cycles
from brain.assigning import DISTRIBUTION
from brain.distribution import level
from devices.models.worker import ALIVE
from orchestrator_site.clock import midnight
from orchestrator_site.dashboard import asking
from orchestrator_site.dashboard.asking import (
    APPEALS,
    APPEALS_TODAY,
    FILES,
    JOBS,
    JOBS_TODAY,
    MESSAGES,
    PEOPLE,
    PEOPLE_TODAY,
    Appeal,
)
from orchestrator_site.dashboard.together import Rows, fetch
from postprocessing import reporting
from postprocessing.models import Verification, companies
from queues.mirror import door
from queues.models import (
    DistributionConfig,
    Generator,
    Job,
    QueueEntry,
)

Found = Mapping[str, Any]


def read(now: datetime, day: Found | None, window_hours: int) -> dict[str, Any]:
    """How everything stands, in one statement. `day`: what takes longer to count, as an earlier
    call found it; None counts it anew, rates over so many hours."""
    asked = (
        asking.of_now(now)
        if day
        else {**asking.of_now(now), **asking.of_the_day(now, window_hours)}
    )
    found = fetch(**asked)
    config, day = _config(found), day or _day(found, now)
    return {
        "alerts": _alerts(found),
        "attention": _attention(found, config, now),
        "brain": _brain(found, now),
        "appeals": _queue(found, "appeal", APPEALS, day["appeals"]),
        "people": _queue(found, "person", PEOPLE, day["people"]),
        "jobs": _queue(found, "job", JOBS, day["jobs"]),
        "control": {
            "expired_sessions": found["expired_sessions"],
            "messages": {one.value: found[f"message_{one}"] for one in MESSAGES},
        },
        "distribution": _distribution(found, config),
        "generators": _generators(found, config, day["rates"], now),
        "pools": _pools(found, config, now),
        "organismos": _organismos(found, day),
        "companies": _companies(found, day),
        "workers": [
            {**row, "is_alive": now - row["heartbeat_at"] < ALIVE} for row in found["workers"]
        ],
        "mirror": _mirror(found),
        "recent": [{**row, "expediente": row["told"]} for row in found["recent"]],
        "day": day,
    }


def _day(found: Found, now: datetime) -> dict[str, Any]:
    """What was done since midnight, rates, what waits by site."""
    return {
        "since_at": midnight(now),
        "appeals": {one.value: found[f"appeal_{one}"] for one in APPEALS_TODAY},
        "people": {str(one.value): found[f"person_{one}"] for one in PEOPLE_TODAY},
        "jobs": {one.value: found[f"job_{one}"] for one in JOBS_TODAY},
        "rates": {
            row["generator_id"]: round(100 * row["well"] / row["done"], 2) for row in found["rates"]
        },
        "waiting": {row["site_id"]: row["n"] for row in found["waiting"]},
        "claimed": {str(row["organismo_id"]): row["n"] for row in found["claimed"]},
        "files": {
            company.name: {one: found[f"{one}_{company.name}"] for one in FILES}
            for company in companies()
        },
    }


# --- What is made of it --------------------------------------------------------------------------


def _first(rows: Rows) -> dict[str, Any] | None:
    return rows[0] if rows else None


def _config(found: Found) -> DistributionConfig:
    return DistributionConfig(**(_first(found["configs"]) or {}))


def _queue(found: Found, name: str, statuses: Sequence[Any], today: Any) -> dict[str, Any]:
    oldest = _first(found[f"{name}_oldest"])
    return {
        "counts": {one.value: found[f"{name}_{one}"] for one in statuses},
        "today": today,
        "oldest_at": oldest["created_at"] if oldest else None,
    }


def _alerts(found: Found) -> dict[str, Any]:
    silenced = {row["id"] for row in found["silenced"]}
    worst = [{**row, "in_maintenance": row["rule_id"] in silenced} for row in found["alerts"]]
    return {"raised": found["raised"], "open": found["open_alerts"], "worst": worst}


def _attention(found: Found, config: DistributionConfig, now: datetime) -> dict[str, int]:
    """What a person should look at, by name."""
    return {
        "in_doubt": found[f"appeal_{Appeal.IN_DOUBT}"],
        "unproven_claims": found["unproven_claims"],
        "undecided_claims": found["undecided_claims"],
        "unqueued_claims": found["unqueued_claims"],
        "held": found[f"appeal_{Appeal.HELD}"],
        "stuck_devices": sum(_is_stuck(row, config, now) for row in found["held"]),
        "jobs_in_doubt": found[f"job_{Job.Status.IN_DOUBT}"],
    }


def _is_stuck(row: dict[str, Any], config: DistributionConfig, now: datetime) -> bool:
    """As `DeviceQuerySet.stuck` has it, of a row that is held."""
    since = row["task_start_time"] or row["updated_at"]
    return bool(since < now - config.minutes("stuck"))


def _pause(found: Found, name: str) -> dict[str, Any]:
    row = next((one for one in found["pauses"] if one["name"] == name), None)
    return {
        "paused": bool(row),
        "paused_by": row["by"] if row else "",
        "paused_at": row["since"] if row else None,
        "pause_reason": row["reason"] if row else "",
    }


def _brain(found: Found, now: datetime) -> dict[str, Any]:
    last, pause = _first(found["cycle"]), _pause(found, cycles.BRAIN)
    due = last["started_at"] + settings.BRAIN_SYNC_INTERVAL if last else now
    return {
        **pause,
        "last_cycle": last["id"] if last else None,
        "last_outcome": last["outcome"] if last else None,
        "last_started_at": last["started_at"] if last else None,
        "last_finished_at": last["finished_at"] if last else None,
        # Of a cycle that is due the second does not matter, and would change every second.
        "next_at": None if pause["paused"] or due <= now else due,
    }


def _distribution(found: Found, config: DistributionConfig) -> dict[str, Any]:
    batch = _first(found["batch"])
    return {
        **_pause(found, DISTRIBUTION),
        "window_hours": config.window_hours,
        "batch": {
            "id": batch["id"],
            "size": batch["size"],
            "assigned": sum(batch["used"].values()),
            "opened_at": batch["opened_at"],
        }
        if batch
        else None,
    }


def _generators(
    found: Found, config: DistributionConfig, rates: Mapping[str, float], now: datetime
) -> list[dict[str, Any]]:
    tasks = {(row["generator_id"], row["status"]): row["n"] for row in found["tasks"]}
    endpoints: dict[int, Rows] = {}
    for row in found["endpoints"]:
        if row["enabled"]:
            endpoints.setdefault(row["generator_id"], []).append(row)
    return [
        _generator(row, endpoints.get(row["id"], []), config, rates.get(row["name"]), tasks, now)
        for row in found["generators"]
    ]


def _generator(
    row: dict[str, Any],
    endpoints: Rows,
    config: DistributionConfig,
    rate: float | None,
    tasks: Mapping[tuple[str, str], int],
    now: datetime,
) -> dict[str, Any]:
    named = level(rate, config.high_threshold, config.low_threshold)
    left_alone = [one for one in endpoints if one["open_until"] and one["open_until"] > now]
    from_mongo = row["worked_by"] == Generator.WorkedBy.MONGO
    counted = {status: tasks.get((row["name"], status), 0) for status in QueueEntry.LIVE}
    return {
        **{name: row[name] for name in ("id", "name", "fleet", "process", "enabled", "status")},
        "last_failure": row["last_failure"],
        "is_reachable": from_mongo or len(endpoints) > len(left_alone),
        "left_alone": [
            {"url": one["url"], "until_at": one["open_until"], "error": one["last_error"]}
            for one in left_alone
        ],
        "level": named.value,
        "share": row[f"share_{named.value}"],
        "takes_remainder": row["takes_remainder"],
        "rate": rate,
        "tasks": {status.value: n for status, n in counted.items()},
    }


def _pools(found: Found, config: DistributionConfig, now: datetime) -> list[dict[str, Any]]:
    held = Counter((row["fleet"], row["process"]) for row in found["held"])
    stuck = Counter(
        (row["fleet"], row["process"]) for row in found["held"] if _is_stuck(row, config, now)
    )
    names = {(row["fleet"], row["process"]): row["name"] for row in found["generators"]}
    return [
        {**row, "held": held[key], "stuck": stuck[key], "generator": names.get(key)}
        for row in found["pools"]
        for key in [(row["fleet"], row["process"])]
    ]


def _organismos(found: Found, day: Found) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "waiting": day["waiting"].get(row["site_id"], 0),
            "claimed_today": day["claimed"].get(str(row["id"]), 0),
        }
        for row in found["organismos"]
    ]


def _companies(found: Found, day: Found) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "title": one.title,
            "is_simulated": reporting.is_simulated(),
            "files": day["files"].get(one.name, {}),
            "run": _first(found[f"run_{one.name}"]),
            "verification": _verification(_first(found[f"verification_{one.name}"])),
        }
        for one in companies()
    ]


def _verification(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """`coverage_*`: per cent; None where there is nothing to be covered."""
    if row is None:
        return None
    known = {name: value for name, value in row.items() if name not in ("id", "at", "found")}
    seen = Verification(**known)
    return {
        "id": row["id"],
        "seen_at": row["at"],
        "coverage_database": seen.coverage_database,
        "coverage_s3": seen.coverage_s3,
        "differences": sum((row["found"] or {}).values()),
        "error": row["error"],
    }


def _mirror(found: Found) -> dict[str, Any] | None:
    """None where there is no mirror: none is configured, and none is left on."""
    state = _first(found["mirror_state"])
    if not door.is_configured() and not (state and state["is_on"]):
        return None
    oldest = _first(found["mirror_oldest"])
    return {
        **(
            state
            or {
                "is_on": False,
                "error": "",
                "error_at": None,
                "published_at": None,
                "read_at": None,
            }
        ),
        "depth": found["mirror_depth"],
        "oldest_at": oldest["at"] if oldest else None,
        "set_aside_out": found["mirror_out"],
        "set_aside_into": found["mirror_into"],
    }
