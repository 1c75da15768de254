"""What the bot says besides status messages, in the user's language. Plain text."""

from __future__ import annotations

from babel.numbers import format_decimal

from bot.intake import RefusalCode
from tasks.settings import TELEGRAM_FILE_BYTES
from tasks.store import RECORD_LIFETIME_S, UPDATE_REMEMBERED_S
from tasks.texts import Texts


class BotTexts(Texts):
    """The words of one language, with those only the bot needs."""

    def start(self, name: str) -> str:
        """The greeting."""
        return self._(
            "Hello, {name}! 👋\n"
            "I restore photographs: send me an old, small or blurred picture and you get it back"
            " larger and cleaner.\n\n"
            "📷 Send a photo, or better a file: Telegram makes photos smaller, files stay as they are."
        ).format(name=name)

    def help(self, max_file_bytes: int = TELEGRAM_FILE_BYTES) -> str:
        """The manual."""
        return self._(
            "What I take: photos, static stickers, and JPEG, PNG, WebP, HEIC, AVIF, TIFF and BMP files up to {limit}"
            " MB.\n"
            "What you get: the picture as a file. A small one grows to four times its width and height, large pictures"
            " and pages of text grow less, and the largest are only cleaned. Transparency is kept.\n\n"
            "/upscale_image – restore a picture\n"
            "/restart – stop everything of yours and start over\n"
            "/privacy – what I keep about you, and for how long\n"
            "/forget – delete all of it now\n"
            "/help – this text\n\n"
            "The button under a status message stops just that picture."
        ).format(limit=self._megabytes(max_file_bytes))

    def ask_for_picture(self) -> str:
        """The answer to /upscale_image."""
        return self._(
            "Send me the picture: as a photo, as a file (JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP) or as a sticker."
        )

    def ask_for_picture_in_group(self) -> str:
        """The answer to /upscale_image in a group, where bots usually see commands and what they answer alone."""
        return self._(
            "Answer a picture with /upscale_image, or send one with /upscale_image below it: a photo or a file (JPEG,"
            " PNG, WebP, HEIC, AVIF, TIFF, BMP)."
        )

    def already_at_work(self) -> str:
        """The answer to whoever asks for a picture that is in work, also for somebody else."""
        return self._("I am already working on this picture.")

    def had_before(self) -> str:
        """The answer to whoever asks for a picture that was in work and is not any more."""
        return self._("I have had this picture before. To have it restored once more, please send it again.")

    def stopped_overlong(self, count: int) -> str:
        """Said before asking for a picture when jobs were stopped for running too long."""
        return self._n(
            "I stopped {count} picture that had been running for more than ten minutes.",
            "I stopped {count} pictures that had been running for more than ten minutes.",
            count,
        ).format(count=count)

    def restarted(self, stopped: int, on_their_way: int) -> str:
        """The answer to /restart."""
        lines = [self._stopped(stopped) if stopped else self._("Nothing of yours was queued or running.")]
        if on_their_way:
            lines.append(self._on_their_way(on_their_way))
        lines.append(self._("Ready for the next one: just send it."))
        return "\n".join(lines)

    def privacy(self) -> str:
        """The answer to /privacy; docs/privacy.md says the same at length."""
        return self._(
            "🔒 What I keep about you\n\n"
            "Your pictures: nothing. I hold a picture and its result in memory while I work on it, never on a disk.\n\n"
            "For every picture, a note: your number, this chat's and the messages', your language, the size"
            " of the picture, when it came and how it went. Until the picture is done also Telegram's name for the file"
            " and the name you gave it. The note is deleted {days} days after that.\n\n"
            "For every message, its number at Telegram, for {hours} hours, so that none is answered twice. It does not"
            " say whose it is.\n\n"
            "Log: what was done when, without pictures, names and numbers of people or chats.\n\n"
            "What is in this chat stays with Telegram until you delete it there.\n\n"
            "/forget deletes all notes about you at once, and stops what is still in work."
        ).format(days=RECORD_LIFETIME_S // 86_400, hours=UPDATE_REMEMBERED_S // 3600)

    def forgotten(self, notes: int, *, stopped: int, on_their_way: int) -> str:
        """The answer to /forget."""
        if notes == 0:
            lines = [self._("There was nothing about you to delete.")]
        else:
            text = self._n(
                "🧹 Deleted all I had about you: the note about {count} picture.",
                "🧹 Deleted all I had about you: the notes about {count} pictures.",
                notes,
            )
            lines = [text.format(count=notes)]
        if stopped:
            lines.append(self._stopped(stopped))
        if on_their_way:
            lines.append(self._on_their_way(on_their_way))
        lines.append(self._("What is in this chat stays with Telegram until you delete it there."))
        return "\n".join(lines)

    def _stopped(self, count: int) -> str:
        return self._n("🛑 Stopped {count} picture.", "🛑 Stopped {count} pictures.", count).format(count=count)

    def _on_their_way(self, count: int) -> str:
        return self._n(
            "{count} result was already on its way and will still arrive.",
            "{count} results were already on their way and will still arrive.",
            count,
        ).format(count=count)

    def too_late_to_cancel(self) -> str:
        """The answer to a Cancel button when the result is on its way."""
        return self._("Too late to stop: the result is already on its way.")

    def already_over(self) -> str:
        """The answer to a Cancel button of a job that has ended."""
        return self._("This picture is not being worked on any more.")

    def not_theirs_to_stop(self) -> str:
        """The answer to whoever presses the Cancel button of somebody else's picture."""
        return self._("Only the person I restore this picture for can stop it.")

    def unknown_button(self) -> str:
        """The answer to a button that no message of this chat has from us, as a forged one."""
        return self._("I do not know this button.")

    def user_limit(self, limit: int) -> str:
        """Too many pictures of one user; said once for all that follow."""
        return self._n(
            "That is more than I take from one person at a time: {limit} picture. I leave out this one and what follows"
            " until it is done; please send those again then, or after /restart.",
            "That is more than I take from one person at a time: {limit} pictures. I leave out this one and what"
            " follows until some are done; please send those again then, or after /restart.",
            limit,
        ).format(limit=limit)

    def queue_full(self) -> str:
        """Too many pictures over all; said once for all that follow."""
        return self._(
            "There are too many pictures waiting right now. I leave out this one and what follows; please send those"
            " again in a few minutes."
        )

    def too_many_pictures(self, limit: int) -> str:
        """Said once when somebody sends pictures faster than the limit."""
        return self._(
            "That is faster than I can take pictures: {limit} a minute at most. I leave out this one and what follows"
            " until you have paused for half a minute; please send those again then."
        ).format(limit=limit)

    def too_many_messages(self) -> str:
        """Said once when somebody writes without a pause."""
        return self._(
            "That is more than I can read. I am not listening now; please pause for half a minute, then write again."
        )

    def try_again(self) -> str:
        """The job store does not answer."""
        return self._("I cannot do that at this moment. Please try again in a minute.")

    def button_restore(self) -> str:
        """A key of the keyboard."""
        return self._("📷 Restore a picture")

    def button_help(self) -> str:
        """A key of the keyboard."""
        return self._("❓ Help")

    def button_restart(self) -> str:
        """A key of the keyboard."""
        return self._("🔄 Start over")

    def commands(self) -> dict[str, str]:
        """Telegram's command menu."""
        return {
            "start": self._("Say hello"),
            "upscale_image": self._("Restore a picture"),
            "restart": self._("Stop everything and start over"),
            "help": self._("What I can do"),
            "privacy": self._("What I keep about you"),
            "forget": self._("Delete what I keep about you"),
        }

    def _too_large(self, max_file_bytes: int) -> str:
        if max_file_bytes == TELEGRAM_FILE_BYTES:
            text = self._(
                "This file is larger than {limit} MB, which is all that Telegram lets bots download. Please send a"
                " smaller version."
            )
        else:  # whoever runs the bot wants it so
            text = self._(
                "This file is larger than {limit} MB, which is all that I take. Please send a smaller version."
            )
        return text.format(limit=self._megabytes(max_file_bytes))

    def _megabytes(self, count: int) -> str:
        megabytes = count / 1024**2
        return format_decimal(megabytes, "0" if megabytes >= 10 else "@#", locale=self.locale)  # two digits that count

    def refusal(self, code: RefusalCode, max_file_bytes: int = TELEGRAM_FILE_BYTES) -> str:
        """Why a message can never become a restored picture, and what to do instead."""
        return {
            "file_too_large": self._too_large(max_file_bytes),
            "animated_sticker": self._(
                "Animated stickers have no single picture to restore. Please send a static one."
            ),
            "video_sticker": self._("Video stickers have no single picture to restore. Please send a static one."),
            "animation": self._("I cannot restore GIFs and other moving pictures. Please send a still picture."),
            "video": self._("I cannot restore videos. Please send a single picture, for example a screenshot of one."),
            "pdf": self._("I cannot restore PDF files. Please send the page as a PNG, JPEG or WebP picture."),
            "raw": self._(
                "This is a camera's raw file, which I cannot develop. Please export it as a JPEG, PNG or TIFF picture"
                " and send that."
            ),
            "document": self._(
                "I cannot restore this kind of file. Please send a JPEG, PNG, WebP, HEIC, AVIF, TIFF or BMP picture."
            ),
            "text": self._(
                "I only understand pictures. Please send a photo, a picture file or a sticker, or see /help."
            ),
            "unknown_command": self._("I do not know this command. See /help for the ones I know."),
            "other": self._("I cannot do anything with this. Please send a photo, a picture file or a sticker."),
        }[code]
