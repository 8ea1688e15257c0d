"""Gradient descent on a party's own rows, as all strategies use it; torch is imported inside, it runs nowhere else.

All tensors of a module are views of one flat vector, and their gradients of another, so a step of the optimiser, a pull
towards a point or a correction of the gradient is a handful of operations on flat vectors whatever the model is.

Equal seeds, rows and starts give equal bits on one machine with one number of threads, which the caller sets; nothing
here is compared between machines. Rows are drawn without replacement, pass by pass; a pass's last batch may be smaller.
Refused: descent that ran away, by the name of the tensor.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from federation.errors import Misuse
from federation.training.inputs import Inputs, Task
from federation.training.layout import Layout, Part
from federation.training.layout import Tensor as Described
from federation.training.merging import bounded
from federation.training.strategy import MOST_STEPS, Rows, Schedule, Work, refuse_infinite

Tensor: TypeAlias = Any  # of torch, which is not imported here
Correction: TypeAlias = Callable[[Tensor, Tensor], None]  # (flat model, flat gradient, changed in place)

_JOINT = b"federation/training/descent/v1"
_ADAM = (0.9, 0.999, 1e-8)  # torch's defaults


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Descent:
    """Where local training ended.

    Attributes:
        end: the flat model, running statistics included.
        moved: end - start, within the schedule's norm.
        steps: updates that were made.
    """

    end: NDArray[np.float32]
    moved: NDArray[np.float32]
    steps: int


def descend(
    work: Work,
    schedule: Schedule,
    *,
    start: NDArray[np.float32] | None = None,
    toward: NDArray[np.float32] | None = None,
    pull: float = 0.0,
    shift: NDArray[np.float32] | None = None,
    use: bytes = b"",
) -> Descent:
    """Return where `schedule`'s local updates of one round lead.

    Args:
        start: the flat model to start from; the joint one by default.
        toward: with `pull`, adds pull * (model - toward) to each gradient: FedProx, Ditto.
        pull: 0 adds nothing, to the bit.
        shift: added to each gradient, (size,): SCAFFOLD.
        use: tells two descents of one round apart; each draws batches and dropout of its own.

    Raises:
        Misuse: the model is not finite at the end.
    """
    layout, rows = work.layout, work.rows
    start = work.public.model if start is None else start
    flat, gradient = bind(work.module, layout, start)
    learned = layout.learned
    model, slope = flat[:learned], gradient[:learned]
    target = None if toward is None or not pull else held(toward[:learned])
    added = None if shift is None else held(shift[:learned])
    update = optimizer(schedule, model, schedule.rate(work.round_index))
    loss_of = loss(work.inputs)
    batches = Batches(rows, schedule)
    work.module.train()
    with drawing(hashlib.sha256(_JOINT + use + work.seed).digest()) as generator:
        for numbers, codes, wanted in batches.drawn(generator):
            gradient.zero_()
            loss_of(work.module(numbers, codes), wanted).backward()
            if target is not None:
                slope.add_(model - target, alpha=pull)
            if added is not None:
                slope.add_(added)
            update(model, slope)
    end = flat.numpy()  # the next `bind` leaves it alone
    refuse_infinite(end, layout, "this party's model")
    with np.errstate(over="ignore"):  # refused by name below
        moved = np.subtract(end, start, out=gradient.numpy())  # which nobody needs any more
    refuse_infinite(moved, layout, "this party's update")
    return Descent(end=end, moved=bounded(moved, schedule.norm), steps=batches.steps)


def held(array: NDArray[np.generic]) -> Tensor:
    """Return a tensor over `array`, or over a copy where torch would warn: it knows no read-only memory."""
    import torch

    fit = array.flags.writeable and array.flags.c_contiguous
    return torch.from_numpy(array if fit else np.array(array, order="C"))


def bind(module: Any, layout: Layout, flat: NDArray[np.float32]) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - torch's
    """Return (model, gradient), flat tensors that the module's tensors and their gradients are now views of.

    The model starts as a copy of `flat`. A module may be bound again, which leaves the former vectors alone.
    """
    import torch

    model = load(module, layout, flat)
    gradient = torch.zeros(layout.size)
    for own, tensor, place in _tensors(module, layout):
        if tensor.part is not Part.BUFFER:
            own.grad = gradient[place].view(tensor.shape)
    return model, gradient


def load(module: Any, layout: Layout, flat: NDArray[np.float32]) -> Tensor:  # noqa: ANN401 - torch's
    """Return a flat tensor, a copy of `flat`, that the module's tensors are now views of; they have no gradient."""
    import torch

    layout.check(flat)
    let_go(module, layout)  # before the copy is made
    model = torch.from_numpy(flat.copy())
    for own, tensor, place in _tensors(module, layout):
        own.data = model[place].view(tensor.shape)
    return model


def let_go(module: Any, layout: Layout) -> None:  # noqa: ANN401 - torch's
    """Leave the module's tensors empty: what they held is freed where nobody else holds it. `load` fills them."""
    import torch

    for own, _, _ in _tensors(module, layout):
        own.data, own.grad = torch.empty(0), None


