"""The words of a formula, and the error that says where one goes wrong. Refused: letters that no formula has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from federation.errors import Misuse
from federation.query.predicate import caret

# Order matters: a longer sign before its prefix. ASCII digits only: int() would take others, and they look alike.
_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d]\w*)|(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?P<quoted>`[^`]+`)"
    r"|(?P<sign>\*\*|==|!=|<=|>=|[-+*/<>()~:,=])"
)
_INSTEAD: Final = {"^": "powers are written **", "|": "random effects are not among the models here", "%": "a:b or a*b"}


class FormulaError(Misuse):
    """A formula that does not parse, or has no meaning over the catalogue.

    Attributes:
        position: 0-based index of the character where it goes wrong; the length of the text for its end.
    """

    def __init__(self, what: str, *, text: str, position: int, hint: str = "") -> None:
        shown = caret(text, position)
        super().__init__(f"formula, character {position + 1}: {what}", hint=f"{hint}\n{shown}" if hint else shown)
        self.position = position

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}"


@dataclass(frozen=True, slots=True)
class Token:
    """One word: number, name, quoted (a name in backquotes), text (a level in quotes), sign, or end."""

    kind: str
    value: str
    position: int

    @property
    def shown(self) -> str:
        """The word as an error says it."""
        return "the end" if self.kind == "end" else repr(self.value[:40])

    @property
    def text(self) -> str:
        """What stands between the quotes of a text; a doubled quote is one."""
        quote = self.value[0]
        return self.value[1:-1].replace(quote * 2, quote)


def tokens(text: str) -> tuple[Token, ...]:
    """Return the words of `text`, and its end. Raises FormulaError for a letter that no formula has."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _stray(text, position)
        kind, value = str(match.lastgroup), match.group()
        if kind == "number" and text[match.end() : match.end() + 1].isalnum():
            raise FormulaError("a number runs into a name", text=text, position=match.end())
        if kind != "space":
            found.append(Token(kind, value, position))
        position = match.end()
    return (*found, Token("end", "", len(text)))


def _stray(text: str, position: int) -> FormulaError:
    character = text[position]
    if character in "'\"`":
        return FormulaError(f"a quote {character} is never closed", text=text, position=position)
    shown = repr(character) if character.isprintable() else f"U+{ord(character):04X}"
    hint = _INSTEAD.get(character, "")
    return FormulaError(f"unexpected character {shown}", text=text, position=position, hint=hint)
