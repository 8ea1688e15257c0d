"""Uneven parties: of different sizes, one without a category, one with a single class, one with NaN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from federation.domain.catalogue import Column, Dataset, Kind
from tests.analytics.parties import Party

AREAS = ("north", "south", "sea")
SEXES = ("f", "m")
AGES = (-40, 60)
PAY = (-500.0, 4_000.0)


def published(*, k: int = 1, own_figures: bool = True) -> Dataset:
    """Return what all parties publish."""
    return Dataset(
        name="people",
        title="People",
        unit="person",
        k=k,
        own_figures=own_figures,
        columns=(
            Column(name="age", kind=Kind.INTEGER, low=AGES[0], high=AGES[1], missing=(("-99", "refused"),)),
            Column(name="pay", kind=Kind.REAL, low=PAY[0], high=PAY[1]),
            Column(name="gain", kind=Kind.REAL, low=0.0, high=1_000.0),
            Column(name="score", kind=Kind.REAL, low=0.0, high=1.0),
            Column(name="area", kind=Kind.CATEGORY, categories=AREAS),
            Column(name="sex", kind=Kind.CATEGORY, categories=SEXES),
            Column(name="sick", kind=Kind.INTEGER, low=0, high=1),
            Column(name="w", kind=Kind.INTEGER, low=0, high=4),
            Column(name="share", kind=Kind.REAL, low=0.0, high=3.0),
        ),
    )


def people(seed: int, parties: int = 4, rows: int = 900) -> list[pd.DataFrame]:
    """Return one frame per party, of very unequal sizes.

    The first has nobody at sea, the second nobody sick, the last alone has pay that is NaN and refused ages.
    """
    dice = np.random.default_rng(seed)
    shares = dice.dirichlet(np.linspace(1, 4, parties))
    frames = []
    for i, share in enumerate(shares):
        n = max(40, int(rows * share))
        area = dice.choice(AREAS[: 2 if i == 0 else 3], n)
        sex = dice.choice(SEXES, n, p=[0.6, 0.4])
        age = np.clip(dice.normal(20 + 6 * (area == "sea"), 12, n).round(), *AGES).astype(np.int64)
        pay = np.clip(900 + 30 * age + dice.gamma(2, 200, n) + 150 * (sex == "m"), *PAY)
        gain = np.minimum(dice.lognormal(3, 1, n), 1_000)
        sick = np.zeros(n, dtype=np.int64) if i == 1 else (dice.random(n) < 0.2 + 0.2 * (sex == "f")).astype(np.int64)
        score = np.clip(0.4 + 0.2 * sick + dice.normal(0, 0.2, n), 0, 1)
        if i == parties - 1:
            pay[dice.random(n) < 0.1] = np.nan
            age[dice.random(n) < 0.1] = -99
        w, share_ = dice.integers(0, 5, n), np.where(dice.random(n) < 0.1, 0, dice.uniform(0, 3, n))
        frames.append(
            pd.DataFrame(
                {
                    "age": age,
                    "pay": pay,
                    "gain": gain,
                    "score": score,
                    "area": area,
                    "sex": sex,
                    "sick": sick,
                    "w": w,
                    "share": share_,
                }
            )
        )
    return frames


def parties_of(frames: Sequence[pd.DataFrame], *, k: int = 1, own_figures: bool = True) -> list[Party]:
    """Return one party in memory per frame."""
    dataset = published(k=k, own_figures=own_figures)
    return [Party(dataset, {name: frame[name].to_numpy() for name in frame.columns}) for frame in frames]


def pool(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return all rows, with NaN for what is missing."""
    found = pd.concat(frames, ignore_index=True)
    found["age"] = found["age"].astype(float).where(found["age"] != -99)
    return found


def repeated(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return the frames with every row w times."""
    return [frame.loc[frame.index.repeat(frame["w"])].reset_index(drop=True) for frame in frames]
