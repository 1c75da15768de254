"""Every sentence exists in every language, with the same blanks to fill in."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from babel.messages.pofile import read_po

from tasks.catalog import SOURCE_LOCALE, closest_locale, locales, po_file
from tasks.messages import QueuePlace
from tasks.texts import Texts
from tests.conftest import REPOSITORY

TRANSLATIONS = [locale for locale in locales() if locale != SOURCE_LOCALE]


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """The sentences in the code, as the extractor finds them."""
    pot = tmp_path_factory.mktemp("words") / "restora.pot"
    extract = ["-q", "extract", "-k", "_", "-k", "_n:1,2", "-o", str(pot), "bot", "tasks"]
    subprocess.run([sys.executable, "-m", "babel.messages.frontend", *extract], cwd=REPOSITORY, check=True)
    with pot.open("rb") as file:
        return [message.id for message in read_po(file) if message.id]


@pytest.mark.parametrize("locale", TRANSLATIONS)
def test_every_sentence_of_the_code_is_translated(sentences, locale):
    with po_file(locale).open("rb") as file:
        translated = {message.id for message in read_po(file, locale=locale) if message.id and _complete(message)}
    assert set(sentences) - translated == set()
    assert translated - set(sentences) == set(), "no longer used"


def _complete(message):
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    return all(strings) and not message.fuzzy


@pytest.mark.parametrize("locale", TRANSLATIONS)
def test_a_translation_has_the_blanks_of_its_sentence(locale):
    with po_file(locale).open("rb") as file:
        for message in read_po(file, locale=locale):
            if message.id:
                ids = message.id if isinstance(message.id, tuple) else (message.id,)
                strings = message.string if isinstance(message.string, tuple) else (message.string,)
                assert {blanks(text) for text in strings} == {blanks(ids[-1])}, message.id


def blanks(text):
    return frozenset(re.findall(r"\{(\w*)\}", text))


@pytest.mark.parametrize(
    ("code", "locale"),
    [("ru", "ru"), ("ru-RU", "ru"), ("RU_ru", "ru"), ("en-GB", "en"), ("de", "en"), ("", "en"), (None, "en")],
)
def test_the_language_of_a_user_is_the_closest_we_have(code, locale):
    assert closest_locale(code) == locale


def test_russian_counts_in_three_ways():
    from bot.texts import BotTexts

    words = BotTexts("ru")
    assert [words.restarted(count, 0).split("\n")[0] for count in (1, 2, 5, 21)] == [
        "🛑 Остановлена 1 картинка.",
        "🛑 Остановлено 2 картинки.",
        "🛑 Остановлено 5 картинок.",
        "🛑 Остановлена 21 картинка.",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "about 1 s"), (44.6, "about 45 s"), (89, "about 89 s"), (91, "about 2 min"), (600, "about 10 min")],
)
def test_a_duration_is_said_as_people_say_it(seconds, text):
    assert Texts("en").duration(seconds) == text


@pytest.mark.parametrize("fraction", [0.0, 0.004, 0.5, 0.999, 1.0])
def test_the_progress_bar_keeps_its_length(fraction):
    bar = re.search("[▓░]+", Texts("en").running(fraction)).group()
    assert len(bar) == 12
    assert bar.count("▓") == round(12 * fraction)


def test_the_first_in_the_queue_is_next():
    assert "next" in Texts("en").queued(QueuePlace(place=1, wait_s=5))
    assert "number 4 " in Texts("en").queued(QueuePlace(place=4, wait_s=None))


@pytest.mark.parametrize(
    ("wait_s", "longest_s", "is_said"), [(8, None, False), (8, 15, False), (1, 9, False), (8, 200, True)]
)
def test_a_picture_that_may_take_much_longer_is_told_so(wait_s, longest_s, is_said):
    words = Texts("en").queued(QueuePlace(place=1, wait_s=wait_s, longest_s=longest_s))
    assert ("may take longer: about 3 min." in words) == is_said
    assert f"done in about {wait_s} s." in words


@pytest.mark.parametrize("locale", locales())
def test_an_error_without_words_of_its_own_still_gets_an_apology(locale):
    assert Texts(locale).failed("no_such_code") == Texts(locale).failed("internal")


@pytest.mark.parametrize("locale", locales())
def test_every_error_of_the_library_that_a_user_can_cause_has_words(locale):
    from models import errors

    codes = [
        kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ImageError)
    ]
    words = Texts(locale)
    for code in codes:
        if code != errors.ImageError.code:
            assert words.failed(code) != words.failed("internal"), code


NOTICES = {
    "alpha_flattened", "cleaned_only", "depth_reduced", "faces_failed", "faces_no_time", "faces_not_looked_for",
    "fast_model", "first_frame_only", "format_changed", "profile_ignored", "quality_reduced", "reduced_first",
    "scale_limited", "scale_reduced",
}  # fmt: skip


@pytest.mark.parametrize("locale", locales())
def test_every_notice_of_the_library_has_one_line_of_its_own(locale):
    sources = [path.read_text("utf-8") for path in (REPOSITORY / "models").rglob("*.py")]
    found = {code for code in NOTICES if any(f'"{code}"' in source for source in sources)}
    assert found == NOTICES, "a code that the library no longer has"
    lines = {Texts(locale).notice(code) for code in NOTICES}
    assert len(lines) == len(NOTICES)
    assert all(line.startswith("ℹ️ ") and "\n" not in line for line in lines)


def caption(locale, *, notices, model="RealESRGAN_x4plus"):
    return Texts(locale).done(
        size_in_wh=(12_000, 12_000), size_out_wh=(24_000, 24_000), model=model, seconds=599, notices=notices
    )


@pytest.mark.parametrize("locale", locales())
def test_the_caption_holds_every_notice_a_result_can_have(locale):
    together = sorted(NOTICES - {"cleaned_only", "depth_reduced"})  # which rule out growing less, and transparency
    for notices in (together, sorted(NOTICES - {"scale_limited", "alpha_flattened"})):
        text = caption(locale, model="m" * 64, notices=notices)
        assert len(text.split("\n")) == 2 + len(notices)
        assert len(text.encode("utf-16-le")) // 2 <= 1024


@pytest.mark.parametrize("locale", locales())
def test_a_caption_that_would_be_too_long_loses_its_last_lines_whole(locale):
    text = caption(locale, model="𝒎" * 300, notices=sorted(NOTICES))
    assert len(text.encode("utf-16-le")) // 2 <= 1024
    assert text.split("\n")[-1] in {Texts(locale).notice(code) for code in NOTICES}


@pytest.mark.parametrize(
    ("restored", "left", "lines"),
    [
        (0, 0, []),
        (1, 0, ["🙂 1 face restored"]),
        (3, 1, ["🙂 3 faces restored", "🙂 1 face left as it is, to keep the likeness"]),
        (0, 2, ["🙂 2 faces left as they are, to keep the likeness"]),
    ],
)
def test_the_caption_says_what_became_of_the_faces(restored, left, lines):
    text = Texts("en").done(
        size_in_wh=(9, 9), size_out_wh=(36, 36), model="m", seconds=1, notices=(), faces_restored=restored,
        faces_left=left,
    )  # fmt: skip
    assert text.split("\n")[2:] == lines


def test_a_notice_that_two_stages_give_is_said_once():
    text = caption("en", notices=("profile_ignored", "scale_limited", "profile_ignored"))
    assert text.split("\n")[2:] == [Texts("en").notice("profile_ignored"), Texts("en").notice("scale_limited")]


def test_a_notice_without_words_leaves_no_empty_line():
    assert caption("en", notices=("no_such_code",)).split("\n")[2:] == []
