"""Translations, read from the ``.po`` files themselves so that no compiled copy can be stale."""

from __future__ import annotations

import gettext
import io
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES_DIR = Path(__file__).resolve().parent.parent / "locales"
DOMAIN = "restora"
SOURCE_LOCALE = "en"  # the language the texts are written in


def po_file(locale: str) -> Path:
    """Where the translation into ``locale`` is kept."""
    return LOCALES_DIR / locale / "LC_MESSAGES" / f"{DOMAIN}.po"


@cache
def locales() -> tuple[str, ...]:
    """Every language the bot speaks, the source language first."""
    return (SOURCE_LOCALE, *sorted(path.name for path in LOCALES_DIR.iterdir() if po_file(path.name).is_file()))


def closest_locale(language_code: str | None) -> str:
    """The language to use for a Telegram user, whose ``language_code`` is an IETF tag such as ``ru-RU``."""
    language = (language_code or SOURCE_LOCALE).replace("_", "-").split("-")[0].lower()
    return language if language in locales() else SOURCE_LOCALE


@cache
def translations(locale: str) -> gettext.NullTranslations:
    """The translation into ``locale``; the source texts themselves for the source language."""
    if locale == SOURCE_LOCALE:
        return gettext.NullTranslations()
    with po_file(locale).open("rb") as po:
        catalog = read_po(po, locale=locale, domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
