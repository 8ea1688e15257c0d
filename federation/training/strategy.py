"""The contract of a training strategy, both halves of a round: what a party does with its rows, and how all merge.

`local_step` runs at the jurisdiction, on its own rows, and gives one flat vector; `merge` is elementwise numpy on the
weighted mean of the counted parties' vectors, in written order, so that every party merges by itself and gets the same
bytes. A strategy sees no party's vector but its own: it draws nothing but from the job's seed, and what it needs to
remember lies either with everybody (`Public.more`) or at one party (`kept`).

Refused: schedules without meaning, updates that are not finite (by the name of the tensor), arrays of another shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse, did_you_mean
from federation.training.inputs import Inputs
from federation.training.layout import SEED_BYTES, Layout

MOST_ROUNDS = 10_000
MOST_STEPS = 1_000_000  # local updates of one round
MOST_EPOCHS = 1_000.0
MOST_BATCH = 1 << 20  # rows
LARGEST = 1e6  # of any rate, bound or penalty
SMALLEST_RATE = 1e-9  # of a local update, whatever lr_decay does: strategies divide by it
OPTIMIZERS = ("sgd", "adam")

P = TypeVar("P", bound="Schedule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What all strategies share; a strategy's `Parameters` add to it.

    Attributes:
        rounds: secure sums of updates.
        lr: step size of a local update in round 0; in round r it is lr * lr_decay ** r.
        lr_decay: factor a round, in (0, 1].
        batch_size: rows of a local update; 0 is all rows at once.
        epochs: passes over a party's training rows in a round, a fraction too.
        steps: local updates in a round, whatever a party's rows are; 0 lets `epochs` decide.
        momentum: of sgd, in [0, 1); it starts from rest in every round.
        weight_decay: added to the gradient as weight_decay * parameter.
        optimizer: "sgd", or "adam" with torch's defaults (0.9, 0.999, 1e-8), moments from rest in every round.
        weighted: whether a party weighs as many as its training rows; else all weigh alike.
        clip: each entry of an update is cut to [-clip, clip] when it is quantised.
        norm: greatest L2 norm of an update, which is scaled down to it before it is cut; 0 for none.
        bits: of a quantised entry.
    """

    rounds: int = 20
    lr: float = 0.1
    lr_decay: float = 1.0
    batch_size: int = 32
    epochs: float = 1.0
    steps: int = 0
    momentum: float = 0.0
    weight_decay: float = 0.0
    optimizer: str = "sgd"
    weighted: bool = True
    clip: float = 1.0
    norm: float = 0.0
    bits: int = 22

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rounds", 1, MOST_ROUNDS),
            ("batch_size", 0, MOST_BATCH),
            ("steps", 0, MOST_STEPS),
            ("weight_decay", 0, LARGEST),
            ("norm", 0, LARGEST),
            ("bits", 4, 32),
            ("lr", SMALLEST_RATE, LARGEST),
        ):
            check_range(name, getattr(self, name), low, high)
        for name, high in (("lr_decay", 1), ("epochs", MOST_EPOCHS), ("clip", LARGEST)):
            check_positive(name, getattr(self, name), high)
        check_share("momentum", self.momentum)
        if self.optimizer not in OPTIMIZERS:
            raise Misuse(
                f"there is no optimizer {self.optimizer!r}, known are {' and '.join(OPTIMIZERS)}",
                hint=did_you_mean(self.optimizer, OPTIMIZERS),
            )
        if self.momentum and self.optimizer != "sgd":
            raise Misuse("momentum is a parameter of sgd; adam has moments of its own")

    def rate(self, round_index: int) -> float:
        """Return the step size of local updates in a round, counted from 0."""
        rate = self.lr
        for _ in range(round_index):  # in written order: `**` is libm's, and merge may read this
            rate *= self.lr_decay
        return max(rate, SMALLEST_RATE)

    def weight(self, rows: int) -> int:
        """Return what a party of so many training rows weighs in the mean."""
        return rows if self.weighted else 1


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise Misuse unless low <= value <= high; refuses NaN."""
    if not low <= value <= high:
        raise Misuse(f"{name} is {low} to {high}, not {value}")


def check_positive(name: str, value: float, high: float) -> None:
    """Raise Misuse unless 0 < value <= high; refuses NaN."""
    if not 0 < value <= high:
        raise Misuse(f"{name} is above 0 and at most {high}, not {value}")


def check_share(name: str, value: float) -> None:
    """Raise Misuse unless 0 <= value < 1; refuses NaN."""
    if not 0 <= value < 1:
        raise Misuse(f"{name} is at least 0 and below 1, not {value}")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rows:
    """A party's training (or evaluation) rows as `Inputs` describes them.

    Attributes:
        numbers: float32 (rows, numbers), standardised.
        codes: int64 (rows, categorical inputs).
        target: (rows,), float32 for REGRESSION and BINARY, int64 for CLASSES.
    """

    numbers: NDArray[np.float32]
    codes: NDArray[np.int64]
    target: NDArray[np.float32] | NDArray[np.int64]

    @property
    def size(self) -> int:
        """How many rows."""
        return len(self.target)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Public:
    """What everybody knows after a round; its arrays are read-only unless they were given away.

    Attributes:
        model: the joint model as a flat float32 vector.
        more: what the strategy's merge remembers: momentum, second moments, a control variate; float32, any length.
        given: nobody looks at it any more: a merge may write the next model over this one.
    """

    model: NDArray[np.float32]
    more: tuple[NDArray[np.float32], ...] = ()
    given: bool = False

    def __post_init__(self) -> None:
        for array in (self.model, *self.more):
            if array.dtype != np.float32 or array.ndim != 1 or not array.flags.c_contiguous:
                raise Misuse(f"what is public is flat contiguous float32 vectors, got {array.dtype} {array.shape}")
        held = loose if self.given else fixed
        object.__setattr__(self, "model", held(self.model))
        object.__setattr__(self, "more", tuple(map(held, self.more)))

    def give(self) -> Public:
        """Return it for a merge that may write over it; whoever still holds an array of it may see it change."""
        return Public(model=self.model, more=self.more, given=True)


def fixed(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a read-only view of `array`."""
    view = array.view()
    view.flags.writeable = False
    return view


