"""A model that is trained jointly: hand it in, watch its rounds, get it once all parties signed what it came from.

What is believed is what was replayed here: the parties sign a chain over the digests of all updates, every evaluation
and the model's hash; a model file that has another hash is the coordinator's doing. While it runs, figures are shown as
the coordinator tells them; `result` holds them against the signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from clients.researcher import model_file, rendering, verified
from clients.researcher.asking import as_value
from clients.researcher.asking_training import with_features
from clients.researcher.handle import Handle
from clients.researcher.plotting import drawn
from clients.researcher.receipt import Plain, Receipt, as_mapping
from clients.researcher.verified_training import checked, followed, receipt_of
from federation import registry
from federation.analytics.statistic import Drawn, Line, Picture
from federation.domain.catalogue import Dataset, agreed
from federation.domain.job import State, Update, Value
from federation.errors import Misuse, ProtocolViolation, Unavailable, did_you_mean
from federation.jobs.protection import PLAIN
from federation.jobs.training import Followed, Progress, Step
from federation.training import checkpoint, descent, evaluation
from federation.training import plan as planned
from federation.training.inputs import Task
from federation.training.plan import STRATEGIES, TrainingPlan
from federation.training.strategy import Strategy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Group

COLUMNS: Final = ("round", "loss", "accuracy", "auc", "parties", "weight", "cut", "seconds", "KB a party")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A strategy by name, with its options: `fed.FedAvg(rounds=20)`."""

    name: str
    options: tuple[tuple[str, Value], ...]


def strategies() -> dict[str, str]:
    """Return {as a researcher writes it: as a job names it}: {"FedAvg": "fedavg"}; imports every strategy."""
    return {member.__name__: name for name, member in registry.discover(STRATEGIES, Strategy).items()}


def strategy(name: str) -> Callable[..., Chosen]:
    """Return what makes a `Chosen` of the strategy that a job calls `name`."""

    def chosen(**options: object) -> Chosen:
        return Chosen(name, tuple(sorted((key, as_value(value, f"{name}'s {key}")) for key, value in options.items())))

    chosen.__name__ = chosen.__qualname__ = name
    chosen.__doc__ = registry.look_up(STRATEGIES, Strategy, name).Parameters.__doc__
    return chosen


