"""The account of the chaos bench must be able to fail: a doctored record of each way to break the promise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest
from PIL import Image

from bot.texts import BotTexts
from dev.chaos import __main__ as command
from dev.chaos.account import BROKEN, Fate, draw_account
from dev.chaos.breaking import Broken
from dev.chaos.evidence import Answer, Evidence, Sent, Wish, Words
from dev.chaos.plot import draw_course
from dev.chaos.report import Report
from dev.chaos.script import FAULTS, Settings, write_script
from dev.chaos.signatures import numbered_picture, read_number
from dev.chaos.timings import Recovery, freed_at
from tasks.logs import job_name, name_jobs_with
from tasks.messages import Job, JobState

en = BotTexts("en")
ANN, BOB = 501, 502


def job(state=JobState.DONE, **changes):
    fields = {
        "id": "9:501:1",
        "state": state,
        "chat_id": ANN,
        "message_id": 1,
        "user_id": ANN,
        "locale": "en",
        "kind": "photo",
        "file_id": "f",
        "pixels": 1,
        "queue": "restore",
        "queued_ms": 100_000,
        "since_ms": 100_000,
        "ended_ms": 105_000,
        "status_message_id": 2,
    }
    return Job(**{**fields, **changes})


def document(picture, *, chat=ANN, message=2, reply_to=1, at=104.9, deleted=False):
    queued = Words(at=100.1, text="queued", has_button=True)
    result = Words(at=at, text="done", is_document=True, picture=picture)
    return Answer(chat_id=chat, message_id=message, reply_to=reply_to, history=(queued, result), deleted=deleted)


def text(words, *, message=2, reply_to=1, at=101.0, has_button=False):
    said = Words(at=at, text=words, has_button=has_button)
    return Answer(chat_id=ANN, message_id=message, reply_to=reply_to, history=(said,))


ANNS = Sent(number=7, chat_id=ANN, message_id=1, at=100.0)
BOBS = Sent(number=8, chat_id=BOB, message_id=1, at=100.0)
PRESSED = Wish(chat_id=ANN, at=102.0, message_id=1)
RESTARTED = Wish(chat_id=ANN, at=102.0, message_id=None)


def evidence(held, *answers, **more):
    return Evidence(sent=(ANNS,), answers=answers, jobs={7: held} if held else {}, **more)


KEPT = {
    Fate.DELIVERED: evidence(job(), document(7)),
    Fate.FAILED: evidence(job(JobState.FAILED, error="timeout"), text(en.failed("timeout"))),
    Fate.CANCELLED: evidence(job(JobState.CANCELLED), text(en.cancelled()), wishes=(PRESSED,)),
    Fate.CLOSED: evidence(job(JobState.FAILED, error="chat_closed"), closed={ANN: (103.0,)}),
    Fate.REFUSED: evidence(None, text(en.queue_full())),
    Fate.RESENT: evidence(job(resent=True), document(7), document(7, message=3)),
    Fate.OVERTAKEN: evidence(job(JobState.FAILED, error="worker_lost", resent=True), document(7)),
}
BREACHES = [
    (Fate.LOST, "that was all", evidence(None)),
    (Fate.LOST, "never took", evidence(None, unconfirmed=frozenset({(ANN, 1)}))),
    (Fate.LOST, "no record", evidence(None, text("queued", has_button=True))),
    (Fate.LOST, "never ended: queued", evidence(job(JobState.QUEUED), text("queued", has_button=True))),
    (Fate.LOST, "no document came", evidence(job(), text("queued", has_button=True))),
    (Fate.LOST, "never told", evidence(job(JobState.FAILED, error="timeout"), text("queued"))),
    (Fate.LOST, "never told", evidence(job(JobState.FAILED, error="timeout"), text(en.failed("internal")))),
    (Fate.LOST, "chat_closed", evidence(job(JobState.FAILED, error="chat_closed"), closed={BOB: (103.0,)})),
    (Fate.LOST, "nobody had asked", evidence(job(JobState.CANCELLED), text(en.cancelled()))),
    (
        Fate.LOST,
        "nobody had asked",
        evidence(job(JobState.CANCELLED), text(en.cancelled()), wishes=(replace(RESTARTED, at=99.0),)),
    ),
    (Fate.LOST, "never told", evidence(job(JobState.CANCELLED), text("queued"), wishes=(PRESSED,))),
    (Fate.DOUBLED, "2 documents", evidence(job(), document(7), document(7, message=3))),
    (Fate.CONTRADICTED, "cancelled", evidence(job(JobState.CANCELLED), document(7), wishes=(PRESSED,))),
    (Fate.WRONG, "no readable number", evidence(job(), document(None))),
    (Fate.WRONG, "picture 8", evidence(job(), document(8))),
    (Fate.WRONG, "it came as", evidence(job(), document(7), document(7, chat=BOB, message=5, reply_to=None))),
]


@pytest.mark.parametrize("fate", KEPT, ids=str)
def test_an_end_that_keeps_the_promise_is_called_by_its_name(fate):
    account = draw_account(KEPT[fate])
    assert (account.holds, account.verdicts[0].fate) == (True, fate)


@pytest.mark.parametrize(("fate", "reason", "doctored"), BREACHES, ids=lambda value: str(value)[:30])
def test_each_way_to_break_the_promise_is_found(fate, reason, doctored):
    account = draw_account(doctored)
    assert (account.holds, account.verdicts[0].fate) == (False, fate)
    assert reason in account.verdicts[0].reason


def test_every_fate_is_tried_here():
    assert {*KEPT, *(fate for fate, _, _ in BREACHES)} == set(Fate)
    assert {fate for fate, _, _ in BREACHES} == BROKEN


def test_a_result_in_somebody_elses_chat_is_held_against_both():
    swapped = (document(8), document(7, chat=BOB))
    both = Evidence(sent=(ANNS, BOBS), answers=swapped, jobs={7: job(), 8: job(id="9:502:1", chat_id=BOB)})
    assert [verdict.fate for verdict in draw_account(both).verdicts] == [Fate.WRONG, Fate.WRONG]


def test_a_document_that_answers_nothing_and_shows_nobodys_picture_is_a_stray():
    account = draw_account(evidence(job(), document(7), document(99, message=9, reply_to=None)))
    assert (account.holds, len(account.strays), account.verdicts[0].fate) == (False, 1, Fate.DELIVERED)


def test_a_result_whose_answer_got_lost_before_its_owner_closed_the_chat_contradicts_nothing():
    closed = evidence(job(JobState.FAILED, error="chat_closed"), document(7), closed={ANN: (104.95,)})
    assert draw_account(closed).verdicts[0].fate is Fate.CLOSED


def test_a_result_deleted_after_it_came_is_delivered_and_its_repetition_is_not_a_second_one():
    deleted = document(7, deleted=True)
    assert draw_account(evidence(job(), deleted)).verdicts[0].fate is Fate.DELIVERED
    assert draw_account(evidence(job(), deleted, document(7, message=3))).verdicts[0].fate is Fate.DELIVERED


def test_a_cancellation_may_be_told_by_the_button_or_by_the_answer_to_restart():
    cancelled = job(JobState.CANCELLED)
    by_button = evidence(cancelled, wishes=(replace(PRESSED, answer=en.cancelled()),))
    by_restart = evidence(cancelled, text(en.restarted(2, 1), reply_to=None, at=103.0), wishes=(RESTARTED,))
    assert [draw_account(each).verdicts[0].fate for each in (by_button, by_restart)] == [Fate.CANCELLED] * 2


def test_a_status_message_that_still_has_its_button_is_counted_but_breaks_nothing():
    account = draw_account(evidence(job(), document(7), text("queued", message=3, has_button=True)))
    assert (account.holds, account.looking_alive) == (True, (7,))
    blocked = evidence(
        job(JobState.FAILED, error="chat_closed"), text("queued", has_button=True), closed={ANN: (103.0,)}
    )
    assert draw_account(blocked).looking_alive == ()  # nobody can change anything there


def report(doctored, deaf=()):
    return Report(
        settings=Settings(jobs=1),
        began=100.0,
        lasted_s=10.0,
        settled_s=1.0,
        roll_call_s=1.0,
        evidence=doctored,
        account=draw_account(doctored),
        broken=(),
        recoveries=(),
        freed={},
        restarts={},
        ended_by_themselves=(),
        deaf=deaf,
        not_done=0,
    )


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (report(KEPT[Fate.DELIVERED]), 0),
        (report(KEPT[Fate.RESENT]), 0),
        (report(KEPT[Fate.DELIVERED], deaf=("worker1",)), 1),
        *((report(doctored), 1) for _, _, doctored in BREACHES),
    ],
)
def test_the_exit_status_is_that_of_the_account(made, status, tmp_path, monkeypatch, capsys):
    async def run(*_, **__):
        return made

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "_draw", lambda *_: None)  # takes longer than all the rest
    assert command.main(["--jobs", "1", "--folder", str(tmp_path)]) == status
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["holds"] is (status == 0)
    assert sum(told["account"].values()) == len(told["jobs"]) == 1
    assert ("The promise was kept." in capsys.readouterr().out) is (status == 0)


def test_the_course_of_a_run_is_drawn_also_where_a_record_is_missing(tmp_path):
    faults = tuple(Broken(name=name, planned_s=1.0, at=101.0, until=103.0) for name in FAULTS)
    both = Evidence(sent=(ANNS, BOBS), answers=(document(7),), jobs={7: job()})
    draw_course(replace(report(both), broken=faults), tmp_path / "course.png")
    with Image.open(tmp_path / "course.png") as picture:
        assert picture.width > 1000


def test_the_window_is_the_time_from_the_chat_to_the_store():
    sent_anew = replace(document(7, message=3, at=104.0))
    told = report(evidence(job(), sent_anew)).to_json()["window_s"]
    assert (told["sent"]["median"], told["edited"]["count"]) == (1.0, 0)
    assert report(evidence(job(), document(7))).to_json()["window_s"]["edited"]["median"] == pytest.approx(0.1)


def test_a_job_that_had_to_wait_for_a_new_worker_is_not_counted_among_those_that_had_not():
    lost = [("worker killed", 4.0), ("all workers killed", 9.0)]
    recoveries = tuple(Recovery(job_id="9:501:1", fault=fault, seconds=seconds) for fault, seconds in lost)
    told = replace(report(KEPT[Fate.DELIVERED]), recoveries=recoveries).to_json()
    assert (told["recovery_s"]["max"], told["recovery_after_all_s"]["max"]) == (4.0, 9.0)


def test_a_seed_writes_the_same_script_again_and_another_one_a_different_script():
    assert write_script(Settings(seed=5)) == write_script(Settings(seed=5)) != write_script(Settings(seed=6))


def test_a_long_script_has_every_fault_and_every_kind_of_picture():
    script = write_script(Settings(jobs=4000))
    assert {fault.name for fault in script.faults} == set(FAULTS)
    assert {send.kind for send in script.sends} == {"photo", "document", "sticker"}
    gaps = [after.at_s - before.at_s for before, after in zip(script.faults, script.faults[1:], strict=False)]
    assert 1.0 < sum(gaps) / len(gaps) < 2.0


def test_only_the_faults_that_were_asked_for_are_in_the_script():
    names = {fault.name for fault in write_script(Settings(faults=("redis", "bot killed"))).faults}
    assert names == {name for name in FAULTS if name.startswith("redis")} | {"bot killed"}
    assert not write_script(Settings(every_s=0)).faults


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_a_number_can_be_read_from_its_picture_and_no_other_one(file_format):
    for number in (0, 1, 4711, 65535):
        assert read_number(numbered_picture(number, file_format=file_format)) == number


def test_what_carries_no_number_reads_as_none():
    whole = numbered_picture(4711, file_format="PNG")
    assert [read_number(content) for content in (b"", whole[:200], numbered_picture(1)[:400])] == [None] * 3


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--pace", "0"], ["--faults", "flood"], ["--seed", "x"]])
def test_options_that_make_no_sense_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert arguments[0].strip("-") in capsys.readouterr().err


def test_a_cancel_is_timed_by_the_line_that_a_worker_writes_under_the_pseudonym_of_the_job(tmp_path):
    name_jobs_with("a token")
    cancelled = job(JobState.CANCELLED)
    at = datetime.fromtimestamp(cancelled.ended_ms / 1000 + 0.5)
    when, name = f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03d}", job_name(cancelled.id)
    (tmp_path / "worker1.log").write_text(f"{when} INFO    tasks.restore [{name}] free for the next job\n")
    ((freed, times),) = freed_at(tmp_path).items()
    assert freed == name
    assert times == [pytest.approx(cancelled.ended_ms / 1000 + 0.5, abs=0.01)]
