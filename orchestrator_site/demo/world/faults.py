"""What goes wrong in the world, on request. Tests and the demo write it, the sites read it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator_site.demo.world import store

ALL = "*"
SITES = ("intranet", "xaloc", "madrid")
COMPANIES = ("afinia", "aire")  # a complaint's SGC number stands for the expediente
# On any page. `value`: seconds for slow, where to for redirected, else the step or "" for all.
PAGE_FAULTS = ("slow", "error500", "cut", "changed_page", "redirected")
SITE_FAULTS = (*PAGE_FAULTS, "logged_out", "lost_receipt", "refused", "die_after_send")
INTRANET_FAULTS = (*PAGE_FAULTS, "expire_sessions", "ignore_assign", "steal", "die_after_assign")
COMPANY_FAULTS = (*PAGE_FAULTS, "expire_sessions")
PORTAL = "granos"
# `value` of webhook_answer: the HTTP status; who is told stands for the expediente.
PORTAL_FAULTS = (*PAGE_FAULTS, "expire_sessions", "webhook_answer")
LATENCY = "latency"

_MATCHES = """
    site IN (:site, '*') AND expediente IN ('', :expediente) AND (times IS NULL OR times > 0)
"""


@dataclass(frozen=True)
class Fault:
    """A switch that is on. `times` is how many hits are left, None for as long as it is on."""

    site: str
    fault: str
    expediente: str = ""
    times: int | None = None
    value: str = ""


def set_fault(
    site: str, fault: str, expediente: str = "", times: int | None = None, value: str = ""
) -> None:
    """Switch a fault on, for one expediente or all, for the first `times` hits or for good.

    Setting it again replaces it. Raises ValueError for what the site cannot do.
    """
    if fault not in possible(site):
        raise ValueError(f"{site} has no fault {fault}: {', '.join(possible(site))}")
    if fault == "slow":
        float(value)
    _write(Fault(site, fault, expediente, times, str(value)))


def set_latency(seconds: float) -> None:
    """How long every page of the world takes besides; 0 at first."""
    _write(Fault(ALL, LATENCY, value=str(float(seconds))))


def clear(site: str = "") -> None:
    """Switch a site's faults off, or everything and the latency."""
    with store.opened() as database:
        database.execute("DELETE FROM faults WHERE :site IN ('', site)", {"site": site})


def possible(site: str) -> tuple[str, ...]:
    """The faults that a site can have."""
    if site in COMPANIES:
        return COMPANY_FAULTS
    if site == PORTAL:
        return PORTAL_FAULTS
    if site not in SITES:
        raise ValueError(f"no site {site}: {', '.join((*SITES, *COMPANIES, PORTAL))}")
    return INTRANET_FAULTS if site == "intranet" else SITE_FAULTS


def active() -> list[Fault]:
    """What is switched on and not used up."""
    with store.opened() as database:
        rows = database.execute(
            "SELECT site, fault, expediente, times, value FROM faults"
            " WHERE times IS NULL OR times > 0 ORDER BY id"
        )
        return [Fault(**row) for row in rows]


def hit(site: str, fault: str, expediente: str = "", step: str | None = None) -> str | None:
    """Let a fault strike and count it; its value, or None where it does not strike.

    With `step`, the value is the step that it is limited to. An expediente's own switch goes
    before the one for all.
    """
    wanted = {"site": site, "fault": fault, "expediente": expediente, "step": step}
    with store.opened() as database:
        row = database.execute(
            f"""UPDATE faults SET times = times - 1 WHERE id = (
                SELECT id FROM faults WHERE fault = :fault AND {_MATCHES}
                    AND (:step IS NULL OR value IN ('', :step))
                ORDER BY expediente DESC, id LIMIT 1
            ) RETURNING value""",
            wanted,
        ).fetchone()
    return None if row is None else row["value"]


def _write(fault: Fault) -> None:
    with store.opened() as database:
        database.execute(
            "INSERT OR REPLACE INTO faults (site, fault, expediente, times, value)"
            " VALUES (:site, :fault, :expediente, :times, :value)",
            vars(fault),
        )