def loose(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a view of `array` that can be written, or a copy where its memory cannot."""
    view = array.view()
    try:
        view.flags.writeable = True
    except ValueError:  # bytes of a file
        return array.copy()
    return view


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Work:
    """What a party's `local_step` gets.

    Attributes:
        module: the model's torch module, float32, on the processor; its values are overwritten.
        layout: of the module.
        inputs: of the module.
        rows: the whole local training set, at least one row.
        public: of the last round.
        kept: what this party's last `local_step` returned; () at first.
        round_index: counted from 0.
        seed: 32 bytes of this party and this round; all that is drawn comes from it.
    """

    module: Any
    layout: Layout
    inputs: Inputs
    rows: Rows
    public: Public
    kept: tuple[NDArray[np.float32], ...] = ()
    round_index: int
    seed: bytes

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise Misuse(f"a local step's seed has {SEED_BYTES} bytes, this one has {len(self.seed)}")
        if not self.rows.size:
            raise Misuse("a party without training rows has no update", hint="it takes no part in this job")
        if self.round_index < 0:
            raise Misuse(f"rounds are counted from 0, not {self.round_index}")
        self.layout.check(self.public.model)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Update:
    """What a party's `local_step` returns.

    Attributes:
        vector: (length,) float32, finite: what is cut, quantised, weighted and summed.
        kept: what the party keeps to itself for its next round; it never leaves.
        weight: of the vector in the mean, at least 1; the sum of weights is opened, no party's.
    """

    vector: NDArray[np.float32]
    kept: tuple[NDArray[np.float32], ...] = ()
    weight: int


class Strategy(ABC, Generic[P]):
    """One way to train jointly.

    Attributes:
        name: the file's name, as a job carries it.
        version: one more for every change of a bit of what is sent or merged; parties compare it at review.
        personal: whether every party has a model of its own (`own_model`).
        Parameters: a frozen dataclass, `Schedule` or one that adds to it.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    personal: ClassVar[bool] = False
    Parameters: ClassVar[type[Any]] = Schedule

    def length(self, parameters: P, layout: Layout) -> int:  # noqa: ARG002 - of other strategies it depends on both
        """Return how many entries a party's vector has."""
        return layout.size

    def begun(self, parameters: P, layout: Layout, model: NDArray[np.float32]) -> Public:  # noqa: ARG002 - as above
        """Return what everybody knows before round 0, of the model that training starts from.

        Raises:
            Misuse: the strategy has no meaning for such a model.
        """
        return Public(model=model)

    @abstractmethod
    def local_step(self, parameters: P, work: Work) -> Update:
        """Return this party's update of one round; deterministic by `work.seed`.

        Raises:
            Misuse: the update is not finite; the message names the tensor.
        """

    @abstractmethod
    def merge(
        self, parameters: P, layout: Layout, public: Public, mean: NDArray[np.float32], round_index: int
    ) -> Public:
        """Return what everybody knows after a round.

        Args:
            public: of before; where its arrays can be written, the next ones may be written over them.
            mean: (length,) the weighted mean of the counted parties' vectors, cut and quantised as they were sent.
            round_index: counted from 0.
        """

    def own_model(
        self,
        parameters: P,  # noqa: ARG002 - of personal strategies it depends on all
        layout: Layout,  # noqa: ARG002
        public: Public,
        kept: tuple[NDArray[np.float32], ...],  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Return the flat model that this party evaluates and uses: the joint one unless `personal`."""
        return public.model


def effective_steps(steps: int, momentum: float) -> float:
    """Return how many plain gradient steps `steps` updates with momentum weigh: the L1 norm of their weights.

    The gradient of step j moves the model by 1 + m + ... + m^(steps - 1 - j) step sizes (FedNova, NeurIPS 2020,
    section 4.1); computed in written order, without libm, since parties compare what follows from it.
    """
    if not momentum:
        return float(steps)
    speed = mass = 0.0
    for _ in range(steps):
        speed = momentum * speed + 1.0
        mass += speed
    return mass


def refuse_infinite(vector: NDArray[np.float32], layout: Layout, what: str) -> None:
    """Raise Misuse that names the first tensor of `vector` (size,) with an entry that is not finite."""
    for tensor, place in layout.places():
        if not np.isfinite(vector[place]).all():
            raise Misuse(
                f"{what} is not finite in tensor {tensor.name!r}: local training ran away; nothing was sent",
                hint="lower lr, standardise the inputs, or bound the targets",
            )
