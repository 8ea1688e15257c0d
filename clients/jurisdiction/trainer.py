"""What a party does for a training: it reads its rows, splits and scales them, learns from them and evaluates on them.

Rows, a local model and a party's own tally stay here; what is returned is sealed, masked and signed elsewhere. Equal
jobs, data and machines give equal bits: a party that starts again sends what it would have sent. Torch is imported when
it is needed first, so that a daemon that never trains never loads it.

The code of a reviewed bundle never runs here but in a sandbox (`confined`).

Refused: a machine without torch (rule "trainer"), a bundle that may not run (rules "bundle" and "sandbox"), and
learning from fewer than k units, or fewer than FEWEST_UNITS (rule "minimum_units"): of a handful of rows an update is
as good as the rows.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clients.jurisdiction.bundles import Bundles
from clients.jurisdiction.confined import Confined
from clients.jurisdiction.engine import Engine
from clients.jurisdiction.engine import Rows as Read
from federation.crypto.prg import PIECE_BYTES, Keystream
from federation.domain import job
from federation.domain.catalogue import Dataset, Kind
from federation.errors import JobFailed, Misuse, Refused
from federation.query.expression import Expression
from federation.training import bundle, descent, evaluation, plan
from federation.training.inputs import Task
from federation.training.plan import TRAIN, Scaling, TrainingPlan
from federation.training.strategy import Public, Rows, Update, Work

FEWEST_UNITS: Final = 10  # learned from, whatever k is
_HELD_OUT: Final = "federation/training/held-out/v1"
_STEP: Final = "federation/training/step/v1"
_DRAW_BITS: Final = 53  # of a share, which is binary64
_BLOCK: Final = 4_000  # rows that are put beside each other at once: what is written stays in the processor's cache

Mask = NDArray[np.bool_]


class Trainer:
    """One party's rows of one training job.

    Args:
        engine: open over this party's rows; asked at the first call that needs rows.
        joint: `catalogue.agreed` of all parties.
        own: this party's publication.
        course: what the job asks for.
        me: this party's name, which its draws are bound to.
        where: the job's condition, None for all rows.
        threads: that torch computes with. Equal bits need equal threads.
        bundles: that this party's operator approved; None for none.

    Raises:
        Misuse: the plan has no meaning over `joint`.
        Refused: rule "trainer": torch is not installed here; of a bundle also rules "bundle" and "sandbox".
    """

    def __init__(
        self,
        engine: Engine,
        joint: Dataset,
        own: Dataset,
        course: TrainingPlan,
        me: str,
        *,
        where: Expression | None = None,
        threads: int = 1,
        bundles: Bundles | None = None,
    ) -> None:
        _check_torch(me)
        self._engine, self._joint, self._own, self._me = engine, joint, own, me
        self._plan, self._threads = course, threads
        self._query = plan.row_query(course, where, joint)
        self._chosen = plan.chosen(course, joint)
        self._read: Read | None = None
        self._learned: Mask | None = None
        self._units = 0
        self._prepared: tuple[Scaling, Rows, Rows] | None = None
        self._module: Any = None
        self._confined = Confined(bundles, self._chosen, course, me) if bundle.is_bundle(course.model) else None

    @property
    def rows(self) -> int:
        """How many rows are learned from. Raises as `update`."""
        return int(np.count_nonzero(self._split()))

    @property
    def units(self) -> int:
        """How many units those rows are of. Raises as `update`."""
        self._split()
        return self._units

    def update(
        self, public: Public, kept: tuple[NDArray[np.float32], ...], round_index: int, scaling: Scaling
    ) -> Update:
        """Return this party's update of a round; the same when it is asked again.

        Args:
            public: what everybody knows after the last round.
            kept: what the last update kept, () at first.
            round_index: counted from 0.
            scaling: the job's public figures, in the order of `plan.scaled`.

        Raises:
            Refused: rule "minimum_units", and what `Engine.rows` refuses.
            Misuse: the update is not finite, or a scaling of other columns.
            JobFailed: torch could not compute it.
        """
        learned, held_out = self._scaled(scaling)
        seed = step_seed(self._plan.seed, self._me, round_index)
        chosen = self._chosen
        with self._torch() as module:
            work = Work(
                module=module,
                layout=chosen.layout,
                inputs=chosen.inputs,
                rows=learned,
                public=public,
                kept=kept,
                round_index=round_index,
                seed=seed,
            )
            if self._confined is not None:
                return self._confined.update(work, held_out)
            return chosen.strategy.local_step(chosen.parameters, work)

    def tally(self, public: Public, kept: tuple[NDArray[np.float32], ...], scaling: Scaling) -> tuple[int, ...]:
        """Return the tally of this party's model, the joint one unless the strategy is personal, over held-out rows.

        Arguments and errors as `update`.
        """
        learned, held_out = self._scaled(scaling)
        chosen = self._chosen
        model = chosen.strategy.own_model(chosen.parameters, chosen.layout, public, kept)
        if self._confined is not None:
            return self._confined.tally(model, learned, held_out)
        with self._torch() as module:
            return evaluation.tally(module, chosen.layout, model, chosen.inputs, held_out)

    def forget(self) -> None:
        """Overwrite the rows that are held with zeros and let go of them; they are read again if they are needed."""
        for rows in self._prepared[1:] if self._prepared else ():
            for array in (rows.numbers, rows.codes, rows.target):
                array.fill(0)
        self._prepared = self._module = None
        if self._confined is not None:
            self._confined.close()
        self._forget_read()

    def _forget_read(self) -> None:
        for column in self._read.columns if self._read else ():
            column.fill(0)
        self._read = None

    # --- rows -------------------------------------------------------------------------------------------------------

    def _split(self) -> Mask:
        """Read the rows, if they were not, and return which are learned from."""
        if self._learned is None or (self._read is None and self._prepared is None):
            self._read = found = self._engine.rows(self._query, self._joint)
            learned = self._by_column(found) if self._plan.split else self._by_draw(found)
            names = found.numbers if found.units is None else found.units
            units = len(np.unique(names[learned]))
            fewest = max(self._own.k, FEWEST_UNITS)
            if units < fewest:
                self.forget()
                raise Refused(
                    f"{self._me} has fewer than {fewest} {self._own.unit or 'unit'}s to learn from: "
                    "an update could give them away",
                    rule="minimum_units",
                    hint="a wider condition, a smaller holdout, or a job without this party",
                    party=self._me,
                )
            self._learned, self._units = learned, units
        return self._learned

    def _by_column(self, found: Read) -> Mask:
        column = self._joint.column(self._plan.split)
        code = column.categories.index(TRAIN) if column.kind is Kind.CATEGORY else 0
        return np.asarray(found.columns[-1] == code)

    def _by_draw(self, found: Read) -> Mask:
        """Hold out by a draw for the place of a unit's first row: no unit is on both sides, under any condition."""
        places = found.numbers if found.units is None else found.units
        seed = job.digest(_HELD_OUT, _whole(self._plan.seed), self._me.encode("utf-8"))
        draws = _draws(seed, int(places.max()) + 1 if len(places) else 0)[places]
        return np.asarray(draws >= int(self._plan.holdout * 2**_DRAW_BITS))

    def _scaled(self, scaling: Scaling) -> tuple[Rows, Rows]:
        """Return the rows that are learned from and those that are held out, as a module reads them."""
        if self._prepared is not None and self._prepared[0] != scaling:
            self.forget()
        learned = self._split()
        if self._prepared is None and self._read is not None:
            wanted = len(plan.scaled(self._plan, self._joint))
            if len(scaling.centre) != wanted:
                raise Misuse(f"a scaling of this job has {wanted} columns, not {len(scaling.centre)}")
            self._prepared = (scaling, self._batch(learned, scaling), self._batch(~learned, scaling))
            self._forget_read()
        if self._prepared is None:  # _split read them
            raise Misuse("the rows of this job were not read")
        return self._prepared[1:]

    def _batch(self, chosen: Mask, scaling: Scaling) -> Rows:
        """Return some rows as float32 (rows, numbers), int64 (rows, categories) and the target of the task."""
        read = self._read
        if read is None:
            raise Misuse("the rows of this job were not read")
        held = dict(zip(self._query.columns, read.columns, strict=True))
        places = np.flatnonzero(chosen)
        names = [column.name for column in plan.numbers(self._plan, self._joint)]
        numbers = np.empty((len(places), len(names)), dtype=np.float32)
        figures = list(zip(scaling.centre, scaling.divisors, strict=True))
        with np.errstate(over="ignore"):  # what becomes infinite is refused by `check`
            for start in range(0, len(places), _BLOCK):
                block = places[start : start + _BLOCK]
                for place, (name, (centre, scale)) in enumerate(zip(names, figures, strict=False)):
                    numbers[start : start + _BLOCK, place] = _standard(held[name][block], centre, scale)
            codes = [held[column.name][places] for column in plan.categories(self._plan, self._joint)]
            target = self._target(held[self._plan.target][places], figures)
        stacked = np.stack(codes, axis=1).astype(np.int64) if codes else np.empty((len(places), 0), dtype=np.int64)
        self._chosen.inputs.check(numbers, stacked, target)
        return Rows(numbers=numbers, codes=stacked, target=target)

    def _target(
        self, found: NDArray[Any], figures: Sequence[tuple[float, float]]
    ) -> NDArray[np.float32] | NDArray[np.int64]:
        match self._chosen.inputs.task:
            case Task.REGRESSION:
                return _standard(found, *figures[-1]).astype(np.float32)
            case Task.BINARY:
                return found.astype(np.float32)
            case Task.CLASSES:
                return found.astype(np.int64) - plan.first(self._joint.column(self._plan.target))

    # --- torch ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _torch(self) -> Iterator[Any]:
        """Yield the model's module, with as many threads as were asked for; None where it runs in a sandbox."""
        if self._confined is not None:
            yield None
            return
        try:
            import torch
        except ImportError:
            raise _without_torch(self._me) from None
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        try:
            if self._module is None:
                chosen = self._chosen
                build = partial(chosen.model.module, chosen.config, chosen.inputs)
                self._module = descent.unfilled(build, chosen.layout)
            yield self._module
            descent.let_go(self._module, self._chosen.layout)  # a model and its gradient: not held between rounds
        except (RuntimeError, MemoryError) as error:  # torch's own words may show a shape, and no more is needed
            what = f"{self._me} could not compute its part of the training ({type(error).__name__})"
            raise JobFailed(what, hint="a smaller model or batch_size, or more memory", party=self._me) from None


