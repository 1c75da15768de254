"""The account: what became of every picture. Pure functions over the evidence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from bot.texts import BotTexts
from dev.chaos.evidence import Answer, Evidence, Sent, Wish
from tasks.messages import FINAL_STATES, Job, JobState

MOST_STOPPED = 30  # pictures one /restart can stop, and results it can find on their way


class Fate(StrEnum):
    """How a picture ended. The first seven keep the promise."""

    DELIVERED = "delivered once"
    FAILED = "failed, owner told"
    CANCELLED = "cancelled, owner told"
    CLOSED = "chat closed by its owner"
    REFUSED = "refused, owner told"
    RESENT = "delivered twice, flagged resent"
    OVERTAKEN = "delivered although ended otherwise, flagged resent"
    DOUBLED = "delivered twice outside the window"
    CONTRADICTED = "delivered although ended otherwise"
    WRONG = "wrong chat or wrong picture"
    LOST = "lost"


BROKEN = frozenset({Fate.DOUBLED, Fate.CONTRADICTED, Fate.WRONG, Fate.LOST})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The fate of one picture, and why it is that."""

    sent: Sent
    fate: Fate
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Account:
    """All verdicts. ``strays`` are documents that belong to nobody who sent a picture."""

    verdicts: tuple[Verdict, ...]
    strays: tuple[str, ...] = ()
    looking_alive: tuple[int, ...] = ()  # pictures with a Cancel button though their job is over: ugly, but not broken

    @property
    def counts(self) -> dict[Fate, int]:
        """How many pictures had each fate, in the order of :class:`Fate`."""
        counted = Counter(verdict.fate for verdict in self.verdicts)
        return {fate: counted[fate] for fate in Fate}

    @property
    def broken(self) -> tuple[Verdict, ...]:
        """Those for which the promise was broken."""
        return tuple(verdict for verdict in self.verdicts if verdict.fate in BROKEN)

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, went astray or came twice outside the window."""
        return not self.broken and not self.strays


@dataclass
class _Chats:
    """The evidence by what it is about."""

    replies: dict[tuple[int, int], list[Answer]] = field(default_factory=lambda: defaultdict(list))
    documents: dict[tuple[int, int], list[Answer]] = field(default_factory=lambda: defaultdict(list))
    texts: dict[int, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    wishes: dict[int, list[Wish]] = field(default_factory=lambda: defaultdict(list))


def draw_account(evidence: Evidence) -> Account:
    """Judge every picture."""
    chats = _sorted(evidence)
    misplaced, strays = _misplaced(evidence)
    verdicts = []
    for sent in evidence.sent:
        if sent.number in misplaced:
            verdicts.append(Verdict(sent=sent, fate=Fate.WRONG, reason=misplaced[sent.number]))
        else:
            fate, reason = _fate(sent, evidence.jobs.get(sent.number), evidence, chats)
            verdicts.append(Verdict(sent=sent, fate=fate, reason=reason))
    alive = tuple(
        verdict.sent.number
        for verdict in verdicts
        if verdict.fate is not Fate.CLOSED and _looks_alive(verdict.sent, evidence.jobs.get(verdict.sent.number), chats)
    )
    return Account(verdicts=tuple(verdicts), strays=tuple(strays), looking_alive=alive)


def _sorted(evidence: Evidence) -> _Chats:
    chats = _Chats()
    for answer in evidence.answers:
        if answer.reply_to is not None:
            chats.replies[answer.chat_id, answer.reply_to].append(answer)
        for number in {words.picture for words in answer.history if words.picture is not None}:
            chats.documents[answer.chat_id, number].append(answer)
        chats.texts[answer.chat_id] += [(words.at, words.text) for words in answer.history]
    for wish in evidence.wishes:
        chats.wishes[wish.chat_id].append(wish)
    return chats


def _misplaced(evidence: Evidence) -> tuple[dict[int, str], list[str]]:
    """Pictures whose results, or in whose place somebody else's result, came where it should not; and strays."""
    home = {sent.number: (sent.chat_id, sent.message_id) for sent in evidence.sent}
    at_home = {place: number for number, place in home.items()}
    misplaced: dict[int, str] = {}
    strays: list[str] = []
    for answer in evidence.answers:
        asked = at_home.get((answer.chat_id, answer.reply_to)) if answer.reply_to is not None else None
        for words in answer.history:
            if not words.is_document or (words.picture is not None and words.picture == asked):
                continue
            where = f"message {answer.message_id} of chat {answer.chat_id}"
            shown = "no readable number" if words.picture is None else f"picture {words.picture}"
            if asked is not None:
                misplaced[asked] = f"{where} answers it with {shown}"
            if words.picture in home and words.picture is not None:
                misplaced[words.picture] = f"it came as {where}"
            if asked is None and words.picture not in home:
                strays.append(f"{where} shows {shown} and answers nothing")
    return misplaced, strays


