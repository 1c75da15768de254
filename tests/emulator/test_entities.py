"""Parse modes against examples worked out by hand from the Bot API's page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.entities import parse_text, utf16_length, utf16_slice
from emulator.errors import ApiError

Covered = list[tuple[str, str]]


def covered(text: str, parse_mode: str | None) -> tuple[str, Covered]:
    plain, entities = parse_text(text, parse_mode)
    return plain, [(entity.type, utf16_slice(plain, entity.offset, entity.length)) for entity in entities]


@pytest.mark.parametrize(
    ("source", "plain", "expected"),
    [
        ("<b>bold</b> plain", "bold plain", [("bold", "bold")]),
        ("<b>bold <i>both</i></b>", "bold both", [("bold", "bold both"), ("italic", "both")]),
        ("a &lt;b&gt; &amp; &#1078; &nbsp;", "a <b> & ж &nbsp;", []),
        ("😀<u>под</u>", "😀под", [("underline", "под")]),
        ('<a href="https://example.org/?a=1&amp;b=2">link</a>', "link", [("text_link", "link")]),
        ('<pre><code class="language-python">x = 1</code></pre>', "x = 1", [("pre", "x = 1")]),
        ('<span class="tg-spoiler">secret</span>', "secret", [("spoiler", "secret")]),
        ("<blockquote expandable>long</blockquote>", "long", [("expandable_blockquote", "long")]),
        ("<b></b>nothing", "nothing", []),
        ("  <b> padded </b>  ", "padded", [("bold", "padded")]),
        ("<STRONG>loud</STRONG>", "loud", [("bold", "loud")]),
    ],
)
def test_html_becomes_plain_text_and_entities(source: str, plain: str, expected: Covered) -> None:
    assert covered(source, "HTML") == (plain, expected)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("<b>never ends", 'Can\'t find end tag corresponding to start tag "b"'),
        ("1 <table>", 'Unsupported start tag "table" at byte offset 2'),
        ("ж < 3", 'Unsupported start tag "" at byte offset 3'),
        ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b", "Unclosed start tag at byte offset 0"),
        ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
    ],
)
def test_broken_html_is_refused_in_telegrams_words(source: str, reason: str) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_text(source, "HTML")
    assert refusal.value.description == f"Bad Request: can't parse entities: {reason}"


@pytest.mark.parametrize(
    ("source", "plain", "expected"),
    [
        (
            "*bold* _italic_ __under__",
            "bold italic under",
            [("bold", "bold"), ("italic", "italic"), ("underline", "under")],
        ),
        (r"1\.5 \(ok\)\!", "1.5 (ok)!", []),
        ("`a.b` ", "a.b", [("code", "a.b")]),
        ("```python\nx = 1```", "x = 1", [("pre", "x = 1")]),
        ("[text](https://example.org/a_b)", "text", [("text_link", "text")]),
        ("||hidden|| ~gone~", "hidden gone", [("spoiler", "hidden"), ("strikethrough", "gone")]),
        (">one\n>two\nrest", "one\ntwo\nrest", [("blockquote", "one\ntwo\n")]),
        ("*bold _both_*", "bold both", [("bold", "bold both"), ("italic", "both")]),
    ],
)
def test_markdown_becomes_plain_text_and_entities(source: str, plain: str, expected: Covered) -> None:
    assert covered(source, "MarkdownV2") == (plain, expected)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1.5", "Character '.' is reserved and must be escaped with the preceding '\\'"),
        ("(x", "Character '(' is reserved and must be escaped with the preceding '\\'"),
        ("a > b", "Character '>' is reserved and must be escaped with the preceding '\\'"),
        ("🏟 🏟_abacaba", "Can't find end of Italic entity at byte offset 9"),
        ("*bold", "Can't find end of Bold entity at byte offset 0"),
        ("`code", "Can't find end of Code entity at byte offset 0"),
    ],
)
def test_unescaped_markdown_is_refused_in_telegrams_words(source: str, reason: str) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_text(source, "MarkdownV2")
    assert refusal.value.description == f"Bad Request: can't parse entities: {reason}"


def test_commands_mentions_and_links_are_recognised_without_a_parse_mode() -> None:
    text = "😀 /start@restora_bot see https://example.org/a. @ann_lee #tag a/b"
    assert covered(text, None)[1] == [
        ("bot_command", "/start@restora_bot"),
        ("url", "https://example.org/a"),
        ("mention", "@ann_lee"),
        ("hashtag", "#tag"),
    ]


def test_nothing_is_recognised_inside_code() -> None:
    assert covered("<code>/start</code> /stop", "HTML")[1] == [("code", "/start"), ("bot_command", "/stop")]


@given(st.text())
def test_escaped_html_comes_back_as_it_was(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert parse_text(escaped, "HTML")[0] == text.strip()


@given(st.text())
def test_escaped_markdown_comes_back_as_it_was(text: str) -> None:
    escaped = "".join(f"\\{character}" if character in r"\_*[]()~`>#+-=|{}.!" else character for character in text)
    assert parse_text(escaped, "MarkdownV2")[0] == text.strip()


@given(st.text())
def test_utf16_length_is_that_of_the_encoding(text: str) -> None:
    assert utf16_length(text) == len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def test_an_unknown_parse_mode_is_refused() -> None:
    with pytest.raises(ApiError, match="unsupported parse_mode"):
        parse_text("x", "BBCode")
