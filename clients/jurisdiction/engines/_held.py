"""A column of a source by its physical type, as SQL that gives NULL where a value cannot be read as asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from clients.jurisdiction.sql.layers import as_real, as_whole, call, column, when

_NARROW: Final = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "BOOLEAN"})
_WIDE: Final = frozenset({"UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"})
_BROKEN: Final = frozenset({"FLOAT", "DOUBLE", "DECIMAL"})  # may hold what is not whole
_TEXT: Final = frozenset({"VARCHAR", "ENUM", "UUID", "NULL"})  # NULL: a column of a frame that holds nothing
_WRITTEN: Final = frozenset({"DATE", "TIME", "TIMESTAMP"})
_WHOLE: Final = r"\s*[+-]?[0-9]+(\.0*)?\s*"


@dataclass(frozen=True, slots=True)
class Held:
    """One column of a source.

    Attributes:
        name: what statements call it.
        type: DuckDB's type, without parameters.
        nan_is_null: True where the source cannot tell NaN and NULL apart.
    """

    name: str
    type: str
    nan_is_null: bool

    @property
    def is_number(self) -> bool:
        """True for types of numbers, booleans among them."""
        return self.type in _NARROW or self.is_whole_by_type or self.type in _BROKEN

    @property
    def is_whole_by_type(self) -> bool:
        """True for integers, of which some may not fit in 64 bits, and for booleans."""
        return self.type in _NARROW or self.type in _WIDE

    @property
    def fits_by_type(self) -> bool:
        """True for types whose every value is a 64-bit integer."""
        return self.type in _NARROW

    @property
    def is_text(self) -> bool:
        """True for types whose values may or may not spell a number."""
        return self.type in _TEXT

    @property
    def is_written(self) -> bool:
        """True for types that have a spelling and are no numbers: dates and times."""
        return self.type.split("_")[0] in _WRITTEN

    def given(self, *, numeric: bool = True) -> exp.Expr:
        """The value as it stands; NULL for NaN where that means NULL, which it always does in what is no number."""
        found = column(self.name)
        if self.type in ("FLOAT", "DOUBLE") and (self.nan_is_null or not numeric):
            return when(exp.Not(this=call("ISNAN", found)), found.copy())
        return found

    def integer(self) -> exp.Expr:
        """The value as BIGINT; NULL where it is not whole or too large."""
        if self.type in _NARROW:
            return as_whole(self.given())
        found = exp.TryCast(this=self.given(), to=exp.DataType(this=exp.DataType.Type.BIGINT))
        if self.type in _WIDE:
            return found
        if self.type in _BROKEN:
            return when(self._is_whole(), found)
        return when(call("REGEXP_FULL_MATCH", as_text(self.given()), exp.Literal.string(_WHOLE)), found)

    def real(self) -> exp.Expr:
        """The value as DOUBLE; NULL where text spells no number, or one that is too large for it, 10^400 for one."""
        if self.is_number:
            return as_real(self.given())
        found = exp.TryCast(this=self.given(), to=exp.DataType(this=exp.DataType.Type.DOUBLE))
        digits = call("REGEXP_MATCHES", as_text(self.given()), exp.Literal.string("[0-9]"))  # "inf" has none
        overflown = exp.Paren(this=exp.And(this=call("ISINF", found), expression=digits))
        return when(exp.Not(this=overflown), found.copy())

    def text(self) -> exp.Expr:
        """The value as text; a whole number without a fraction, however the source stores it."""
        found = as_text(self.given(numeric=False))
        if self.type not in _BROKEN:
            return found
        tried = exp.TryCast(this=self.given(numeric=False), to=exp.DataType(this=exp.DataType.Type.BIGINT))
        short = exp.Coalesce(this=as_text(tried), expressions=[found])
        return when(self._is_whole(), short, found.copy())

    def _is_whole(self) -> exp.Expr:
        return exp.EQ(this=exp.Paren(this=self.given()), expression=exp.Floor(this=self.given()))


def as_text(of: exp.Expr) -> exp.Expr:
    """Return `of` as text."""
    return exp.Cast(this=of, to=exp.DataType(this=exp.DataType.Type.TEXT))
