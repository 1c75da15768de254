"""How everything goes, in words for the owner."""

from __future__ import annotations

from tasks.messages import WorkerCard
from tasks.stats import Ends, Now, Spread
from tasks.texts import Texts

WORKERS_NAMED = 20  # the message may have 4096 characters
FAILURES_NAMED = 5


class StatsTexts(Texts):
    """The words of one language for ``/stats``."""

    def stats(self, now: Now, *, hour: Ends, day: Ends) -> str:
        """The whole answer."""
        queues = ", ".join(f"{queue} {waiting}" for queue, waiting in now.waiting.items())
        lines = [
            *self._workers(now.workers),
            "",
            self._("⏳ Waiting: {queues}; put aside: {aside}; in work: {held}").format(
                queues=queues, aside=now.aside, held=now.held
            ),
            self._("Last hour: {ends}").format(ends=self._ends(hour)),
            self._("Last 24 hours: {ends}").format(ends=self._ends(day)),
        ]
        if day.waiting.median_s is not None:
            lines.append(self._("Waited, in 24 hours: {spread}").format(spread=self._spread(day.waiting)))
        if day.working.median_s is not None:
            lines.append(self._("Worked on, in 24 hours: {spread}").format(spread=self._spread(day.working)))
        if day.failures:
            named = ", ".join(f"{code} {number}" for code, number in day.failures[:FAILURES_NAMED])
            lines.append(self._("Failures, in 24 hours: {failures}").format(failures=named))
        lines += self._memory(now)
        return "\n".join(lines)

    def _workers(self, cards: tuple[WorkerCard, ...]) -> list[str]:
        if not cards:
            return [self._("⚠️ No worker is there.")]
        lines = [self._n("🛠 {count} worker", "🛠 {count} workers", len(cards)).format(count=len(cards))]
        for card in sorted(cards, key=lambda card: card.name)[:WORKERS_NAMED]:
            state = self._("idle for {seconds} s").format(seconds=round(card.idle_s)) if card.idle_s else self._("busy")
            lines.append(f"• {', '.join(card.queues)}: {', '.join(card.models)}; {card.device} {card.dtype}; {state}")
        if len(cards) > WORKERS_NAMED:
            lines.append("…")
        return lines

    def _ends(self, ends: Ends) -> str:
        return self._("done {done}, failed {failed}, cancelled {cancelled}").format(
            done=ends.done, failed=ends.failed, cancelled=ends.cancelled
        )

    def _spread(self, spread: Spread) -> str:
        return self._("half at most {median}, 95% at most {p95}").format(
            median=self._seconds(spread.median_s), p95=self._seconds(spread.p95_s)
        )

    def _seconds(self, seconds: float | None) -> str:
        return self._("{seconds} s").format(
            seconds=f"{seconds or 0:.2g}" if (seconds or 0) < 10 else round(seconds or 0)
        )

    def _memory(self, now: Now) -> list[str]:
        if now.memory_bytes is None:
            return []
        used, limit = round(now.memory_bytes / 2**20), round((now.memory_limit_bytes or 0) / 2**20)
        if not limit:
            return [self._("Redis: {used} MB").format(used=used)]
        return [self._("Redis: {used} of {limit} MB").format(used=used, limit=limit)]
