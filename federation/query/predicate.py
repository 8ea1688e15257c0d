"""Turns a predicate as text into a condition: our own tokenizer and an operator-precedence parser without recursion.

    year >= 2000 and not (sector in ['retail', 'food'] or income / 12 < 500.5) and `birth year` is not missing

Nothing is evaluated, there are no calls, attributes or names but columns of the catalogue. Refused, each with its
position: anything else, more than 4,096 characters, nesting above 64, numbers beyond binary64, categories that are not
published.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from federation.domain.catalogue import Dataset
from federation.errors import Misuse
from federation.query.expression import (
    MOST_DEPTH,
    Binary,
    Both,
    Col,
    Compare,
    Const,
    Either,
    Expression,
    Member,
    Missing,
    Not,
    Text,
    Unary,
    number,
    ordered,
)
from federation.query.sorts import Sort, sort_of

MOST_CHARACTERS: Final = 4_096
_CARET_WIDTH: Final = 72

_BINDING: Final = {"or": 1, "and": 2, "not": 3, "+": 5, "-": 5, "*": 6, "/": 6, "neg": 7}
_COMPARING: Final = 4
_MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_WORDS: Final = frozenset({"and", "or", "not", "in", "is"})
_INSTEAD: Final = {
    "=": "equality is ==",
    "&": "conditions are joined by and",
    "|": "conditions are joined by or",
    "!": "write not, or != between values",
    "~": "write not",
    "^": "powers are not part of predicates",
}
# Order matters: a longer sign before its prefix. ASCII digits only: int() would take others, and they look alike.
_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[^\W\d]\w*)|(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?P<quoted>`[^`]+`)"
    r"|(?P<sign>==|!=|<=|>=|[-+*/<>()\[\],])"
)


class PredicateError(Misuse):
    """A predicate that does not parse, or has no meaning over the catalogue.

    Attributes:
        position: 0-based index of the character where it goes wrong; the length of the text for its end.
    """

    def __init__(self, what: str, *, text: str, position: int, hint: str = "") -> None:
        shown = caret(text, position)
        super().__init__(f"predicate, character {position + 1}: {what}", hint=f"{hint}\n{shown}" if hint else shown)
        self.position = position

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}"


def parse(text: str, dataset: Dataset) -> Expression:
    """Return the condition that `text` says about `dataset`.

    Raises:
        PredicateError: not a condition; `.position` says where and the hint holds a line with a caret.
    """
    if len(text) > MOST_CHARACTERS:
        what = f"it is longer than {MOST_CHARACTERS} characters"
        raise PredicateError(what, text=text, position=MOST_CHARACTERS, hint="shorter lists, or several jobs")
    parser = _Parser(text=text, dataset=dataset, tokens=_tokens(text))
    found = parser.condition()
    try:
        ordered((found,))
    except Misuse as error:
        raise PredicateError(error.message, text=text, position=0, hint="one `in [...]` replaces many ==") from None
    return found


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, name, quoted, text, sign, word, end
    value: str
    position: int


@dataclass(frozen=True, slots=True)
class _Operand:
    node: Expression
    sort: Sort
    position: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _stray(text, position)
        kind, value = str(match.lastgroup), match.group()
        if kind == "number" and text[match.end() : match.end() + 1].isalnum():
            raise PredicateError("a number runs into a name", text=text, position=match.end())
        if kind == "name" and value in _WORDS:
            kind = "word"
        if kind != "space":
            found.append(_Token(kind, value, position))
        position = match.end()
    found.append(_Token("end", "", len(text)))
    return found


def _stray(text: str, position: int) -> PredicateError:
    character = text[position]
    if character in "'\"`":
        return PredicateError(f"a quote {character} is never closed", text=text, position=position)
    shown = repr(character) if character.isprintable() else f"U+{ord(character):04X}"
    hint = _INSTEAD.get(character, "")
    return PredicateError(f"unexpected character {shown}", text=text, position=position, hint=hint)


def caret(text: str, position: int) -> str:
    """Return two lines: the part of `text` around `position`, and a caret below that place."""
    start = max(0, min(position - _CARET_WIDTH // 2, len(text) - _CARET_WIDTH))
    line = "".join(c if c.isprintable() else "." for c in text[start : start + _CARET_WIDTH])
    return f"    {line}\n    {' ' * (position - start)}^"


@dataclass(slots=True)
class _Parser:
    """Shunting yard: operands and operators wait on two lists, so nesting costs no stack."""

    text: str
    dataset: Dataset
    tokens: list[_Token]
    at: int = 0
    operands: list[_Operand] = field(default_factory=list)
    operators: list[_Token] = field(default_factory=list)
    open_brackets: int = 0

    def condition(self) -> Expression:
        while True:
            self._operand()
            if self._operator():
                break
        whole = self.operands.pop()
        if whole.sort is not Sort.TRUTH:
            raise self._error(f"this is {whole.sort}, not a condition", whole.position, "compare it with something")
        return whole.node

    def _operand(self) -> None:
        """Read prefixes and opening brackets up to and including one value."""
        while True:
            token = self._next()
            match token.kind, token.value:
                case "number", value:
                    self._push(self._const(value, token.position), (), token.position)
                    return
                case "text", value:
                    self._push(self._literal(token), (), token.position)
                    return
                case (("name" | "quoted"), value):
                    self._push(self._column(value, token.position), (), token.position)
                    return
                case "sign", "(":
                    self.open_brackets += 1
                    if self.open_brackets > MOST_DEPTH:
                        raise self._error(f"more than {MOST_DEPTH} brackets are open", token.position)
                    self.operators.append(token)
                case "sign", "-":
                    self.operators.append(_Token("sign", "neg", token.position))
                case "word", "not":
                    self.operators.append(token)
                case _:
                    wanted = "a column, a number or a quoted category"
                    raise self._error(f"expected {wanted}, got {_shown(token)}", token.position)

    def _operator(self) -> bool:
        """Read closing brackets and postfixes up to and including one binary operator; True at the end of the text."""
        while True:
            token = self._next()
            match token.kind, token.value:
                case "end", _:
                    self._reduce(0)
                    if self.operators:
                        raise self._error("a bracket is never closed", self.operators[-1].position)
                    return True
                case "sign", ")":
                    self._reduce(0)
                    if not self.operators:
                        raise self._error("a bracket was never opened", token.position)
                    self.operators.pop()
                    self.open_brackets -= 1
                case "word", ("in" | "is" | "not"):
                    self._compare(token)
                    self._postfix(token)
                case "sign", value if value in _MIRRORED:
                    self._compare(token)
                    self.operators.append(token)
                    return False
                case (("sign" | "word"), value) if value in _BINDING:
                    self._reduce(_BINDING[value])
                    self.operators.append(token)
                    return False
                case _:
                    hint = "a predicate calls no functions" if token.value == "(" else ""
                    raise self._error(f"expected an operator, got {_shown(token)}", token.position, hint)

    def _compare(self, token: _Token) -> None:
        """Make way for a comparison: everything that binds tighter is done, and none may stand to its left."""
        self._reduce(_COMPARING + 1)
        if self.operators and self.operators[-1].value in _MIRRORED:
            raise self._error("comparisons are not chained", token.position, "join two comparisons by and")

    def _postfix(self, token: _Token) -> None:
        """Finish `in [...]`, `not in [...]`, `is missing`, `is not missing` behind the operand on the list."""
        of = self.operands.pop()
        negated = token.value == "not"
        if negated:
            self._expect("word", "in")
        if token.value == "is":
            if self.tokens[self.at].value == "not" and self.tokens[self.at].kind == "word":
                negated = True
                self._next()
            self._expect("name", "missing")
        if not isinstance(of.node, Col):
            raise self._error(f"only a column stands before {token.value}", of.position)
        if token.value == "is":
            self._push(Missing(of.node), (of.sort,), of.position)
        else:
            self._push(Member(of.node, self._values()), (of.sort,), of.position)
        if negated:
            self._push(Not(self.operands.pop().node), (Sort.TRUTH,), of.position)

    def _values(self) -> tuple[str | int | float, ...]:
        opening = self._next()
        closing = {"[": "]", "(": ")"}.get(opening.value if opening.kind == "sign" else "")
        if closing is None:
            raise self._error(f"expected a list in [ ], got {_shown(opening)}", opening.position)
        found: list[str | int | float] = []
        while True:
            token = self._next()
            negative = token.kind == "sign" and token.value == "-"
            token = self._next() if negative else token
            if token.kind == "number":
                value = self._const(token.value, token.position).value
                found.append(number(-value) if negative else value)
            elif token.kind == "text" and not negative:
                found.append(self._literal(token).value)
            else:
                raise self._error(f"expected a number or a quoted category, got {_shown(token)}", token.position)
            token = self._next()
            if token.kind == "sign" and token.value == closing:
                return tuple(found)
            if token.kind != "sign" or token.value != ",":
                raise self._error(f"expected , or {closing}, got {_shown(token)}", token.position)

    def _reduce(self, binding: int) -> None:
        """Build the waiting operators that bind at least as tight, down to an opening bracket."""
        while self.operators and self.operators[-1].value != "(":
            top = self.operators[-1]
            if _BINDING.get(top.value, _COMPARING) < binding:
                return
            self.operators.pop()
            right = self.operands.pop()
            if top.value in {"not", "neg"}:
                self._prefix(top, right)
            else:
                self._binary(top, self.operands.pop(), right)

    def _prefix(self, top: _Token, of: _Operand) -> None:
        if top.value == "not":
            self._push(Not(of.node), (of.sort,), top.position)
        elif isinstance(of.node, Const):
            self._push(Const(-of.node.value), (), top.position)
        else:
            self._push(Unary("neg", of.node), (of.sort,), top.position)

    def _binary(self, top: _Token, left: _Operand, right: _Operand) -> None:
        op = top.value
        if op in _MIRRORED and left.sort is Sort.TEXT:
            left, right, op = right, left, _MIRRORED[op]
        node: Expression
        if op in _MIRRORED:
            node = Compare(op, left.node, right.node)
        elif op in {"and", "or"}:
            node = (Both if op == "and" else Either)(left.node, right.node)
        else:
            node = Binary(op, left.node, right.node)
        self._push(node, (left.sort, right.sort), top.position)

    def _push(self, node: Expression, parts: tuple[Sort, ...], position: int) -> None:
        try:
            self.operands.append(_Operand(node, sort_of(node, parts, self.dataset), position))
        except Misuse as error:
            raise self._error(error.message, position, error.hint) from None

    def _const(self, digits: str, position: int) -> Const:
        try:
            return Const(int(digits) if digits.isdecimal() else float(digits))
        except Misuse as error:
            raise self._error(error.message, position, error.hint) from None

    def _literal(self, token: _Token) -> Text:
        quote = token.value[0]
        try:
            return Text(token.value[1:-1].replace(quote * 2, quote))
        except Misuse as error:
            raise self._error(error.message, token.position, error.hint) from None

    def _column(self, name: str, position: int) -> Col:
        try:
            column = Col(name.strip("`"))
            self.dataset.column(column.name)
        except Misuse as error:
            hint = f"write {name.lower()}" if name.lower() in _WORDS else error.hint
            raise self._error(error.message, position, hint) from None
        return column

    def _expect(self, kind: str, value: str) -> None:
        token = self._next()
        if (token.kind, token.value) != (kind, value):
            raise self._error(f"expected {value}, got {_shown(token)}", token.position)

    def _next(self) -> _Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def _error(self, what: str, position: int, hint: str = "") -> PredicateError:
        return PredicateError(what, text=self.text, position=position, hint=hint)


def _shown(token: _Token) -> str:
    return "the end" if token.kind == "end" else repr(token.value[:40])
