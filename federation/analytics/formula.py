"""Model formulas as text, by our own grammar; nothing is evaluated, and every name is a column of the catalogue.

    y ~ a*b + C(region, ref="x") + log(x) + x**2 - 1            Surv(time, event) ~ age + strata(site)

A side of the model is a sum of terms. `a:b` is the product of two terms and `a*b` short for `a + b + a:b`; `(a + b)**2`
has all products of two; `x**2` of one number, and whatever stands inside a function or `I(...)`, is arithmetic, and one
comparison there is an indicator. `- 1` or `+ 0` leaves the intercept out. A category column is a factor, `C(n)` makes
one of whole numbers. `offset(x)` adds x with the coefficient 1. Grammar after Wilkinson and Rogers (Applied Statistics
22, 1973) as R has it. Refused, each with its position: everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

from federation.analytics.formula_terms import Factor, Formula, Numeric, Survival, Term, among, joined, product_of
from federation.analytics.formula_tokens import FormulaError, Token, tokens
from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse, did_you_mean
from federation.query.expression import (
    COMPARISONS,
    MOST_POWER,
    Col,
    Compare,
    Const,
    Expression,
    Number,
    Power,
    Text,
    number,
    written,
)
from federation.query.sorts import check

MOST_CHARACTERS: Final = 4_096
MOST_TERMS: Final = 1_000
MOST_OPEN: Final = 32  # brackets at a time
_MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_FUNCTIONS: Final[dict[str, Callable[[Expression], Expression]]] = {
    "log": Expression.log,
    "exp": Expression.exp,
    "sqrt": Expression.sqrt,
    "abs": Expression.__abs__,
    "expit": Expression.expit,
}
_WORDS: Final = (*_FUNCTIONS, "clip", "C", "I", "offset", "strata", "Surv")


def parse(text: str, dataset: Dataset) -> Formula:
    """Return the formula that `text` says over `dataset`. Raises FormulaError, a Misuse with its position."""
    return _parser(text, dataset).formula()


def parse_number(text: str, dataset: Dataset) -> Numeric:
    """Return the number per row that `text` says, for weights and offsets beside a formula. Raises FormulaError."""
    return _parser(text, dataset).alone()


@dataclass(frozen=True, slots=True)
class _Sum:
    """Terms as they stand in a bracket; `single` if it is one variable, to which `**` is arithmetic."""

    terms: tuple[Term, ...]
    single: Numeric | None = None


@dataclass(slots=True)
class _Parser:
    """Recursive descent; the number of open brackets bounds its depth."""

    text: str
    dataset: Dataset
    tokens: Sequence[Token]
    at: int = 0
    depth: int = 0
    intercept: bool = True
    offsets: list[Numeric] = field(default_factory=list)
    strata: list[str] = field(default_factory=list)

    def formula(self) -> Formula:
        response = self._response()
        if not self._takes("~"):
            raise self._error(f"expected ~ after the response, got {self._here.shown}", hint="y ~ a + b")
        found = self._sum().terms
        if self._here.kind != "end":
            raise self._unexpected()
        kept = tuple(term for term in sorted(found, key=len) if term)
        if isinstance(response, Numeric) and not kept and not self.intercept:
            raise self._error("the model has no term", hint="y ~ 1 is the mean alone")
        if isinstance(response, Numeric) and self.strata:
            raise self._error("strata belong to survival models", hint="write it as a term")
        return Formula(
            text=self.text,
            response=response,
            terms=kept,
            intercept=self.intercept,
            offsets=tuple(self.offsets),
            strata=tuple(self.strata),
        )

    def alone(self) -> Numeric:
        found = self._number()
        if self._here.kind != "end":
            raise self._unexpected()
        return found

    # --- the left side ----------------------------------------------------------------------------------------------

    def _response(self) -> Numeric | Survival:
        if self._here.value != "Surv" or self._after.value != "(":
            return self._number()
        self._next()
        self._open()
        time = self._number()
        if not self._takes(","):
            raise self._error(f"expected , in Surv(time, event), got {self._here.shown}")
        event = self._number()
        self._close()
        return Survival(time=time, event=event)

    # --- terms ------------------------------------------------------------------------------------------------------

    def _sum(self) -> _Sum:
        """Terms joined by + and -; a term that is taken away must not be a sum itself."""
        terms: list[Term] = []
        only: Numeric | None = None
        count, adds = 0, True
        if self._here.value in {"+", "-"}:
            adds = self._next().value == "+"
        while True:
            start = self._here
            if start.kind == "number" and self._after.value in {"+", "-", ")", ""}:
                self._constant(adds=adds)
            else:
                found = self._crossed()
                only, count = found.single, count + 1
                terms = joined(terms, found.terms) if adds else [t for t in terms if not among(t, found.terms)]
            if len(terms) > MOST_TERMS:
                raise self._error(f"a model has at most {MOST_TERMS} terms", start)
            if self._here.value not in {"+", "-"}:
                break
            adds = self._next().value == "+"
        return _Sum(tuple(terms), only if count == 1 else None)

    def _constant(self, *, adds: bool) -> None:
        token = self._next()
        if token.value not in {"0", "1"}:
            raise self._error(
                "a number is no term", token, hint="1 is the intercept; arithmetic stands inside I(...), as I(x + 2)"
            )
        self.intercept = adds is (token.value == "1")

    def _crossed(self) -> _Sum:
        found = self._product()
        while self._takes("*"):
            right = self._product()
            products = [product_of(a, b) for a in found.terms for b in right.terms]
            found = _Sum(tuple(joined(joined(list(found.terms), right.terms), products)))
        if self._here.value == "/":
            raise self._error("a quotient stands inside I(...)", hint="I(a / b)")
        return found

    def _product(self) -> _Sum:
        found = self._powered()
        while self._takes(":"):
            right = self._powered()
            found = _Sum(tuple(joined([], [product_of(a, b) for a in found.terms for b in right.terms])))
        return found

    def _powered(self) -> _Sum:
        found = self._unit()
        if not self._takes("**"):
            return found
        exponent = self._exponent()
        if found.single is not None:
            made = self._to_power(found.single, exponent)
            return _Sum(((made,),), made)
        if len(found.terms) == 1:
            return found  # a factor's products with itself are itself
        terms: list[Term] = []
        for size in range(1, min(exponent, len(found.terms)) + 1):
            for chosen in combinations(found.terms, size):
                product: Term = ()
                for term in chosen:
                    product = product_of(product, term)
                terms = joined(terms, [product])
                if len(terms) > MOST_TERMS:
                    raise self._error(f"a model has at most {MOST_TERMS} terms")
        return _Sum(tuple(terms))

    def _unit(self) -> _Sum:
        token = self._here
        if token.value == "(" and token.kind == "sign":
            self._open()
            found = self._sum()
            self._close()
            return found
        if token.kind == "name" and self._after.value == "(" and token.value in {"C", "offset", "strata"}:
            self._next()
            self._open()
            return {"C": self._factor, "offset": self._offset, "strata": self._stratum}[token.value]()
        if token.kind in {"name", "quoted"} and self._after.value != "(":
            name = token.value.strip("`")
            if self._kind(name, token) is Kind.CATEGORY:
                self._next()
                return _Sum(((Factor(text=name, column=name, ref=None),),))
        if token.kind not in {"name", "quoted"}:
            raise self._unexpected("a column, a function or a bracket")
        start = self.at
        made = self._made(self._primary(), start)
        return _Sum(((made,),), made)

    def _factor(self) -> _Sum:
        token = self._next()
        name = token.value.strip("`")
        if token.kind not in {"name", "quoted"}:
            raise self._error(f"expected a column in C(...), got {token.shown}", token)
        kind = self._kind(name, token)
        if kind not in (Kind.CATEGORY, Kind.INTEGER):
            raise self._error(f"column {name!r} is of kind {kind.value} and has no levels", token)
        said = self._said()
        coarse = {level.name: level for level in self.dataset.column(name).levels}
        level, ref = said.get("level"), said.get("ref")
        if level is not None and level.text not in coarse:
            hint = did_you_mean(level.text, coarse) or "the catalogue lists the levels of its columns"
            raise self._error(f"column {name!r} has no such level above its categories", level, hint=hint)
        listed = coarse[level.text].values if level else self.dataset.column(name).categories
        chosen = None if ref is None else ref.text if ref.kind == "text" else ref.value
        if ref is not None and kind is Kind.CATEGORY and chosen not in listed:
            raise self._error(f"column {name!r} has no such level", ref, hint=did_you_mean(str(chosen), listed))
        self._close()
        text = f'C({name}, level="{level.text}")' if level else f"C({name})"
        return _Sum(((Factor(text=text, column=name, ref=chosen, level=level.text if level else ""),),))

    def _said(self) -> dict[str, Token]:
        """What stands in C() after the column: ref="..." and level="...", each at most once."""
        said: dict[str, Token] = {}
        while self._takes(","):
            word = self._next()
            if word.value not in {"ref", "level"} or word.value in said or not self._takes("="):
                raise self._error(f'expected ref="..." or level="...", got {word.shown}', word)
            said[word.value] = found = self._next()
            if found.kind != "text" and (word.value == "level" or found.kind != "number"):
                raise self._error(f"expected a level, got {found.shown}", found)
        return said

    def _offset(self) -> _Sum:
        self.offsets.append(self._number())
        self._close()
        return _Sum(())

    def _stratum(self) -> _Sum:
        token = self._next()
        name = token.value.strip("`")
        if token.kind not in {"name", "quoted"} or self._kind(name, token) is not Kind.CATEGORY:
            raise self._error("strata(...) holds a category column", token)
        self.strata.append(name)
        self._close()
        return _Sum(())

    # --- arithmetic -------------------------------------------------------------------------------------------------

    def _number(self) -> Numeric:
        start = self.at
        return self._made(self._compared(), start)

    def _made(self, of: Expression, start: int) -> Numeric:
        """The number that the tokens since `start` say; a power on top of it is taken off."""
        try:
            check(of, self.dataset)
        except Misuse as error:
            raise self._error(error.message, self.tokens[start], hint=error.hint) from None
        text = _written(self.tokens[start : self.at])
        of, power = (of.base, of.exponent) if isinstance(of, Power) and of.exponent else (of, 1)
        return Numeric(text=text, of=of, power=power, atom=written(of, most=2 * MOST_CHARACTERS))

    def _to_power(self, of: Numeric, exponent: int) -> Numeric:
        exponent *= of.power
        if not 1 <= exponent <= MOST_POWER:
            raise self._error(f"a power is 1 to {MOST_POWER}")
        name = of.text if of.power == 1 else of.atom
        return replace(of, text=name if exponent == 1 else f"{name}**{exponent}", power=exponent)

    def _compared(self) -> Expression:
        """One comparison is an indicator."""
        left = self._text_or_sum()
        if self._here.value not in COMPARISONS:
            if isinstance(left, Text):
                raise self._error("a quoted level stands only beside == and !=", self.tokens[self.at - 1])
            return left
        sign = self._next()
        right = self._text_or_sum()
        if isinstance(left, Text):
            left, right, sign = right, left, replace(sign, value=_MIRRORED[sign.value])
        made = Compare(sign.value, left, right)
        try:
            check(made, self.dataset)
        except Misuse as error:
            raise self._error(error.message, sign, hint=error.hint) from None
        return made.indicator()

    def _text_or_sum(self) -> Expression:
        if self._here.kind == "text":
            return Text(self._next().text)
        return self._added()

    def _added(self) -> Expression:
        if self._takes("-"):
            found = self._multiplied()
            found = Const(-found.value) if isinstance(found, Const) else -found
        else:
            found = self._multiplied()
        while self._here.value in {"+", "-"}:
            found = found + self._multiplied() if self._next().value == "+" else found - self._multiplied()
        return found

    def _multiplied(self) -> Expression:
        found = self._raised()
        while self._here.value in {"*", "/"}:
            found = found * self._raised() if self._next().value == "*" else found / self._raised()
        return found

    def _raised(self) -> Expression:
        found = self._primary()
        return found ** self._exponent() if self._takes("**") else found

    def _primary(self) -> Expression:
        token = self._next()
        if token.kind == "number":
            return self._const(token)
        if token.kind == "sign" and token.value == "(":
            self.at -= 1
            self._open()
            found = self._compared()
            self._close()
            return found
        if token.kind not in {"name", "quoted"}:
            raise self._error(f"expected a column or a number, got {token.shown}", token)
        if token.kind == "quoted" or self._here.value != "(":
            name = token.value.strip("`")
            self._kind(name, token)
            return Col(name)
        self._open()
        if token.value == "I":
            found = self._compared()
        elif token.value == "clip":
            found = self._clip()
        elif token.value in _FUNCTIONS:
            found = _FUNCTIONS[token.value](self._compared())
        else:
            hint = did_you_mean(token.value, _WORDS)
            raise self._error(f"there is no function {token.value[:40]!r} here", token, hint=hint)
        self._close()
        return found

    def _clip(self) -> Expression:
        of = self._added()
        ends: list[Number] = []
        for _ in range(2):
            if not self._takes(","):
                raise self._error("clip needs clip(x, low, high)")
            negative = self._takes("-")
            token = self._next()
            if token.kind != "number":
                raise self._error(f"expected a number, got {token.shown}", token)
            value = self._const(token).value
            ends.append(number(-value) if negative else value)
        try:
            return of.clip(*ends)
        except Misuse as error:
            raise self._error(error.message) from None

    def _const(self, token: Token) -> Const:
        try:
            return Const(int(token.value) if token.value.isdecimal() else float(token.value))
        except Misuse as error:
            raise self._error(error.message, token, hint=error.hint) from None

    def _exponent(self) -> int:
        token = self._next()
        if token.kind != "number" or not token.value.isdecimal() or not 1 <= len(token.value) <= 2:
            raise self._error(f"expected a whole exponent of 1 to {MOST_POWER}, got {token.shown}", token)
        if not 1 <= int(token.value) <= MOST_POWER:
            raise self._error(f"a power is 1 to {MOST_POWER}", token, hint="sqrt(x) for halves, I(1 / x) for negatives")
        return int(token.value)

    # --- tokens -----------------------------------------------------------------------------------------------------

    @property
    def _here(self) -> Token:
        return self.tokens[self.at]

    @property
    def _after(self) -> Token:
        return self.tokens[min(self.at + 1, len(self.tokens) - 1)]

    def _next(self) -> Token:
        token = self._here
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def _takes(self, sign: str) -> bool:
        if self._here.kind == "sign" and self._here.value == sign:
            self._next()
            return True
        return False

    def _open(self) -> None:
        token = self._here
        if not self._takes("("):
            raise self._unexpected("(")
        self.depth += 1
        if self.depth > MOST_OPEN:
            raise self._error(f"more than {MOST_OPEN} brackets are open", token)

    def _close(self) -> None:
        if not self._takes(")"):
            raise self._unexpected("a closing bracket")
        self.depth -= 1

    def _kind(self, name: str, token: Token) -> Kind:
        try:
            return self.dataset.column(name).kind
        except Misuse as error:
            raise self._error(error.message, token, hint=error.hint) from None

    def _unexpected(self, wanted: str = "an operator or the end") -> FormulaError:
        hint = "write **" if self._here.value == "^" else ""
        return self._error(f"expected {wanted}, got {self._here.shown}", hint=hint)

    def _error(self, what: str, token: Token | None = None, hint: str = "") -> FormulaError:
        return FormulaError(what, text=self.text, position=(token or self._here).position, hint=hint)


def _parser(text: str, dataset: Dataset) -> _Parser:
    if len(text) > MOST_CHARACTERS:
        raise FormulaError(f"it is longer than {MOST_CHARACTERS} characters", text=text, position=MOST_CHARACTERS)
    return _Parser(text=text, dataset=dataset, tokens=tokens(text))


def _written(part: Sequence[Token]) -> str:
    spaced = {"+", "-", "*", "/", "**", *COMPARISONS}
    found = ""
    for before, token in zip((None, *part), part, strict=False):
        alone = token.value == "-" and (before is None or before.value in {"(", ",", *spaced})
        found += f" {token.value} " if token.value in spaced and not alone else token.value
        found += " " if token.value == "," else ""
    return found
