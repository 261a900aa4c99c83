"""The transport on a real Redis."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from queues.browser.reports import Report, WorkerBeat
from queues.browser.signing import SIGNATURE, EnvelopeRefused, opened, parsed
from queues.browser.transport import REPLAYED, Transport
from tests.queues.envelopes import RING, die, done, envelope, ids, started, status, taken, told
from tests.racing import together


@pytest.fixture
def transport(redis_url: str) -> Transport:
    return Transport(redis_url)


# --- Order and fairness --------------------------------------------------------------------------


def test_jobs_of_an_organisation_go_in_order_and_urgent_ones_first(transport: Transport) -> None:
    first, second, third, fourth = (envelope() for _ in range(4))
    transport.push([first, second])
    transport.push([third, fourth], urgent=True)
    assert transport.waiting("1") == 4
    assert ids(taken(transport, 9)) == ids([third, fourth, first, second])
    assert transport.waiting("1") == 0


def test_one_job_does_not_wait_behind_anothers_ten_thousand(transport: Transport) -> None:
    transport.push([envelope("a")])
    transport.client.lpush("sri:org:a:jobs", *(envelope("a").to_json(),) * 9_999)
    taken(transport, 3)
    one = envelope("b")
    transport.push([one])
    assert one.job_id in ids(taken(transport, 2))
    assert transport.waiting("a") == 10_000 - 4


def test_ten_organisations_go_in_turn_whatever_their_length(transport: Transport) -> None:
    transport.push([envelope(org) for org in range(10) for _ in range(1 + 3 * org)])
    assert {job.org_id for job in taken(transport, 10)} == {str(org) for org in range(10)}
    longer = Counter(job.org_id for job in taken(transport, 9 * 3))
    assert longer == {str(org): 3 for org in range(1, 10)}


def test_an_organisation_whose_list_ran_out_comes_back_with_its_next_job(
    transport: Transport,
) -> None:
    transport.push([envelope()])
    assert taken(transport) and not taken(transport)
    transport.push([envelope()])
    assert len(taken(transport, 5)) == 1


def test_a_ring_that_was_lost_is_made_again_by_the_next_job(transport: Transport) -> None:
    transport.push([envelope("a"), envelope("b")])
    transport.client.delete("sri:ring")
    transport.push([envelope("a"), envelope("b")])
    assert len(taken(transport, 9)) == 4


def test_eight_takers_get_every_job_once(redis_url: str) -> None:
    sender = Transport(redis_url)
    jobs = [envelope(number % 7) for number in range(400)]
    sender.push(jobs)

    def work(number: int) -> list[str]:
        mine, found = Transport(redis_url), []
        while some := mine.take(f"w{number}", 1 + number % 5):
            found += [parsed(raw).job_id for raw in some]
        return found

    got = [job for some in together(8, work) for job in some]
    assert sorted(got) == sorted(ids(jobs))


# --- The life of a job ---------------------------------------------------------------------------


def test_a_job_goes_its_way_from_given_to_taken_in(transport: Transport) -> None:
    job = envelope()
    transport.push([job])
    assert status(transport, job)["status"] == "queued"
    raw, same = started(transport)
    assert same == job == opened(raw, RING, 60)
    assert status(transport, job)["status"] == "running"
    listening = transport.client.pubsub(ignore_subscribe_messages=True)
    listening.subscribe("sri:org:1:done")
    listening.get_message(timeout=1)
    result = {"name": "execution.log", "kind": "log", "path": "x", "size": 1, "sha256": "0"}
    assert transport.finish("w", raw, done(job, results=[result], values={"total": 3}))
    ended = status(transport, job)
    assert ended["status"] == "done"
    assert ended["queuedAt"] <= ended["startedAt"] <= ended["finishedAt"]
    message: Any = listening.get_message(timeout=1)
    heard = json.loads(message["data"])
    assert heard.pop("finishedAt")
    assert heard == {
        "jobId": job.job_id,
        "orgId": "1",
        "status": "done",
        "message": "",
        "results": [result],
    }
    began, finished = told(transport)
    assert (began.kind, finished.kind) == ("started", "finished")
    assert (finished.lease, finished.attempt, finished.worker) == (job.lease, 1, "w")
    assert finished.values == {"total": 3} and finished.results == [result]
    listening.close()


def test_ended_jobs_leave_nothing_that_does_not_expire(transport: Transport) -> None:
    transport.push([envelope(number % 3) for number in range(30)])
    while held := transport.take("w", 5):
        for raw in held:
            job = parsed(raw)
            transport.started("w", job)
            transport.begun("w", job)
            transport.ask_cancel(job.job_id)
            transport.log(job.job_id, ["a line"])
            transport.finish("w", raw, done(job))
    assert len(told(transport)) == 30 * 3
    found: Any = set(transport.client.keys("*"))
    forever = {key for key in found if transport.client.ttl(key) == -1}
    assert forever == {"sri:results", "sri:workers"}
    assert transport.client.xlen("sri:results") == 0
    lives = {key.rpartition(":")[2]: transport.client.ttl(key) for key in found - forever}
    assert {what: round(life / 86400) for what, life in lives.items()} == {
        "status": 30,
        "log": 1,
        "heartbeat": 0,
    }


def test_an_error_is_the_end_only_when_the_control_plane_says_so(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    report = done(job, status="error", message="the site is down", error_class="portal")
    transport.finish("w", raw, report)
    assert status(transport, job)["status"] == "running"
    with transport.client.pubsub(ignore_subscribe_messages=True) as listening:
        listening.subscribe("sri:org:1:done")
        listening.get_message(timeout=1)
        transport.ended([report])
        transport.ended([report])
        heard: Any = [listening.get_message(timeout=0.1) for _ in range(2)]
    assert json.loads(heard[0]["data"])["message"] == "the site is down"
    assert heard[1] is None
    assert status(transport, job)["status"] == "error"


def test_the_next_attempt_of_a_job_is_queued_again(transport: Transport) -> None:
    job = envelope()
    transport.push([job])
    raw, _job = started(transport)
    transport.finish("w", raw, done(job, status="error"))
    again = envelope(job_id=job.job_id, attempt=2)
    transport.push([again])
    told(transport)  # the first attempt's report does not take the second one away
    assert transport.knows([job.job_id]) == {job.job_id}
    assert status(transport, again)["status"] == "queued"
    _raw, second = started(transport)
    assert second.attempt == 2


def test_finishing_and_taking_are_one_trip(transport: Transport) -> None:
    transport.push([envelope() for _ in range(3)])
    raws = transport.take("w", 2)
    jobs = transport.started_all("w", [parsed(raw) for raw in raws])
    ended = [(raw, done(job)) for raw, job in zip(raws, jobs, strict=True)]
    (last,) = transport.finish_and_take("w", ended, 2)
    assert parsed(last).job_id not in ids(jobs)
    assert [report.kind for report in told(transport)] == ["started"] * 2 + ["finished"] * 2


# --- Replays -------------------------------------------------------------------------------------


def put(transport: Transport, *raws: str) -> None:
    """Into the queue, as somebody may who has Redis and no key."""
    for raw in raws:
        transport.client.lpush("sri:org:1:jobs", raw)
    if transport.client.lpos("sri:ring", "1") is None:
        transport.client.rpush("sri:ring", "1")


def refuse(transport: Transport, raw: str, worker: str = "w") -> Report:
    with pytest.raises(EnvelopeRefused, match="replayed"):
        transport.started(worker, parsed(raw))
    transport.refused(worker, raw, REPLAYED)
    return told(transport)[-1]


def test_a_copy_of_a_running_job_is_refused_and_the_job_goes_on(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    put(transport, raw)
    (copy,) = transport.take("other", 1)
    refusal = refuse(transport, copy, "other")
    assert (refusal.kind, refusal.message, refusal.lease) == ("refused", REPLAYED, "")
    assert refusal.job_id == job.job_id
    assert transport.finish("w", raw, done(job))
    assert told(transport)[-1].status == "done"


def test_a_copy_of_an_ended_job_is_refused(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    transport.finish("w", raw, done(job))
    for _ in range(2):  # before its report is read, and after
        put(transport, raw)
        (copy,) = transport.take("w", 1)
        assert refuse(transport, copy).lease == ""


def test_an_earlier_attempt_is_refused_and_the_later_one_runs(transport: Transport) -> None:
    old = envelope()
    new = envelope(job_id=old.job_id, attempt=2)
    transport.push([new])
    put(transport, old.to_json())
    transport.client.lmove("sri:org:1:jobs", "sri:org:1:jobs", "LEFT", "RIGHT")
    (raw,) = transport.take("w", 1)
    assert parsed(raw).attempt == 1
    assert refuse(transport, raw).lease == ""
    assert started(transport)[1].attempt == 2


def test_an_envelope_that_was_never_given_cannot_be_started(transport: Transport) -> None:
    """As after a Redis that forgot everything, and somebody who kept a copy."""
    put(transport, envelope().to_json())
    (raw,) = transport.take("w", 1)
    refuse(transport, raw)
    assert not transport.client.exists("sri:worker:w:jobs")


def test_giving_the_same_again_adds_nothing(transport: Transport) -> None:
    job = envelope()
    transport.push([job])
    transport.push([job])
    assert transport.waiting("1") == 1
    raw, _job = started(transport)
    transport.push([job])
    transport.finish("w", raw, done(job))
    transport.push([job])
    told(transport)
    transport.push([job])
    assert transport.waiting("1") == 0


def test_two_starts_of_one_lease_have_one_winner(redis_url: str) -> None:
    job = envelope()
    Transport(redis_url).push([job])

    def start(number: int) -> bool:
        return bool(Transport(redis_url).started_all(f"w{number}", [job]))

    assert sum(together(8, start)) == 1


# --- Refused -------------------------------------------------------------------------------------


def test_a_refused_envelope_is_reported_with_its_reason(transport: Transport) -> None:
    job = envelope()
    transport.push([job])
    (raw,) = transport.take("w", 1)
    transport.refused("w", raw, SIGNATURE)
    (refusal,) = told(transport)
    assert (refusal.kind, refusal.message, refusal.lease) == ("refused", SIGNATURE, job.lease)
    assert not transport.knows([job.job_id])


@pytest.mark.parametrize(
    "raw",
    ["", "no JSON", "[]", "7", '{"jobId": 7}', "[" * 5000, "x" * 2_000_000, "\udcff\udcfe"],
    ids=["empty", "text", "list", "number", "other", "deep", "large", "bytes"],
)
def test_whatever_stands_in_the_queue_is_refused_once(transport: Transport, raw: str) -> None:
    put(transport, raw)
    assert transport.take("w", 5) == [raw]
    transport.refused("w", raw, "The envelope is not JSON")
    transport.refused("w", raw, "The envelope is not JSON")
    (refusal,) = told(transport)
    assert (refusal.job_id, refusal.lease) == ("", "")
    assert refusal.message == "The envelope is not JSON"


def test_a_forged_envelope_touches_nothing_of_the_job_that_it_names(transport: Transport) -> None:
    transport.push([envelope()])
    raw, job = started(transport)
    put(transport, replace(job, lease="forged", attempt=9).to_json())
    (forged,) = transport.take("other", 1)
    transport.refused("other", forged, SIGNATURE)
    assert told(transport)[-1].lease == ""
    assert transport.begun("w", job)
    assert transport.finish("w", raw, done(job))


# --- What else lies there ------------------------------------------------------------------------


def test_heartbeats_tell_of_the_workers_that_are_alive(transport: Transport) -> None:
    beat = WorkerBeat("w", jobs=["a"], key_ids=["k"], version="1", capacity=5)
    transport.beat(beat)
    transport.beat(WorkerBeat("x"))
    die(transport, "x")
    assert transport.workers() == [beat]
    assert 29 <= transport.client.ttl("sri:worker:w:heartbeat") <= 30


def test_sessions_are_kept_for_seven_days_and_dropped(transport: Transport) -> None:
    transport.put_session(1, 2, "cargill", "sealed")
    assert transport.session(1, 2, "cargill") == "sealed"
    assert transport.client.ttl("sri:sessions:1:2:cargill") in (604_799, 604_800)
    transport.drop_session(1, 2, "cargill")
    assert transport.session(1, 2, "cargill") is None


def test_revoked_keys_are_told_to_every_worker(transport: Transport) -> None:
    assert transport.revoked() == set()
    transport.revoke_key("k")
    assert transport.revoked() == {"k"}


def test_a_live_log_is_capped_and_its_count_stays_true(transport: Transport) -> None:
    transport.log("j", ["first", "x" * 5000])
    assert transport.lines("j", 1) == ["x" * 1000]
    for _ in range(3):
        transport.log("j", [f"line {number}" for number in range(900)])
    assert len(transport.lines("j")) == 2000
    assert transport.lines("j")[0] == "first"
    assert transport.lines("j", 2000) == []
    assert 86_000 < transport.client.ttl("sri:job:j:log") <= 86_400