def _fate(sent: Sent, job: Job | None, evidence: Evidence, chats: _Chats) -> tuple[Fate, str]:
    texts = BotTexts(sent.locale)
    replies = chats.replies[sent.chat_id, sent.message_id]
    said = {words.text for answer in replies for words in answer.history}
    if job is None:
        return _fate_without_job(sent, said, texts, evidence)
    if job.state not in FINAL_STATES:
        return Fate.LOST, f"never ended: {job.state}, attempt {job.attempt}"
    copies = _copies(chats.documents[sent.chat_id, sent.number])
    closed = any(at > sent.at for at in evidence.closed.get(sent.chat_id, ()))
    if closed and copies == 1 and job.error == "chat_closed":
        return Fate.CLOSED, "its answer got lost, and then its owner closed the chat, with the result in it"
    if copies or job.state is JobState.DONE:
        return _fate_by_copies(job, copies)
    if job.state is JobState.FAILED:
        return _fate_of_failed(job, said, texts, closed=closed)
    return _fate_of_cancelled(sent, said, texts, chats, closed=closed)


def _fate_without_job(sent: Sent, said: set[str], texts: BotTexts, evidence: Evidence) -> tuple[Fate, str]:
    refusals = {texts.queue_full(), texts.try_again(), *(texts.user_limit(limit) for limit in range(1, 101))}
    for refusal in said & refusals:
        return Fate.REFUSED, refusal
    if (sent.chat_id, sent.message_id) in evidence.unconfirmed:
        return Fate.LOST, "the bot never took its update"
    return Fate.LOST, "answered, but there is no record of it" if said else "its update was confirmed, and that was all"


def _fate_by_copies(job: Job, copies: int) -> tuple[Fate, str]:
    if not copies:
        return Fate.LOST, "done, but no document came"
    if job.state is not JobState.DONE:
        return (Fate.OVERTAKEN if job.resent else Fate.CONTRADICTED), f"{job.state} {job.error}".strip()
    if copies > 1:
        return (Fate.RESENT if job.resent else Fate.DOUBLED), f"{copies} documents"
    return Fate.DELIVERED, ""


def _fate_of_failed(job: Job, said: set[str], texts: BotTexts, *, closed: bool) -> tuple[Fate, str]:
    if texts.failed(job.error) in said:
        return Fate.FAILED, job.error
    if closed:
        return Fate.CLOSED, job.error
    return Fate.LOST, f"failed as {job.error}, and its owner was never told"


def _fate_of_cancelled(sent: Sent, said: set[str], texts: BotTexts, chats: _Chats, *, closed: bool) -> tuple[Fate, str]:
    wishes = [
        wish
        for wish in chats.wishes[sent.chat_id]
        if wish.message_id == sent.message_id or (wish.message_id is None and wish.at >= sent.at)
    ]
    if not wishes:
        return Fate.LOST, "cancelled, and nobody had asked for it"
    restarted = {texts.restarted(n, m) for n in range(1, MOST_STOPPED) for m in range(MOST_STOPPED)}
    since = min(wish.at for wish in wishes)
    told = (
        texts.cancelled() in said
        or any(wish.answer == texts.cancelled() for wish in wishes)
        or any(at >= since and text in restarted for at, text in chats.texts[sent.chat_id])
    )
    if told:
        return Fate.CANCELLED, ""
    return (Fate.CLOSED, "cancelled") if closed else (Fate.LOST, "cancelled, and its owner was never told")


def _copies(documents: Iterable[Answer]) -> int:
    """How many documents people have: what they deleted after it had come counts as one, as long as nothing is left."""
    documents = list(documents)
    return sum(not answer.deleted for answer in documents) or min(1, len(documents))


def _looks_alive(sent: Sent, job: Job | None, chats: _Chats) -> bool:
    if job is None or job.state not in FINAL_STATES:
        return False
    replies = chats.replies[sent.chat_id, sent.message_id]
    return any(not answer.deleted and answer.history[-1].has_button for answer in replies)
