"""Texts for people are plain English: `tests.messages` collects them, and here stand the phrases that no text may have."""

import re
from pathlib import Path

import pytest

import balbook
from tests.messages import Message, messages

PACKAGE = Path(balbook.__file__).parent
ROOMS = ("runbooks", *sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()))

# The lab's `bal` repeats the words of the real command.
QUOTED = "balbook/lab/ballerina/"
BEGINNING = re.compile(r"(?:^|[.:;?!]\s+|\n\s*)(?:\*\*[^*]*\*\*\s+)?(What|Whoever|Nobody)\b")
PHRASES = {
    "is none": re.compile(r"\bis none\b"),
    "is so": re.compile(r"\bis so\b(?!\s+\w)"),
    "not so": re.compile(r"\bnot so\b(?!\s+\w)"),
    "may, of a limit": re.compile(r"\{\} may\b"),
}

ALL = list(messages())


def of_room(room: str) -> list[Message]:
    """The texts of one room."""
    folder = "runbooks/" if room == "runbooks" else f"balbook/{room}/"
    return [message for message in ALL if message.place.startswith(folder)]


def faults(message: Message) -> list[str]:
    """The phrases in a text that are not plain English."""
    if message.kind == "docstring":
        return [found[1] for found in [re.match(r"(What|Whoever|Nobody)\b", message.text)] if found]
    if message.place.startswith(QUOTED):
        return []
    return [found[1] for found in BEGINNING.finditer(message.text)] + [
        name for name, phrase in PHRASES.items() if phrase.search(message.text)
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_every_text_of_a_room_is_plain_english(room: str) -> None:
    texts = of_room(room)
    assert texts, "a room of this name has texts"
    found = {f"{message.place}: {message.text}": wrong for message in texts if (wrong := faults(message))}
    assert not found


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Whoever reads it", ["Whoever"]),
        ("It failed. Nobody knows why.", ["Nobody"]),
        ("**How to undo.** What was done stays.", ["What"]),
        ("the key {} is none", ["is none"]),
        ("{}: not so: runs {}", ["not so"]),
        ("{} requests failed, {} may", ["may, of a limit"]),
        ("{} requests failed (limit {})", []),
        ("not so many requests as before; somebody asks what failed", []),
    ],
)
def test_the_phrases_are_recognised(text: str, wrong: list[str]) -> None:
    assert faults(Message("balbook/cli/plan.py:1", "text", text)) == wrong


def test_a_first_line_of_a_docstring_does_not_begin_with_a_noun_clause() -> None:
    assert faults(Message("balbook/lab/x.py:1", "docstring", "What it does.")) == ["What"]
    assert faults(Message("balbook/lab/x.py:1", "docstring", "Says what it does.")) == []
