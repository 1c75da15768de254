"""What a status message says, in the user's language. Plain text: names and numbers need no escaping."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tasks.catalog import translations
from tasks.messages import QueuePlace

BAR_LENGTH = 12
MUCH_LONGER, MUCH_LONGER_S = 2.0, 10.0  # times, and seconds more, that are worth a sentence
MAX_CAPTION = 1024  # UTF-16 code units, as Telegram counts


class Texts:
    """The words of one language."""

    def __init__(self, locale: str) -> None:
        self.locale = locale
        catalog = translations(locale)
        self._: Callable[[str], str] = catalog.gettext
        self._n: Callable[[str, str, int], str] = catalog.ngettext

    def queued(self, place: QueuePlace) -> str:
        """The status message of a picture that waits."""
        if place.place == 1:
            where = self._("⏳ Got it! Your picture is next in the queue.")
        else:
            where = self._("⏳ Got it! Your picture is number {place} in the queue.").format(place=place.place)
        if place.wait_s is None:
            return where + "\n" + self._("It starts as soon as a worker is there.")
        when = self._("It should be done in {duration}.").format(duration=self.duration(place.wait_s))
        longest_s = place.longest_s or 0.0
        if longest_s >= max(MUCH_LONGER * place.wait_s, place.wait_s + MUCH_LONGER_S):
            longer = self._("A drawing or a page of text may take longer: {duration}.")
            when += " " + longer.format(duration=self.duration(longest_s))
        return where + "\n" + when

    def started(self) -> str:
        """The status message of a picture that was taken from the queue."""
        return self._("✨ Restoring your picture…")

    def running(self, fraction: float) -> str:
        """The status message while the network works; ``fraction`` in [0, 1]."""
        filled = round(fraction * BAR_LENGTH)
        bar = "▓" * filled + "░" * (BAR_LENGTH - filled)
        return f"{self.started()}\n{bar} {round(fraction * 100)}%"

    def done(
        self,
        *,
        size_in_wh: tuple[int, int],
        size_out_wh: tuple[int, int],
        model: str,
        seconds: float,
        notices: Iterable[str],
        faces_restored: int = 0,
        faces_left: int = 0,
    ) -> str:
        """The caption of the result, as long as Telegram takes it: the last notices give way."""
        first = self._("✅ {before} → {after} pixels").format(
            before="×".join(map(str, size_in_wh)), after="×".join(map(str, size_out_wh))
        )
        second = self._("{model}, {duration}").format(model=model, duration=self.duration(seconds))
        told = [self.notice(code) for code in dict.fromkeys(notices)]  # two stages may say the same
        return _fitting([first, second, *self._faces(faces_restored, faces_left), *filter(None, told)])

    def _faces(self, restored: int, left: int) -> list[str]:
        lines = []
        if restored:
            text = self._n("🙂 {count} face restored", "🙂 {count} faces restored", restored)
            lines.append(text.format(count=restored))
        if left:
            text = self._n(
                "🙂 {count} face left as it is, to keep the likeness",
                "🙂 {count} faces left as they are, to keep the likeness",
                left,
            )
            lines.append(text.format(count=left))
        return lines

    def ready(self) -> str:
        """The short message that makes a sound, which an edited message does not."""
        return self._("Your picture is ready ⬆️")

    def cancelled(self) -> str:
        """The status message of a picture that was stopped."""
        return self._("🛑 Stopped. Nothing was sent.")

    def cancel_button(self) -> str:
        """The button under the status message."""
        return self._("✖️ Cancel")

    def failed(self, code: str) -> str:
        """The apology for a picture that could not be restored, and what to do about it."""
        return "😔 " + (self._failures().get(code) or self._failures()["internal"])

    def _failures(self) -> dict[str, str]:
        return {
            "unsupported_format": self._(
                "This file is not a picture I can read. Please send a JPEG, PNG, WebP, HEIC, AVIF, TIFF or BMP picture."
            ),
            "camera_raw": self._(
                "This is a camera's raw file, which I cannot develop. Please export it as a JPEG, PNG or TIFF picture"
                " and send that."
            ),
            "damaged_image": self._(
                "This picture is damaged or incomplete. Please send it once more from the original."
            ),
            "image_too_large": self._(
                "This picture is too large for this machine to restore in time. Please send a smaller version of it."
            ),
            "image_too_complex": self._(
                "This file takes unreasonably long to open."
                " Please save it anew as an ordinary JPEG or PNG and send that."
            ),
            "result_too_large": self._(
                "The result would be larger than Telegram lets bots send. Please send a smaller picture."
            ),
            "file_too_large": self._("This file is larger than I may download. Please send a smaller version."),
            "file_gone": self._("Telegram does not have this file any more. Please send the picture again."),
            "timeout": self._("This picture took too long and was stopped. Please send a smaller version of it."),
            "worker_lost": self._(
                "Restoring this picture failed several times, so I gave up on it. Please try another file of it."
            ),
            "out_of_memory": self._(
                "This picture needs more memory than there is. Please send a smaller version of it."
            ),
            "telegram": self._("Telegram did not take the result. Please send the picture again in a few minutes."),
            "unconfirmed": self._(
                "I could not find out whether the result reached you. If it is not here, please send the picture again."
            ),
            "chat_closed": self._(
                "I could not bring you the result: this chat was closed to me then. Please send the picture again."
            ),
            "not_genuine": self._("I cannot be sure any more whose picture this is. Please send it again."),
            "internal": self._("Something went wrong on our side. Please send the picture again later."),
        }

    def notice(self, code: str) -> str:
        """One line about something the user should know of a result; empty for what needs no words."""
        return {
            "scale_limited": self._("ℹ️ Enlarged less than four times: large pictures and pictures of text grow less."),
            "cleaned_only": self._(
                "ℹ️ Cleaned but not enlarged: enlarging a picture of this size would take too long or too much space."
            ),
            "reduced_first": self._(
                "ℹ️ The picture is soft, so I worked on a smaller copy of it, which takes less time."
            ),
            "fast_model": self._("ℹ️ Done by a quicker model, because the best one would have taken too long."),
            "faces_failed": self._("ℹ️ A face could not be restored and stays as it is."),
            "faces_no_time": self._("ℹ️ There was no time to restore every face."),
            "faces_not_looked_for": self._("ℹ️ I could not look for faces in it."),
            "first_frame_only": self._("ℹ️ Only the first frame of the animation was restored."),
            "format_changed": self._("ℹ️ Saved in another format so that Telegram takes it."),
            "quality_reduced": self._("ℹ️ Compressed more than usual so that Telegram takes it."),
            "scale_reduced": self._("ℹ️ Made smaller so that Telegram takes it."),
            "depth_reduced": self._("ℹ️ Saved with 8 instead of 16 bits per colour so that Telegram takes it."),
            "alpha_flattened": self._("ℹ️ The transparency was replaced by white so that Telegram takes it."),
            "profile_ignored": self._("ℹ️ The colour profile of the file is broken and was ignored."),
        }.get(code, "")

    def duration(self, seconds: float) -> str:
        """A time span as people say it."""
        if seconds < 90:
            return self._("about {count} s").format(count=max(1, round(seconds)))
        return self._("about {count} min").format(count=round(seconds / 60))


def _fitting(lines: list[str]) -> str:
    """The first lines that are together no longer than a caption may be."""
    while len("\n".join(lines).encode("utf-16-le")) // 2 > MAX_CAPTION:
        lines = lines[:-1]
    return "\n".join(lines)