def plan(
    *,
    model: str,
    target: str,
    features: Sequence[str],
    config: Mapping[str, object],
    strategy: Chosen,
    options: Mapping[str, object],
    joint: Dataset,
) -> TrainingPlan:
    """Return what is trained, checked over the joint data set; all other columns are features where none are named.

    Raises:
        Misuse: naming the nearest word.
    """
    given = {
        "model": model,
        "target": target,
        "features": tuple(features),
        "config": as_value(dict(config), "config"),
        "strategy": strategy.name,
        "options": strategy.options,
        **{name: as_value(value, name) for name, value in options.items()},
    }
    return TrainingPlan.of(with_features(given, joint), joint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round, for people who watch.

    Attributes:
        progress: who was counted, and how good the model is.
        seconds: since the round before, by the researcher's clock.
        sent_bytes: what a party sent for it on average, keys included.
    """

    progress: Progress
    seconds: float
    sent_bytes: int

    def cells(self) -> tuple[int | float | str | None, ...]:
        """Return it as a row of COLUMNS."""
        of, figures = self.progress, self.progress.figures
        return (
            of.round_index + 1,
            None if figures is None else round(figures.loss, 5),
            None if figures is None or figures.accuracy is None else round(figures.accuracy, 4),
            None if figures is None or figures.auc is None else round(figures.auc, 4),
            len(of.parties),
            of.weight,
            f"{of.clipped:.2%}",
            round(self.seconds, 3),
            round(self.sent_bytes / 1000, 1),
        )

    def to_dict(self) -> dict[str, Plain]:
        """Return it as plain values."""
        of = self.progress
        return {
            "round": of.round_index + 1,
            "figures": None if of.figures is None else as_mapping(of.figures),
            "parties": of.parties,
            "weight": of.weight,
            "clipped": of.clipped,
            "seconds": self.seconds,
            "bytes_a_party": self.sent_bytes,
        }

    def __str__(self) -> str:
        said = zip(COLUMNS, self.cells(), strict=True)
        return "  ".join(f"{name} {cell}" for name, cell in said if cell is not None)


class Training:
    """A training that was handed in.

    Args:
        handle: of the job.
    """

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self._joint = agreed(handle.published)
        self._rounds: list[Round] = []
        self._is_over = False

    @property
    def name(self) -> str:
        """The job's readable name."""
        return self.handle.name

    def watch(self) -> Iterator[Round]:
        """Yield each round once it is evaluated, or over where it is not, until the job has ended.

        Raises:
            Refused, Unavailable, ProtocolViolation, JobFailed: how it ended instead of with a model.
        """
        course, known, shown = self._course(), 0, 0
        since, sent = self.handle.now_s(), 0
        self._rounds = []
        last: Update | None = None
        for last in self.handle.watch():
            if self.handle.on_update is not None:
                self.handle.on_update(last)
            for release in self.handle.transport.opened(self.handle.job_hash, known):
                course.feed(release)
                known += 1
            ready = len(course.history) - (0 if last.state.ended or course.step is not Step.EVALUATE else 1)
            fresh = course.history[shown:ready]
            now, total = self.handle.now_s(), sum(party.sent_bytes for party in last.parties)
            for progress in fresh:
                a_party = (total - sent) // (len(fresh) * max(1, len(progress.parties)))
                one = Round(progress=progress, seconds=(now - since) / len(fresh), sent_bytes=a_party)
                self._rounds.append(one)
                yield one
            if fresh:
                since, sent, shown = now, total, ready
        if last is None or not last.state.ended:
            raise Unavailable(
                f"{self.handle.coordinator} stopped telling about job {self.name} before it ended",
                hint=f"the job goes on; ask again: federation result {self.name}",
                party=self.handle.coordinator,
            )
        if last.state is not State.RELEASED:
            raise verified.ending(last.state, last.blames, coordinator=self.handle.coordinator)
        self._is_over = True

    def result(self, *, best: bool = True) -> Trained:
        """Wait until the training ends, hold everything against the parties' signatures, and return the model.

        Args:
            best: the model of the best evaluation; the last one otherwise.

        Raises:
            Refused, Unavailable, ProtocolViolation, JobFailed: how it ended instead; or the coordinator, by name, for
                a model that is not the one that the parties signed.
        """
        if not self._is_over:  # whoever watched has the seconds of every round already
            for _ in self.watch():
                pass
        handle, course = self.handle, self._course()
        released = handle.transport.released(handle.job_hash)
        verified.replay(course, handle.job, handle.job_hash, released, coordinator=handle.coordinator)
        if [one.progress for one in self._rounds] != course.history:
            raise ProtocolViolation(
                handle.coordinator,
                phase="watch",
                expected="the rounds and figures that all parties signed",
                got="others while the job ran",
                hint="keep the job's name and tell the jurisdictions",
            )
        index = course.best[0] if best and course.best is not None else course.round_index
        data = handle.transport.model(handle.job_hash, best=best)
        model = checked(data, course, index, coordinator=handle.coordinator)
        receipt = receipt_of(handle.job, handle.job_hash, released, course)
        return Trained(course, model, index, tuple(self._rounds), receipt, data)

    def __repr__(self) -> str:
        return f"Training({self.name!r}, {self.handle.job_hash.hex()[:12]})"

    def _course(self) -> Followed:
        return followed(self.handle.job, self._joint)


class Trained:
    """A jointly trained model, held against the signatures of the parties that it came from.

    Attributes:
        course: what was trained, its scaling and its history.
        model: flat float32 vector in the order of the layout.
        round_index: the round that it is of, counted from 0.
        rounds: the rounds as they were watched.
        receipt: who took part, and what they signed.
        file: the model as a safetensors file.
    """

    def __init__(
        self,
        course: Followed,
        model: NDArray[np.float32],
        round_index: int,
        rounds: tuple[Round, ...],
        receipt: Receipt,
        file: bytes,
    ) -> None:
        self.course, self.model, self.round_index = course, model, round_index
        self.rounds, self.receipt, self.file = rounds, receipt, file

    @property
    def history(self) -> tuple[Progress, ...]:
        """Every round: who was counted, and the figures where it was evaluated."""
        return tuple(self.course.history)

    @property
    def figures(self) -> Any:  # noqa: ANN401 - Figures or None, as the round has it
        """How good the model is on the evaluation rows of all parties; None where there were none."""
        return self.history[self.round_index].figures

    def module(self) -> Any:  # noqa: ANN401 - torch.nn.Module, which nothing here imports
        """Return the model as a torch module whose forward takes (numbers, codes). Needs torch."""
        chosen = self.course.chosen
        module = chosen.model.module(chosen.config, chosen.inputs)
        descent.bind(module, chosen.layout, self.model)
        return module.eval()

    def predict(self, frame: Mapping[str, Sequence[Any]]) -> NDArray[Any]:
        """Return one prediction a row: the target's value, the chance of its second class, or the likeliest class.

        Args:
            frame: the features by name, as the catalogue has them: a pandas frame or a dict of columns, none missing.

        Raises:
            Misuse: a feature is missing, or has a value that its catalogue does not list.
        """
        course = self.course
        plan, joint, inputs = course.plan, course.joint, course.chosen.inputs
        for name in plan.features:
            if name not in frame:
                raise Misuse(f"the frame has no column {name!r}", hint=did_you_mean(name, list(frame)))
        divisors = course.scaling.divisors
        numbers = [
            (np.asarray(frame[column.name], dtype=np.float64) - centre) / scale
            for column, centre, scale in zip(
                planned.numbers(plan, joint), course.scaling.centre, divisors, strict=False
            )
        ]
        codes = [_coded(column.name, column.categories, frame) for column in planned.categories(plan, joint)]
        rows = len(next(iter((*numbers, *codes))))
        outputs = evaluation.outputs(
            self.module(),
            np.stack(numbers, axis=1).astype(np.float32) if numbers else np.empty((rows, 0), np.float32),
            np.stack(codes, axis=1) if codes else np.empty((rows, 0), np.int64),
        )
        match inputs.task:
            case Task.REGRESSION:
                return np.asarray(outputs[:, 0] * divisors[-1] + course.scaling.centre[-1])
            case Task.BINARY:
                return np.asarray(1 / (1 + np.exp(-outputs[:, 0])))
            case Task.CLASSES:
                target = joint.column(plan.target)
                first = planned.first(target)
                names: tuple[object, ...] = target.categories or tuple(range(first, first + inputs.outputs))
                found: NDArray[Any] = np.asarray(names)[outputs.argmax(axis=1)]
                return found

    def save(self, path: str | Path) -> Path:
        """Write the model as a safetensors file and return its path; an existing file is refused."""
        return model_file.save(path, self.file)

    def summary(self) -> str:
        """Return the rounds as a text table, and who signed."""
        return rendering.text(COLUMNS, [one.cells() for one in self.rounds], title=self._title(), notes=self._notes())

    def to_dict(self) -> dict[str, Plain]:
        """Return what was trained, its rounds and the receipt as plain values; the model itself is a file."""
        plan = self.course.plan
        return {
            "model": plan.model,
            "strategy": plan.strategy,
            "target": plan.target,
            "features": plan.features,
            "parameters": self.model.size,
            "round": self.round_index + 1,
            "sha256": checkpoint.digest(self.model).hex(),
            "figures": None if self.figures is None else as_mapping(self.figures),
            "rounds": [one.to_dict() for one in self.rounds],
            "receipt": self.receipt.to_dict(),
        }

    def for_terminal(self) -> Group:
        """Return what a terminal shows."""
        rows = [one.cells() for one in self.rounds]
        return rendering.for_terminal(COLUMNS, rows, title=self._title(), notes=self._notes())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw loss and, where there are some, accuracy and area under the ROC curve by round. Needs matplotlib."""
        measured = [one for one in self.history if one.figures is not None]
        if not measured:
            raise Misuse("no round was evaluated: there is nothing to draw", hint="give a holdout or a split column")
        lines = []
        for name in ("loss", "accuracy", "auc"):
            points = [(one.round_index + 1, getattr(one.figures, name)) for one in measured]
            known = [(x, y) for x, y in points if y is not None]
            if known:
                lines.append(Line(label=name, x=tuple(x for x, _ in known), y=tuple(y for _, y in known)))
        picture = Picture(
            drawn=Drawn.LINES, title=self._title(), x_label="round", y_label="", x=(), y=(), lines=tuple(lines)
        )
        return drawn(picture, ax)

    def __repr__(self) -> str:
        return self.summary()

    def _protected(self) -> str:
        if self.receipt.protection == PLAIN:
            return "summed in the clear: the coordinator saw every update alone"
        return "summed under masks: no update was seen alone"

    def _title(self) -> str:
        plan = self.course.plan
        return f"{plan.model} by {plan.strategy}, {self.model.size:,} parameters"

    def _notes(self) -> list[str]:
        signed = ", ".join(self.receipt.signed_by)
        return [
            f"the model of round {self.round_index + 1}, SHA-256 {checkpoint.digest(self.model).hex()[:12]}",
            f"{self._protected()}; signed by {signed}",
        ]


def _coded(name: str, categories: Sequence[str], frame: Mapping[str, Sequence[Any]]) -> NDArray[np.int64]:
    places = {category: place for place, category in enumerate(categories)}
    try:
        return np.array([places[str(value)] for value in frame[name]], dtype=np.int64)
    except KeyError:
        raise Misuse(f"column {name!r} has a category that its catalogue does not list") from None
