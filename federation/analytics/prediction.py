"""Fitted means for rows that a researcher has: the design of a formula, evaluated by the oracle's arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from federation.analytics.design import Merges, designed
from federation.analytics.formula import parse, parse_number
from federation.domain.catalogue import Column, Dataset, Kind
from federation.errors import Misuse
from federation.query import expression, nodes
from federation.query.expression import Const, Expression, Indicator
from federation.query.rows import PRESENT, Read

Vector = npt.NDArray[np.float64]

MEANS: Final[Mapping[str, Any]] = {
    "identity": lambda eta: eta,
    "logit": lambda eta: 1.0 / (1.0 + np.exp(-eta)),
    "log": np.exp,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """What predictions need of a model; the attributes are those of `Regression`."""

    formula: str
    columns: tuple[Column, ...]
    merges: Merges
    empty: tuple[tuple[int, tuple[int, ...]], ...]
    offset: str

    def means(self, data: Mapping[str, Any], coefficients: Sequence[float], link: str) -> Vector:
        """Return the mean of each row of `data`; see `Regression.predict`."""
        joint = Dataset(name="predicted", title="", unit="row", columns=self.columns, k=1)
        formula = parse(self.formula, joint)
        design = designed(formula, joint, self.merges, dict(self.empty))
        numbers = [number.of for number in design.numbers]
        levels = design.indicators()
        columns = [design.column(monomial, numbers, levels) for monomial in design.monomials]
        offsets = [number.expression for number in formula.offsets]
        if self.offset:
            offsets.append(parse_number(self.offset, joint).expression)
        factors = {factor.column: {v for level in factor.levels for v in level.values} for factor in design.factors}
        read = {name: self._read(data, name, factors.get(name)) for name in expression.columns(columns + offsets)}
        rows = len(next(iter(read.values())).values) if read else _length(data)
        found = nodes.evaluated([*columns, *offsets], read, rows, _integer)
        eta = np.zeros(rows)
        for column, coefficient in [*zip(columns, coefficients, strict=True), *((offset, 1.0) for offset in offsets)]:
            known = found[id(column)]
            if isinstance(known, nodes.Known):
                eta += np.where(known.ok, known.value, np.nan).astype(np.float64) * coefficient
        with np.errstate(over="ignore"):
            return np.asarray(MEANS[link](eta), dtype=np.float64)

    def _read(self, data: Mapping[str, Any], name: str, levels: set[str] | None) -> Read:
        column = next(item for item in self.columns if item.name == name)
        try:
            values = np.asarray(data[name])
        except KeyError:
            raise Misuse(f"the rows to predict have no column {name!r}") from None
        if column.kind is not Kind.CATEGORY:
            try:
                numbers = values.astype(np.float64)
            except (TypeError, ValueError):
                raise Misuse(f"column {name!r} of the rows to predict holds something else than numbers") from None
            lacking = np.isnan(numbers)
            if levels is not None and not set(numbers[~lacking].tolist()) <= {float(level) for level in levels}:
                raise Misuse(f"the rows to predict have a level of {name!r} that the model has not")
            return Read(column, numbers, np.where(lacking, 0, PRESENT))
        lacking = np.array([value is None or value != value for value in values.tolist()], dtype=np.bool_)  # noqa: PLR0124 - NaN
        texts = np.array([str(value) for value in values.tolist()], dtype=object)
        if levels is not None and not set(texts[~lacking].tolist()) <= levels:
            raise Misuse(f"the rows to predict have a level of {name!r} that the model has not")
        return Read(column, np.where(lacking, "", texts), np.where(lacking, 0, PRESENT))


def _integer(node: Expression) -> bool:
    """Raw values have no range that arithmetic could rely on: only indicators and whole constants are integers."""
    return isinstance(node, Indicator) or (isinstance(node, Const) and isinstance(node.value, int))


def _length(data: Mapping[str, Any]) -> int:
    """Return how many rows there are, where a model of a constant reads none of them."""
    return len(data[next(iter(data))])
