"""Frames as sources: pandas, polars and pyarrow tables that are already in memory; none of them is imported here.

Only published columns are looked at. A pandas frame cannot tell NaN and NULL apart, so its NaN is "no value"; in the
others NaN stays a number that is not finite. Refused: anything else, and columns of types that no reader understands.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from federation.domain.catalogue import Dataset, Kind
from federation.errors import Misuse, did_you_mean

Array: TypeAlias = npt.NDArray[Any]  # int64, float64, or objects that are str; masked where a value is missing

_LABEL: Final = b"federation/frame/v1"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame cut down to the columns that matter.

    Attributes:
        table: pandas.DataFrame, polars.DataFrame or pyarrow.Table.
        names: its columns' names, in order.
        nan_is_null: True for pandas.
    """

    table: object
    names: tuple[str, ...]
    nan_is_null: bool


def found(source: object, wanted: Sequence[str] | None = None) -> Frame:
    """Return a frame with the wanted columns only (None: all). Raises Misuse if it is none or lacks one."""
    name = _library(source)
    table: Any = source
    labels = list(table.column_names if name == "pyarrow" else table.columns)
    lacking = [item for item in wanted or () if item not in labels]
    if lacking:
        hint = did_you_mean(lacking[0], [label for label in labels if isinstance(label, str)])
        raise Misuse(f"the frame has no column {lacking[0]!r}", hint=hint)
    places = [i for i, label in enumerate(labels) if isinstance(label, str) and (wanted is None or label in wanted)]
    match name:
        case "pandas":
            cut = table.iloc[:, places]
        case "polars":
            cut = table[:, places]
        case _:
            cut = table.select(places)
    return Frame(cut, tuple(labels[i] for i in places), nan_is_null=name == "pandas")


def version(dataset: Dataset, columns: Sequence[tuple[Array, Array | None]]) -> str:
    """Return SHA-256 (hex) over the columns of a frame in the data set's order, as they are read.

    Args:
        dataset: the publication.
        columns: per column its values (masked where missing) and, where it declares missing codes, its reasons.
    """
    state = hashlib.sha256(_LABEL)
    for item, (values, reasons) in zip(dataset.columns, columns, strict=True):
        for text in (item.name, item.kind.value, *item.categories):
            _add(state, text.encode("utf-8"))
        mask = np.ma.getmaskarray(values)
        _add(state, len(mask).to_bytes(8, "little"))
        _add(state, np.packbits(mask).tobytes())
        _add(state, _canonical(item.kind, np.ma.getdata(values), mask))
        if reasons is not None:
            _add(state, np.ma.filled(reasons, -1).astype("<i8").tobytes())
    return state.hexdigest()


def _canonical(kind: Kind, values: Array, mask: npt.NDArray[np.bool_]) -> bytes:
    if kind is Kind.IDENTIFIER:
        texts = ["" if is_missing else text for text, is_missing in zip(values.tolist(), mask.tolist(), strict=True)]
        return np.array([len(text) for text in texts], dtype="<i8").tobytes() + "".join(texts).encode("utf-8")
    numbers = np.where(mask, 0, values)
    if kind is Kind.REAL:
        return np.where(np.isnan(numbers), np.nan, numbers).astype("<f8").tobytes()
    return numbers.astype("<i8").tobytes()


def _add(state: Any, part: bytes) -> None:  # noqa: ANN401  # hashlib names no type for its states
    state.update(len(part).to_bytes(8, "big"))
    state.update(part)


def _library(source: object) -> str:
    """Return the library whose frame this is; one that was not imported by its owner cannot have made it."""
    for name, of in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table")):
        module = sys.modules.get(name)
        if module is not None and isinstance(source, getattr(module, of)):
            return name
    kind = type(source).__name__
    hint = "call .collect() first" if kind == "LazyFrame" else "a path, or a pandas, polars or pyarrow table"
    raise Misuse(f"{kind} is not a source of rows", hint=hint)
