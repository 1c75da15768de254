"""A worker's way with a result: a real Redis, real HTTP to the emulator; only the network that restores is a toy."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
import pytest_asyncio
from filelock import FileLock

from emulator import TOKEN, Blocked, Emulator, Hang, ResetAfter, RetryAfter, Slow
from models import RestoreOptions
from models.errors import DamagedImage
from tasks import door, endings, progress
from tasks.apology import apologise
from tasks.app import check_token
from tasks.budget import SendBudget
from tasks.door import TelegramDoor
from tasks.janitor import Messenger
from tasks.lease import Lease
from tasks.messages import JobState, RestorePhoto, WorkerCard
from tasks.restore import Workshop
from tasks.settings import WorkerSettings
from tasks.store import TELL_AGAIN_AFTER_S, JobStore
from tasks.telegram import TelegramBusyError, TelegramClient, TelegramError, TelegramRefusalError, TokenRejectedError
from tasks.texts import Texts
from tests.tasks.conftest import UNLIMITED, wish
from tests.tasks.test_workshop import RESULT
from tests.web_server import serving

WRONG_SECRET = "x" * 35


@pytest_asyncio.fixture
async def telegram():
    async with Emulator.running() as running:
        yield running


@pytest.fixture
def bench(telegram, store, tmp_path, monkeypatch):
    monkeypatch.setattr(door, "FIRST_PAUSE_S", 0.1)
    bench = Bench(telegram, store, tmp_path)
    yield bench
    for client in bench.clients:
        client.close()


class Bench:
    """Workers in this process, with hands as they have them in earnest."""

    def __init__(self, telegram, store, folder):
        self.telegram, self.store, self.folder = telegram, store, folder
        self.clients = []

    def door(self, *, token=None, **options):
        client = TelegramClient(token or self.telegram.token, api_url=self.telegram.api_url, **options)
        self.clients.append(client)
        return TelegramDoor(client, max_file_bytes=10**7, budget=SendBudget(self.store.redis, bot_id=9))

    def workshop(self, door=None, *, restore=lambda *_, **__: RESULT, **options):
        return Workshop(
            **{
                "store": self.store,
                "door": door or self.door(),
                "restorer": SimpleNamespace(restore=restore),
                "options": RestoreOptions(),
                "device_lock": FileLock(self.folder / "lock", thread_local=False),
                "ring": lambda _: None,
                "worker": "w",
                "queues": ("restore",),
                "lease_s": 5.0,
                "job_timeout_s": 60.0,
                **options,
            }
        )

    async def a_job(self, user, *, with_status=True, chat=None, topic=None):
        """Hand in a picture as the bot does, which shows its status in the chat."""
        who = user.at(chat, topic=topic) if chat else user
        message = await who.sends_document("a.png", content=b"picture")
        chat_id = chat.id if chat else user.id
        fields = {"chat_id": chat_id, "message_id": message.message_id, "user_id": user.id, "file_id": message.file_id}
        known = {
            "bot_id": self.telegram.state.bot.id,
            "locale": "en",
            "kind": "document",
            "pixels": 1,
            "thread_id": topic or 0,
        }
        job = self.store.submit(RestorePhoto(**fields, **known), **UNLIMITED).job
        if with_status:
            params = {"chat_id": chat_id, "text": "queued", "reply_parameters": {"message_id": message.message_id}}
            status = await asyncio.to_thread(self.door()._telegram.call, "sendMessage", params)
            self.store.attach_status(job.id, status["message_id"])
        return job

    def now(self, job):
        return self.store.get(job.id)

    def untold(self):
        return self.store.redis.zrange("restora:untold", 0, -1)

    def aside(self):
        return self.store.redis.zrange("restora:aside", 0, -1)

    def lose_lease(self, job):
        self.store.redis.zadd("restora:leases", {job.id: 1})
        self.store.sweep(longest_run_s=1e6)


async def run(workshop):
    return await asyncio.to_thread(workshop.run_next)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def from_bot(chat):
    return [message for message in chat.messages if message.from_bot]


# A token that Telegram rejects


def with_secret(telegram, secret):
    return f"{telegram.token.split(':')[0]}:{secret}"


async def test_a_token_telegram_rejects_burns_no_job(telegram, bench):
    user = telegram.user("Ann")
    jobs = [await bench.a_job(user), await bench.a_job(user)]
    rejected = []
    token = with_secret(telegram, WRONG_SECRET)
    workshop = bench.workshop(bench.door(token=token, on_rejected=lambda: rejected.append(1)))
    assert await run(workshop)
    assert not await run(workshop)  # nor does it take another one
    for job in jobs:
        assert (bench.now(job).state, bench.now(job).tries) == (JobState.QUEUED, 0)
    assert (bench.untold(), rejected != []) == ([], True)
    good = bench.workshop()
    assert [await run(good), await run(good), await run(good)] == [True, True, False]
    assert [bench.now(job).state for job in jobs] == [JobState.DONE, JobState.DONE]


async def test_a_token_revoked_before_the_delivery_costs_no_result_and_no_flag(telegram, bench):
    job = await bench.a_job(telegram.user("Ann"))

    def revoked_meanwhile(*_, **__):
        telegram.state.token = with_secret(telegram, WRONG_SECRET)
        return RESULT

    assert await run(bench.workshop(restore=revoked_meanwhile))
    now = bench.now(job)
    assert (now.state, now.tries, now.resent, bench.untold()) == (JobState.QUEUED, 0, False, [])


async def test_after_a_token_was_revoked_owners_of_what_waited_are_asked_to_send_it_again(telegram, bench):
    ann, ben = telegram.user("Ann"), telegram.user("Ben")
    bench.store = JobStore(bench.store.redis, secret=telegram.token)
    before = await bench.a_job(ann)
    old = bench.workshop()
    telegram.state.token = with_secret(telegram, "n" * 35)  # which does to the one before what /revoke does
    assert await run(old)
    assert bench.now(before).state is JobState.QUEUED
    bench.store = JobStore(bench.store.redis, secret=telegram.token)
    after = await bench.a_job(ben)
    new = bench.workshop()
    assert [await run(new), await run(new)] == [True, True]
    await ben.receives_text(containing="ready")
    assert [message.text for message in from_bot(ann.chat)] == [Texts("en").failed("not_genuine")]
    assert "send it again" in from_bot(ann.chat)[0].text
    assert (bench.now(before).state, bench.now(after).state) == (JobState.FAILED, JobState.DONE)
    assert bench.untold() == []


async def test_an_apology_with_a_token_telegram_rejects_stays_due(telegram, bench):
    job = await bench.a_job(telegram.user("Ann"))
    bench.store.finish(bench.store.claim(["restore"], worker="w", lease_s=5), JobState.FAILED, error="timeout")
    wrong = bench.door(token=with_secret(telegram, WRONG_SECRET))
    await asyncio.to_thread(apologise, bench.store, wrong, bench.now(job))
    assert bench.untold() == [job.id]


def test_a_network_that_is_away_does_not_hinder_a_start():
    check_token(WorkerSettings(_env_file=None, bot_token=TOKEN, telegram_api_url="http://127.0.0.1:9"))


async def test_a_token_that_is_right_does_not_hinder_a_start(telegram):
    settings = WorkerSettings(_env_file=None, bot_token=telegram.token, telegram_api_url=telegram.api_url)
    await asyncio.to_thread(check_token, settings)
    assert [call.method for call in telegram.calls] == ["getMe"]


@pytest.mark.parametrize("status", [401, 404])
def test_both_ways_to_reject_a_token_are_known(status):
    body = json.dumps({"ok": False, "error_code": status, "description": "Not Found"}).encode()
    with serving({"/": (status, {}, body)}) as server:
        client = TelegramClient(TOKEN, api_url=server.url)
        with pytest.raises(TokenRejectedError) as caught:
            client.call("sendMessage", {})
        client.close()
    assert TOKEN not in str(caught.value)


async def test_a_job_of_another_bot_is_put_aside_untouched(telegram, bench):
    bench.store.submit(wish(1, 1), **UNLIMITED)
    bench.store.redis.hset("restora:job:9:1:1", "status_message_id", 7)
    assert await run(bench.workshop(store=JobStore(bench.store.redis, bot_id=telegram.state.bot.id)))
    now = bench.store.get("9:1:1")
    assert (now.state, now.tries, bench.aside(), telegram.calls) == (JobState.QUEUED, 0, ["9:1:1"], [])


# What is known of a delivery, and what is not


async def test_a_result_that_may_have_come_before_a_long_silence_is_flagged(telegram, bench):
    user = telegram.user("Ann")
    job = await bench.a_job(user)
    telegram.misbehaves("editMessageMedia", ResetAfter(), times=1)
    telegram.misbehaves("editMessageMedia", RetryAfter(60), times=1)
    await run(bench.workshop())
    assert from_bot(user.chat)[-1].kind == "document"
    assert (bench.now(job).state, bench.now(job).resent) == (JobState.QUEUED, True)


async def test_a_result_telegram_did_not_take_is_not_flagged(telegram, bench):
    job = await bench.a_job(telegram.user("Ann"))
    telegram.misbehaves("editMessageMedia", RetryAfter(60), times=1)
    await run(bench.workshop())
    assert (bench.now(job).state, bench.now(job).resent) == (JobState.QUEUED, False)


async def test_a_result_that_may_have_come_before_its_chat_was_closed_is_flagged(telegram, bench):
    job = await bench.a_job(telegram.user("Ann"))
    telegram.misbehaves("editMessageMedia", ResetAfter(), times=1)
    telegram.misbehaves("editMessageMedia", Blocked(), times=1)
    await run(bench.workshop())
    now = bench.now(job)
    assert (now.state, now.error, now.resent) == (JobState.FAILED, "chat_closed", True)


async def test_a_chat_that_was_closed_before_anything_came_flags_nothing(telegram, bench):
    job = await bench.a_job(telegram.user("Ann"))
    telegram.misbehaves("editMessageMedia", Blocked(), times=1)
    await run(bench.workshop())
    now = bench.now(job)
    assert (now.state, now.error, now.resent) == (JobState.FAILED, "chat_closed", False)


async def test_who_unblocks_the_bot_is_told_in_the_status_message_what_became_of_the_picture(telegram, bench):
    user = telegram.user("Ann")
    job, other = await bench.a_job(user), await bench.a_job(user)
    telegram.misbehaves("editMessageMedia", Blocked(), times=1)
    await run(bench.workshop())
    await user.unblocks_bot()
    await run(bench.workshop())
    assert [bench.now(each).error for each in (job, other)] == ["chat_closed", ""]
    assert (bench.untold(), bench.store.tell_again(user.id), bench.untold()) == ([], 1, [job.id])
    await asyncio.to_thread(Messenger(bench.store, bench.door()).apologise_for_others)
    status = user.chat.find(bench.now(job).status_message_id)
    assert (status.text, status.buttons) == (Texts("en").failed("chat_closed"), ())
    assert status.text != Texts("en").failed("internal")
    assert bench.untold() == []


async def test_who_unblocks_the_bot_is_told_of_whatever_ended_meanwhile(telegram, bench):
    user = telegram.user("Ann")
    damaged, cancelled, _ = [await bench.a_job(user) for _ in range(3)]
    bench.store.cancel(user.id, cancelled.id)
    await user.blocks_bot()
    bench.store.finish(bench.store.claim(["restore"], worker="w", lease_s=5), JobState.FAILED, error="damaged_image")
    bench.store.finish(bench.store.claim(["restore"], worker="w", lease_s=5), JobState.DONE)
    apologise = Messenger(bench.store, bench.door()).apologise_for_others
    bench.store.redis.zadd("restora:untold", {damaged.id: 0, cancelled.id: 0})
    await asyncio.to_thread(apologise)
    assert bench.untold() == []
    await user.unblocks_bot()
    assert bench.store.tell_again(user.id) == 2
    await asyncio.to_thread(apologise)
    words = [user.chat.find(bench.now(job).status_message_id).text for job in (damaged, cancelled)]
    assert words == [Texts("en").failed("damaged_image"), Texts("en").cancelled()]


async def test_who_unblocks_the_bot_twice_is_told_once_what_became_of_a_picture(telegram, bench):
    user = telegram.user("Ann")
    job = await bench.a_job(user, with_status=False)
    await user.blocks_bot()
    await run(bench.workshop())
    apologise = Messenger(bench.store, bench.door()).apologise_for_others
    assert bench.store.tell_again(user.id) == 1
    await asyncio.to_thread(apologise)  # the chat is closed once more when the janitor comes
    assert (from_bot(user.chat), bench.untold()) == ([], [])
    await user.unblocks_bot()
    assert (bench.store.tell_again(user.id), bench.store.tell_again(user.id), bench.untold()) == (1, 0, [job.id])
    await asyncio.to_thread(apologise)
    assert bench.store.tell_again(user.id) == 0
    await asyncio.to_thread(apologise)
    assert [message.text for message in from_bot(user.chat)] == [Texts("en").failed("chat_closed")]


async def test_a_send_is_repeated_three_times_at_most_and_then_the_job_ends(telegram, bench):
    user = telegram.user("Ann")
    job = await bench.a_job(user, with_status=False)
    telegram.misbehaves("sendDocument", ResetAfter(), times=None)
    workshop = bench.workshop()
    await run(workshop)
    now = bench.now(job)
    assert (now.state, now.error, now.resent) == (JobState.FAILED, "unconfirmed", True)
    assert [message.kind for message in from_bot(user.chat)] == ["document"] * 3 + ["text"]
    assert "whether the result reached you" in from_bot(user.chat)[-1].text


async def test_sends_of_deliveries_before_count_towards_the_three(telegram, bench):
    user = telegram.user("Ann")
    job = await bench.a_job(user, with_status=False)
    for rule in (ResetAfter(), ResetAfter(), RetryAfter(60), ResetAfter()):
        telegram.misbehaves("sendDocument", rule, times=1)
    workshop = bench.workshop()
    await run(workshop)
    assert (bench.now(job).state, bench.now(job).resent) == (JobState.QUEUED, True)
    bench.store.redis.zadd("restora:aside", {job.id: 1})
    bench.store.redis.delete(*bench.store.redis.keys("restora:silence:*"))
    bench.store.sweep(longest_run_s=1e6)
    await run(bench.workshop())  # another worker
    assert bench.now(job).state is JobState.FAILED
    assert sum(message.kind == "document" for message in from_bot(user.chat)) == 3


@pytest.mark.parametrize(("unknown", "error"), [(True, "unconfirmed"), (False, "telegram")])
async def test_nobody_says_that_a_result_was_not_taken_where_a_send_before_may_have_brought_it(store, unknown, error):
    store.submit(wish(1, 1), **UNLIMITED)
    job = store.claim(["restore"], worker="w", lease_s=5)
    lease, fake = Lease(store, job, lease_s=5, timeout_s=60), FakeDoor(None)
    lease.unknown_sends = int(unknown)
    endings.Endings(store, fake, ring=lambda _: None).fail(lease, "telegram")
    assert (store.get(job.id).error, fake.said) == (error, [(Texts("en").failed(error), job.id)])


@pytest.mark.parametrize("with_status", [True, False])
async def test_a_result_that_found_no_connection_is_neither_unknown_nor_a_reason_to_end(bench, telegram, with_status):
    job = await bench.a_job(telegram.user("Ann"), with_status=with_status)

    def network_goes_away(*_, **__):
        for client in bench.clients:
            client._api_url = "http://127.0.0.1:9"
        return RESULT

    await run(bench.workshop(restore=network_goes_away))
    now = bench.now(job)
    assert (now.state, now.resent, now.unknown_sends, bench.aside()) == (JobState.QUEUED, False, 0, [job.id])


class FakeDoor:
    """A door of which a test says what it does; the rest is as quiet as can be."""

    def __init__(self, deliver):
        self.deliver = lambda job, *_, **options: deliver(job, **options)
        self.said = []

    def fetch(self, *_, **__):
        return b"picture"

    def announce(self, job):
        self.said.append(("ready", job.id))

    def tell(self, job, text):
        self.said.append((text, job.id))


def over_the_hard_limit(*_, **__):
    time.sleep(0.2)
    raise SystemExit(1)


async def test_a_job_over_the_hard_limit_before_its_delivery_fails_unflagged(store, bench):
    job = store.submit(wish(1, 1), **UNLIMITED).job
    with pytest.raises(SystemExit):
        await run(bench.workshop(FakeDoor(over_the_hard_limit), job_timeout_s=0.1, restore=over_the_hard_limit))
    now = bench.now(job)
    assert (now.state, now.error, now.resent) == (JobState.FAILED, "timeout", False)


async def test_a_slow_delivery_that_is_cut_off_is_repeated_and_flagged_but_not_for_ever(store, bench):
    job = store.submit(wish(1, 1), **UNLIMITED).job
    seen = []
    for _ in range(3):
        with pytest.raises(SystemExit):
            await run(bench.workshop(FakeDoor(over_the_hard_limit), job_timeout_s=0.1))
        seen.append((bench.now(job).state, bench.now(job).resent))
    assert seen == [(JobState.QUEUED, True), (JobState.QUEUED, True), (JobState.FAILED, True)]
    assert bench.now(job).error == "telegram"


async def test_a_result_telegram_refuses_is_not_flagged(store, bench):
    def too_large(*_, **__):
        raise TelegramRefusalError("sendDocument", 413, "Request Entity Too Large")

    job = store.submit(wish(1, 1), **UNLIMITED).job
    await run(bench.workshop(FakeDoor(too_large)))
    now = bench.now(job)
    assert (now.state, now.error, now.resent) == (JobState.FAILED, "result_too_large", False)


# A job that is not this worker's any more


async def test_a_worker_that_lost_its_lease_does_not_try_again(telegram, bench, monkeypatch):
    monkeypatch.setattr(door, "FIRST_PAUSE_S", 1.5)
    user = telegram.user("Ann")
    job = await bench.a_job(user)
    rule = telegram.misbehaves("editMessageMedia", RetryAfter(1), times=1)
    running = asyncio.create_task(run(bench.workshop()))
    await until(lambda: rule.struck)
    bench.lose_lease(job)
    await running
    assert len(telegram.calls_of("editMessageMedia")) == 1
    assert bench.now(job).state is JobState.QUEUED
    assert [message.kind for message in from_bot(user.chat)] == ["text"]


async def test_a_worker_that_was_frozen_past_its_lease_asks_before_it_delivers(store, submit):
    submit(1, 1)
    job = store.claim(["restore"], worker="w", lease_s=0.05)
    lease = Lease(store, job, lease_s=0.05, timeout_s=60)  # its thread does not run: it is frozen, too
    assert not lease.is_lost()
    await asyncio.sleep(0.1)
    assert not lease.is_lost()  # nobody has taken the job, so the lease is renewed
    await asyncio.sleep(0.1)
    store.sweep(longest_run_s=1e6)
    assert lease.is_lost()


async def test_a_result_of_a_job_that_became_somebody_elses_is_not_announced(store, bench):
    def lost_meanwhile(job, **_):
        bench.lose_lease(job)
        return True

    job = store.submit(wish(1, 1), **UNLIMITED).job
    fake = FakeDoor(lost_meanwhile)
    await run(bench.workshop(fake))
    assert (bench.now(job).state, fake.said) == (JobState.QUEUED, [])


# Words


@pytest.fixture
def quick_progress(monkeypatch):
    monkeypatch.setattr(progress, "FIRST_EDIT_AFTER_S", 0.01)
    monkeypatch.setattr(progress, "SLOW_CALL_S", 0.1)


def damaged_after(condition):
    def restore(*_, on_progress, **__):
        on_progress(0.5)
        while not condition():
            time.sleep(0.01)
        raise DamagedImage("cut off")

    return restore


async def test_a_progress_edit_under_way_does_not_replace_the_apology(telegram, bench, quick_progress):
    user = telegram.user("Ann")
    job = await bench.a_job(user)
    rule = telegram.misbehaves("editMessageText", Slow(0.5), times=1)
    await run(bench.workshop(restore=damaged_after(lambda: rule.struck)))
    await asyncio.sleep(0.6)
    assert from_bot(user.chat)[-1].text == Texts("en").failed(bench.now(job).error)
    assert bench.untold() == []


async def test_an_edit_that_hangs_leaves_the_apology_to_a_janitor(telegram, bench, quick_progress, monkeypatch):
    monkeypatch.setattr(endings, "LAST_EDIT_S", 0.1)
    job = await bench.a_job(telegram.user("Ann"))
    rule = telegram.misbehaves("editMessageText", Slow(3), times=1)
    began = time.monotonic()
    await run(bench.workshop(restore=damaged_after(lambda: rule.struck)))
    assert time.monotonic() - began < 2.5
    assert (bench.now(job).state, bench.untold()) == (JobState.FAILED, [job.id])
    assert len(telegram.calls_of("editMessageText")) == 1


async def test_telling_is_over_before_another_janitor_begins(telegram, bench, monkeypatch):
    assert door.TELLING_S < TELL_AGAIN_AFTER_S
    monkeypatch.setattr(door, "NO_TRY_AFTER_S", 0.3)
    monkeypatch.setattr(door, "WORD_TIMEOUT_S", 0.5)
    job = await bench.a_job(telegram.user("Ann"))
    telegram.misbehaves("editMessageText", Hang(), times=None)
    began = time.monotonic()
    with pytest.raises(TelegramError):
        await asyncio.to_thread(bench.door().tell, bench.now(job), "sorry")
    assert time.monotonic() - began < 2
    assert len(telegram.calls_of("editMessageText")) == 1


# A group that became a supergroup


async def test_a_result_follows_a_group_that_became_a_supergroup(telegram, bench):
    ann = telegram.user("Ann")
    group = telegram.group("Family", [ann])
    job = await bench.a_job(ann, chat=group)
    new = telegram.upgrades(group)
    await run(bench.workshop())
    assert bench.now(job).state is JobState.DONE
    (document,) = from_bot(new)
    assert (document.content, document.reply_to) == (b"result", None)  # its number there is another message's


async def test_an_apology_follows_a_group_that_became_a_supergroup(telegram, bench):
    ann = telegram.user("Ann")
    group = telegram.group("Family", [ann])
    await bench.a_job(ann, chat=group)
    new = telegram.upgrades(group)
    await run(bench.workshop(restore=damaged_after(lambda: True)))
    assert [message.text for message in from_bot(new)] == [Texts("en").failed(DamagedImage.code)]
    assert bench.untold() == []


# Topics


async def delete_picture_and_status(user, group):
    for message in list(group.messages):
        await user.deletes_message(message)


async def test_a_result_stays_in_its_topic_when_picture_and_status_are_gone(telegram, bench):
    ann = telegram.user("Ann")
    forum = telegram.group("Forum", [ann], type="supergroup")
    await bench.a_job(ann, chat=forum, topic=7)
    await delete_picture_and_status(ann, forum)
    await run(bench.workshop())
    (document,) = from_bot(forum)
    assert (document.content, document.reply_to, document.thread_id) == (b"result", None, 7)


async def test_an_apology_stays_in_its_topic_when_picture_and_status_are_gone(telegram, bench):
    ann = telegram.user("Ann")
    forum = telegram.group("Forum", [ann], type="supergroup")
    await bench.a_job(ann, chat=forum, topic=7)
    await delete_picture_and_status(ann, forum)
    await run(bench.workshop(restore=damaged_after(lambda: True)))
    assert [(message.text, message.thread_id) for message in from_bot(forum)] == [
        (Texts("en").failed(DamagedImage.code), 7)
    ]


async def test_a_result_whose_topic_is_gone_comes_all_the_same(telegram, bench):
    ann = telegram.user("Ann")
    forum = telegram.group("Forum", [ann], type="supergroup")
    job = await bench.a_job(ann, chat=forum, topic=7)
    await delete_picture_and_status(ann, forum)
    forum.topics.clear()
    await run(bench.workshop())
    (document,) = from_bot(forum)
    assert (document.content, document.thread_id, bench.now(job).state) == (b"result", None, JobState.DONE)


async def test_a_result_whose_topic_was_closed_comes_all_the_same_though_not_below_its_picture(telegram, bench):
    ann = telegram.user("Ann")
    forum = telegram.group("Forum", [ann], type="supergroup")
    job = await bench.a_job(ann, chat=forum, topic=7, with_status=False)
    forum.closed_topics.add(7)
    await run(bench.workshop())
    (document,) = from_bot(forum)
    assert (document.content, document.reply_to, document.thread_id) == (b"result", None, None)
    assert (bench.now(job).state, bench.now(job).resent) == (JobState.DONE, False)


# Pauses


async def test_a_silence_of_more_than_a_few_seconds_frees_the_worker_at_once(telegram, bench):
    slow, quick = telegram.user("Slow"), telegram.user("Quick")
    waiting, other = await bench.a_job(slow), await bench.a_job(quick)
    telegram.misbehaves("editMessageMedia", RetryAfter(5), times=1, chat=slow)
    workshop = bench.workshop()
    began = time.monotonic()
    assert [await run(workshop), await run(workshop)] == [True, True]
    assert time.monotonic() - began < 4.5
    assert (bench.now(waiting).state, bench.now(other).state) == (JobState.QUEUED, JobState.DONE)


async def test_short_silences_one_after_the_other_are_not_sat_out_for_ever(telegram, bench, monkeypatch):
    monkeypatch.setattr(door, "LONGEST_SILENCE_S", 2.0)
    job = await bench.a_job(telegram.user("Ann"))
    telegram.misbehaves("editMessageMedia", RetryAfter(1), times=None)
    began = time.monotonic()
    await run(bench.workshop())
    assert time.monotonic() - began < 10
    assert bench.now(job).state is JobState.QUEUED


async def test_jobs_put_aside_together_do_not_come_back_together_nor_too_early(store, bench):
    def busy(*_, **__):
        raise TelegramBusyError("sendDocument", 30)

    began = time.time()
    for user in range(10):
        store.submit(wish(user + 1, 1), **UNLIMITED)
    workshop = bench.workshop(FakeDoor(busy))
    for _ in range(10):
        await run(workshop)
    due = [score / 1000 - began for _, score in store.redis.zrange("restora:aside", 0, -1, withscores=True)]
    assert min(due) >= 30
    assert 1 < max(due) - min(due) < 20


def test_the_longest_silence_is_waited_for_to_its_end(store, submit):
    holder = endings.Endings(store, FakeDoor(None), ring=lambda _: None)
    for user in range(20):
        submit(user + 1, 1)
        job = store.claim(["restore"], worker="w", lease_s=5)
        assert holder.put_aside(Lease(store, job, lease_s=5, timeout_s=60), seconds=5000)
    assert store.sweep(longest_run_s=1e6) == ([], [])


async def test_a_result_that_waits_is_not_made_again_by_another_worker(store, bench):
    made, delivered = [], []

    def restore(*_, **__):
        made.append(1)
        return RESULT

    def busy_at_first(job, **_):
        delivered.append(job.worker)
        if len(delivered) == 1:
            raise TelegramBusyError("sendDocument", 30)

    doors = FakeDoor(busy_at_first)
    keeper, other = (bench.workshop(doors, restore=restore, worker=name) for name in ("keeper", "other"))
    store.announce(WorkerCard(name="keeper", queues=("restore",), device="cpu", dtype="float32"))
    job = store.submit(wish(1, 1), **UNLIMITED).job
    await run(keeper)
    store.redis.zadd("restora:aside", {job.id: 1})
    store.sweep(longest_run_s=1e6)
    assert [await run(other), await run(keeper)] == [False, True]
    assert (bench.now(job).state, delivered, len(made)) == (JobState.DONE, ["keeper", "keeper"], 1)


async def test_who_hears_of_a_job_that_is_left_to_another_passes_the_hint_on_and_only_once(store, bench, monkeypatch):
    monkeypatch.setattr("tasks.restore.PASSED_ON_AFTER_S", 0.1)
    rung = []
    other = bench.workshop(FakeDoor(None), worker="other", ring=rung.append)
    assert not await run(other)  # nothing waits at all
    store.announce(WorkerCard(name="keeper", queues=("restore",), device="cpu", dtype="float32"))
    job = store.submit(wish(1, 1), **UNLIMITED).job
    store.release(store.claim(["restore"], worker="keeper", lease_s=5), blameless=True, aside_s=1000, kept=True)
    store.redis.zadd("restora:aside", {job.id: 1})
    store.sweep(longest_run_s=1e6)
    assert [await run(other) for _ in range(3)] == [False] * 3
    assert rung == []
    await until(lambda: rung)
    await asyncio.sleep(0.15)
    assert rung == ["restore"]


@pytest.mark.parametrize(("silence_s", "fits"), [(30, False), (3000, True)])
async def test_a_result_that_will_not_be_there_any_more_is_waited_for_by_nobody(
    store, bench, monkeypatch, silence_s, fits
):
    def busy(*_, **__):
        raise TelegramBusyError("sendDocument", silence_s)

    if not fits:
        monkeypatch.setattr("tasks.kept.KEPT_BYTES", 1)
    store.announce(WorkerCard(name="keeper", queues=("restore",), device="cpu", dtype="float32"))
    job = store.submit(wish(1, 1), **UNLIMITED).job
    await run(bench.workshop(FakeDoor(busy), worker="keeper"))
    store.redis.zadd("restora:aside", {job.id: 1})
    store.sweep(longest_run_s=1e6)
    assert store.claim(["restore"], worker="other", lease_s=5).id == job.id


def test_pauses_of_many_workers_spread():
    pauses = [door.pause_s(2) for _ in range(100)]
    assert 2 <= min(pauses) <= max(pauses) <= 6
    assert max(pauses) - min(pauses) > 2
