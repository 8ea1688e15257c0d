"""What a training standardises by: joint figures of the rows that are learned from, and of no row that is held out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import federation as fed

FEATURES = ("x0", "x1")


def frame(rows: int, shift: float, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.normal(shift, 1 + shift, size=(rows, 2))
    held_out = np.arange(rows) % 4 == 0
    x[held_out] += 50  # whoever counts these has other figures by far
    return pd.DataFrame(
        {
            "x0": x[:, 0],
            "x1": x[:, 1],
            "y": (x.sum(axis=1) > 0).astype(int),
            "part": np.where(held_out, "test", "train"),
            "held_out": held_out.astype(int),
        }
    )


@pytest.mark.parametrize("split", ["part", "held_out"])
def test_rows_that_a_column_holds_out_have_no_part_in_the_figures(split: str) -> None:
    frames = {"a": frame(80, 0.0, 1), "b": frame(120, 0.5, 2), "c": frame(60, 1.0, 3)}
    pooled = pd.concat(frames.values())
    learned = pooled[pooled.part == "train"]
    session = fed.local(frames)
    found = session.train(
        data=session.table("data"),
        target="y",
        features=FEATURES,
        split=split,
        strategy=fed.FedAvg(rounds=1),  # type: ignore[attr-defined] - resolved by name
    ).result()
    scaling = found.course.scaling
    assert scaling.centre == pytest.approx(learned[list(FEATURES)].mean().tolist(), rel=1e-9)
    assert scaling.scale == pytest.approx(learned[list(FEATURES)].std().tolist(), rel=1e-9)
    assert found.history[0].weight == len(learned)
    assert found.figures.n == len(pooled) - len(learned)