def unfilled(build: Callable[[], Any], layout: Layout) -> Any:  # noqa: ANN401 - torch's
    """Return a module whose tensors are empty, for `bind` or `load`; they never had memory, if that can be avoided.

    It cannot where a tensor that is no part of the layout gets its values from torch's standing device.

    Args:
        build: `Model.module` with its arguments; it may be called twice.
    """
    import torch

    with torch.device("meta"):
        module = build()
    names = {tensor.name for tensor in layout.tensors}
    kept = [one for name, one in (*module.named_parameters(), *module.named_buffers()) if name not in names]
    plain = [one for part in module.modules() for one in vars(part).values() if isinstance(one, torch.Tensor)]
    if any(one.is_meta for one in (*kept, *plain)):
        module = build()
        let_go(module, layout)
        return module
    made: dict[Tensor, Tensor] = {}  # a tensor may have two names
    for part in module.modules():
        both = (part.named_parameters, part.named_buffers)
        own = [pair for named in both for pair in named(recurse=False, remove_duplicate=False)]
        for name, one in own:
            if not one.is_meta:
                continue
            if one not in made:
                empty = torch.empty(0, dtype=one.dtype)
                is_parameter = isinstance(one, torch.nn.Parameter)
                made[one] = torch.nn.Parameter(empty, one.requires_grad) if is_parameter else empty
            setattr(part, name, made[one])  # recurrent layers note it, too
    return module


def _tensors(module: Any, layout: Layout) -> Iterator[tuple[Tensor, Described, slice]]:  # noqa: ANN401 - torch's
    """Yield each of the module's tensors with what the layout says of it, and its place."""
    tensors: dict[str, Tensor] = dict(module.named_parameters()) | dict(module.named_buffers())
    for tensor, place in layout.places():
        yield tensors[tensor.name], tensor, place


def loss(inputs: Inputs) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the mean loss of (outputs (rows, outputs), target (rows,)) that `inputs.task` minimises."""
    from torch.nn import functional

    match inputs.task:
        case Task.REGRESSION:
            return lambda outputs, target: functional.mse_loss(outputs[:, 0], target)
        case Task.BINARY:
            return lambda outputs, target: functional.binary_cross_entropy_with_logits(outputs[:, 0], target)
        case Task.CLASSES:
            cross_entropy: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy
            return cross_entropy


def optimizer(schedule: Schedule, model: Tensor, rate: float) -> Correction:
    """Return update(model, gradient) of sgd or adam, torch's arithmetic on one flat tensor, at rest."""
    import torch

    decay, momentum = schedule.weight_decay, schedule.momentum
    if schedule.optimizer == "sgd":
        speed = torch.zeros_like(model) if momentum else None

        def sgd(model: Tensor, slope: Tensor) -> None:
            if decay:
                slope.add_(model, alpha=decay)
            if speed is not None:
                slope = speed.mul_(momentum).add_(slope)
            model.sub_(slope, alpha=rate)

        return sgd

    first, second, tiny = _ADAM
    means, squares = torch.zeros_like(model), torch.zeros_like(model)
    made = 0

    def adam(model: Tensor, slope: Tensor) -> None:
        nonlocal made
        made += 1
        if decay:
            slope.add_(model, alpha=decay)
        means.lerp_(slope, 1 - first)
        squares.mul_(second).addcmul_(slope, slope, value=1 - second)
        spread = (squares.sqrt() / math.sqrt(1 - second**made)).add_(tiny)
        model.addcdiv_(means, spread, value=-rate / (1 - first**made))

    return adam


@contextmanager
def drawing(seed: bytes) -> Iterator[Any]:
    """Yield a torch generator of `seed`; dropout inside draws from the seed as well, and nothing outside notices."""
    import torch

    outside = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(int.from_bytes(seed[:8], "big") >> 1)  # of the processor alone
        generator = torch.Generator()
        generator.manual_seed(int.from_bytes(seed[8:16], "big") >> 1)
        yield generator
    finally:
        torch.set_rng_state(outside)


class Batches:
    """The batches of one round: how many, and which rows."""

    __slots__ = ("_a_pass", "_batch", "_rows", "steps")

    def __init__(self, rows: Rows, schedule: Schedule) -> None:
        self._rows = rows
        self._batch = min(schedule.batch_size, rows.size) or rows.size
        self._a_pass = -(-rows.size // self._batch)
        self.steps = schedule.steps or max(1, round(schedule.epochs * self._a_pass))
        if self.steps > MOST_STEPS:
            raise Misuse(
                f"a round has at most {MOST_STEPS} local updates, this party would make {self.steps}",
                hint="a greater batch_size, fewer epochs, or a number of steps",
            )

    def drawn(self, generator: Any) -> Iterator[tuple[Tensor, Tensor, Tensor]]:  # noqa: ANN401 - torch's
        """Yield (numbers, codes, target) of every step; each pass takes the rows in an order of its own."""
        import torch

        rows = self._rows
        numbers, codes, target = held(rows.numbers), held(rows.codes), held(rows.target)
        if self._a_pass == 1:  # all rows at once: no order changes a mean, and no copy is made
            for _ in range(self.steps):
                yield numbers, codes, target
            return
        for step in range(self.steps):
            place = step % self._a_pass
            if place == 0:
                order = torch.randperm(rows.size, generator=generator)
            chosen = order[place * self._batch : (place + 1) * self._batch]
            yield numbers.index_select(0, chosen), codes.index_select(0, chosen), target.index_select(0, chosen)
