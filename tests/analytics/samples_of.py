"""A survey sample, and Taylor's formulas over pooled rows, written as the textbooks have them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd


def drawn(seed: int = 0, size: int = 600) -> pd.DataFrame:
    """Return rows of a stratified sample of clusters of unequal sizes, with weights and a number of all clusters."""
    dice = np.random.Generator(np.random.PCG64(seed))
    stratum = dice.choice(["east", "north", "west"], size, p=[0.5, 0.3, 0.2])
    cluster = [f"{s}-{dice.integers(0, {'east': 30, 'north': 18, 'west': 9}[s])}" for s in stratum]
    known = {name: dice.normal(0, 3) for name in sorted(set(cluster))}
    x = dice.gamma(3, 20, size)
    frame = pd.DataFrame(
        {
            "psu": cluster,
            "stratum": stratum,
            "sex": dice.choice(["f", "m"], size),
            "w": np.round(dice.uniform(5, 80, size), 3),
            "x": x,
            "y": 400 + 0.8 * x + np.array([known[name] for name in cluster]) + dice.normal(0, 10, size),
        }
    )
    frame["poor"] = (frame["y"] + dice.normal(0, 20, size) < 440).astype(int)
    frame["visits"] = dice.poisson(np.exp(0.2 + 0.01 * x))
    frame["N"] = frame["stratum"].map({"east": 150, "north": 60, "west": 20})
    return frame.sort_values("psu", ignore_index=True)


def whole_clusters(frame: pd.DataFrame, parties: int) -> list[list[int]]:
    """Return the rows of parties of unequal sizes; no cluster lies in two."""
    names = sorted(set(frame["psu"]))
    cuts = [len(names) * part * (part + 1) // (parties * (parties + 1)) for part in range(parties + 1)]
    return [frame.index[frame["psu"].isin(names[a:b])].tolist() for a, b in pairwise(cuts)]


def spread(z: pd.DataFrame, frame: pd.DataFrame, *, psu: str | None, strata: str | None, fpc: bool) -> np.ndarray:
    """Return the covariance of the totals of the columns of z, which is 0 outside a domain."""
    stratum = frame[strata] if strata else pd.Series("", index=frame.index)
    cluster = frame[psu] if psu else pd.Series(frame.index, index=frame.index)
    found = np.zeros((z.shape[1], z.shape[1]))
    for label in sorted(set(stratum)):
        inside = stratum == label
        sums = z[inside].groupby(cluster[inside]).sum().to_numpy()
        n = len(sums)
        f = n / frame.loc[inside, "N"].iloc[0] if fpc else 0.0
        away = sums - sums.mean(axis=0)
        found += (1 - f) * n / (n - 1) * away.T @ away
    return found
