"""Parties of unequal sizes out of one frame, described as their operators would: what is pooled is the frame itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from federation.domain.catalogue import Column, Dataset, Kind
from tests.analytics.parties import Party

NOT_GIVEN = -99999


def described(frame: pd.DataFrame, *, k: int, own_figures: bool, identifiers: Sequence[str] = ()) -> Dataset:
    """Return a description of the frame: numbers with their ranges, texts with their categories."""
    columns = []
    for name in frame.columns:
        values = frame[name]
        if name in identifiers:
            columns.append(Column(name=name, kind=Kind.IDENTIFIER))
        elif not pd.api.types.is_numeric_dtype(values):
            columns.append(Column(name=name, kind=Kind.CATEGORY, categories=tuple(sorted(set(values)))))
        else:
            kind = Kind.INTEGER if values.dtype.kind in "iub" else Kind.REAL
            low, high = values.min(), values.max()
            ends = (int(low), int(high)) if kind is Kind.INTEGER else (float(low), float(high))
            columns.append(Column(name=name, kind=kind, low=ends[0], high=ends[1]))
    return Dataset(name="people", title="People", unit="person", k=k, own_figures=own_figures, columns=tuple(columns))


def split(
    frame: pd.DataFrame,
    parts: Sequence[int | Sequence[int]],
    *,
    k: int = 1,
    own_figures: bool = True,
    identifiers: Sequence[str] = (),
) -> list[Party]:
    """Return one party per part: so many further rows, or rows by their place. Missing numbers stay NaN."""
    published = described(frame, k=k, own_figures=own_figures, identifiers=identifiers)
    parties, start = [], 0
    for part in parts:
        rows = frame.iloc[start : start + part] if isinstance(part, int) else frame.iloc[list(part)]
        start += part if isinstance(part, int) else 0
        parties.append(Party(published, columns_of(rows)))
    return parties


def columns_of(frame: pd.DataFrame) -> Mapping[str, object]:
    """Return the frame as the oracle reads rows."""
    found: dict[str, object] = {}
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_numeric_dtype(values):
            found[name] = values.to_numpy(np.int64 if values.dtype.kind in "iub" else np.float64)
        else:
            found[name] = values.astype(str).to_numpy(object)
    return found