def step_seed(seed: int, party: str, round_index: int) -> bytes:
    """Return what a party's local step of a round draws from, 32 bytes; `seed` is the plan's."""
    return job.digest(_STEP, _whole(seed), party.encode("utf-8"), _whole(round_index))


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Let torch compute with so many threads, and as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_torch(me: str) -> None:
    try:
        found = importlib.util.find_spec("torch")
    except ValueError:  # a module that is there and is none
        found = None
    if found is None:
        raise _without_torch(me)


def _without_torch(me: str) -> Refused:
    hint = "pip install 'pearl-federation[train]' there, and start the daemon again"
    return Refused(f"{me} cannot train: torch is not installed there", rule="trainer", hint=hint, party=me)


def _standard(found: NDArray[Any], centre: float, scale: float) -> NDArray[np.float64]:
    """Return (found - centre) / scale in binary64."""
    moved: NDArray[np.float64] = np.subtract(found, centre, dtype=np.float64)
    moved /= scale
    return moved


def _draws(seed: bytes, size: int) -> NDArray[np.uint64]:
    """Return `size` draws of _DRAW_BITS bits of the keystream of `seed`; draw i is the same whatever `size` is."""
    stream, found = Keystream(seed), np.empty(size, dtype=np.uint64)
    for start in range(0, size, PIECE_BYTES // 8):
        piece = found[start : start + PIECE_BYTES // 8]
        np.right_shift(stream.words(8 * len(piece)), np.uint64(64 - _DRAW_BITS), out=piece)
    return found


def _whole(number: int) -> bytes:
    return number.to_bytes(8, "big")
