"""Three parties with unlike pictures train McMahan's 2NN (199,210 parameters) together, beside pooled and local ones.

The split is synthetic, drawn once for each alpha; see `data`. Pixels go in as their declared range, 0 to 255 made 0 to
1. The figure is the accuracy of the last round's model on 10,000 tested pictures. Parameters were chosen on a tenth of
the training pictures, set aside for that and never the tested ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import federation as fed
from clients.researcher.results import signature
from federation.training.inputs import Inputs, Task
from federation_examples import learning
from federation_examples.comparison import Bar, Board, Comparison, Dots, Kind, Lines, Row, averaged, said
from federation_examples.fashion.data import (
    FEATURES,
    KINDS,
    PARTIES,
    PURPOSE,
    SHARES,
    SPLIT,
    TARGET,
    K,
    name_of,
    split,
    tables,
)
from federation_examples.learning import Recipe, Sample
from federation_examples.report import Story

if TYPE_CHECKING:
    from clients.researcher.session import Session
    from clients.researcher.training import Trained

CONFIG: Final = {"hidden": (200, 200)}
INPUTS: Final = Inputs(numbers=len(FEATURES), outputs=len(KINDS), task=Task.CLASSES)
WAYS: Final[Mapping[str, Mapping[str, float]]] = {
    "FedAvg": {"lr": 0.1, "lr_decay": 0.95, "batch_size": 50, "epochs": 1},
    # 800 updates are two passes over a third of the pictures: with equal steps no party pulls by its size alone.
    "Scaffold": {"lr": 0.1, "lr_decay": 0.93, "batch_size": 50, "steps": 800},
}
POOLED: Final = Recipe(rate=0.1, batch=50, passes=8, decay=0.8)
LONGER: Final = Recipe(rate=0.1, batch=50, passes=25, decay=0.95)  # as many passes as FedAvg makes
LEAST: Final = {0.5: 0.865, 0.1: 0.82}
NEAR: Final = 0.010  # of pooled, for alpha 0.5
NOTES: Final = (
    "The split is SYNTHETIC: nobody owns a part of Fashion-MNIST; it shows what unlike parties do to training.",
    "One draw of the split and one seed: a tenth of a point is no difference.",
    f"k = {K}: public data, nothing is withheld.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of the story is told; tests tell little."""

    rounds: int = 25
    seed: int = 1
    ways: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: WAYS)
    pooled: tuple[Recipe, ...] = (POOLED, LONGER)


def run(
    session: Session,
    files: Iterable[Path],
    *,
    table: str = "",
    alpha: float = 0.5,
    size: Size = Size(),
) -> Comparison:
    """Train by every way, and return the accuracies beside the others.

    Args:
        session: with the table.
        files: the parties' Parquet files, only for pooled and local references.
        table: what the session calls it; the split's own name by default.
        alpha: of the split.
        size: how much.
    """
    pictures = session.table(table or name_of(alpha), purpose=PURPOSE)
    began = time.perf_counter()
    found = {
        name: session.train(
            model="mlp",
            config=CONFIG,
            data=pictures,
            target=TARGET,
            features=FEATURES,
            split=SPLIT,
            scale="range",
            seed=size.seed,
            strategy=getattr(fed, name)(rounds=size.rounds, **options),
        ).result(best=False)
        for name, options in size.ways.items()
    }
    seconds = time.perf_counter() - began
    references = _references({file.stem: file for file in files}, size)
    joint = [
        Row(name=name, kind=Kind.JOINT, found=(trained.figures.accuracy,), how=said(**size.ways[name]))
        for name, trained in found.items()
    ]
    rows = (*references, *joint)
    return Comparison(
        name=name_of(alpha),
        title=f"Clothing on pictures, three parties, synthetic split by Dirichlet({alpha}): 2NN of 199,210 parameters",
        measure=f"accuracy on the tested pictures after {size.rounds} rounds",
        repeats="one seed",
        rows=rows,
        bars=_bars(alpha, rows),
        drawing=_board(alpha, found, rows),
        k=K,
        parties=pictures.parties,
        jobs=len(found),
        seconds=seconds,
        receipt=signature(next(iter(found.values())).receipt),
        notes=(*_costs(found), *NOTES),
    )


def _references(files: Mapping[str, Path], size: Size) -> tuple[Row, ...]:
    parts = {
        party: Sample(numbers=part.numbers / 255, target=part.target, tested=part.tested)
        for party, part in learning.samples(files, FEATURES, TARGET, SPLIT, KINDS).items()
    }
    every = learning.together(parts.values())
    numbers, target = every.half(tested=True)

    def row(name: str, kind: Kind, sample: Sample, recipe: Recipe) -> Row:
        module = learning.trained("mlp", CONFIG, INPUTS, sample, recipe, size.seed)
        found = learning.accuracy(learning.scores(module, numbers), target)
        return Row(
            name=name, kind=kind, found=(found,), how=said(lr=recipe.rate, lr_decay=recipe.decay, passes=recipe.passes)
        )

    first, *others = size.pooled
    return (
        row("pooled", Kind.POOLED, every, first),
        *(row("pooled, longer", Kind.POOLED, every, recipe) for recipe in others),
        *(row(f"party {party}", Kind.ALONE, parts[party], first) for party in PARTIES),
    )


def _bars(alpha: float, rows: Iterable[Row]) -> tuple[Bar, ...]:
    rows = tuple(rows)
    best = max((row for row in rows if row.kind is Kind.JOINT), key=lambda row: row.here)
    bars = [
        Bar(what=f"accuracy of {row.name}", got=row.here, least=LEAST[alpha]) for row in rows if row.kind is Kind.JOINT
    ]
    if alpha == max(SHARES):
        bars.append(Bar(what=f"{best.name} at most {NEAR:.3f} below pooled", got=best.here, least=rows[0].here - NEAR))
    alone = max(row.here for row in rows if row.kind is Kind.ALONE)
    bars.append(Bar(what=f"{best.name} above every party alone", got=best.here, least=alone))
    return tuple(bars)


def _costs(found: Mapping[str, Trained]) -> tuple[str, ...]:
    """Say what a round costs a party on the wire, keys and proofs included."""
    costs = [
        f"{name} {sum(each.sent_bytes for each in trained.rounds) / len(trained.rounds) / 1e6:.2f} MB"
        for name, trained in found.items()
        if trained.rounds
    ]
    return (f"Sent by a party in a round, under masks: {', '.join(costs)}.",) if costs else ()


def _board(alpha: float, found: Mapping[str, Trained], rows: tuple[Row, ...]) -> Board:
    curves = tuple(
        averaged(name, [[each.figures.accuracy for each in trained.history]], joint=name == "FedAvg")
        for name, trained in found.items()
    )
    return Board(
        name=f"{name_of(alpha).replace('_', '-')}-rounds",
        title=f"Clothing on pictures: three unlike parties train one model (synthetic split, alpha {alpha})",
        panels=(
            Lines(
                title="Accuracy along the rounds",
                x_label="round",
                y_label="accuracy on 10,000 tested pictures",
                curves=curves,
                levels=(("pooled", rows[0].here),),
            ),
            Dots(title="After the last round", x_label="accuracy", rows=rows),
        ),
        note="Fashion-MNIST (Zalando SE), Debian package dataset-fashion-mnist. The split is synthetic: one draw of "
        f"Dirichlet({alpha}) for each kind of clothing.",
    )


STORIES: Final = tuple(
    Story(
        name=name_of(alpha),
        split=partial(split, alpha=alpha),
        tables=partial(tables, alpha=alpha),
        run=partial(run, alpha=alpha),
    )
    for alpha in SHARES
)
