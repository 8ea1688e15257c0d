"""`fed.numpy_clients`: classes with Flower's `NumPyClient` shape, as they are, under masked sums in this process.

Who has such classes changes the call and nothing else: `get_parameters(config)`, `fit(parameters, config)` and
`evaluate(parameters, config)` are called as Flower calls them. What a class moved is bounded, cut, packed, masked and
added up by the functions that daemons and coordinator run (`simulated_sum`), and so are its examples and metrics, as
means weighted by examples; the joint model is merged by our strategies. Flower is not needed, and not imported.

A class is code, and code runs here and nowhere else: in the process of whoever calls. No job can carry it, no daemon
runs it, nobody signs anything, and nobody is protected from a process that has the rows of all. Refused: a session
(models reach jurisdictions by name, or as a reviewed bundle), fewer than three parties, strategies with a local half of
their own, and arrays that are not float32 or float64, change their shape or are not finite.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clients.jurisdiction.learning import COARSE_BITS, rounded_away
from clients.local.client_arrays import Arrays, examples_in, figure_in, figures_in, three_in
from clients.local.client_rounds import ClientRound, TrainedArrays
from clients.local.simulated_sum import Round as MaskedRound
from clients.local.simulated_sum import dealt
from clients.researcher.session import Session
from clients.researcher.training import Chosen
from federation import registry
from federation.crypto import ring
from federation.crypto.encoding import Packing
from federation.domain.job import digest
from federation.domain.parameters import read
from federation.errors import JobFailed, Misuse
from federation.identity.certificate import checked_name
from federation.protocols.setup import Setup, Spec, chunked
from federation.training.layout import Layout
from federation.training.merging import bounded
from federation.training.plan import STRATEGIES
from federation.training.strategy import Schedule, Strategy

FEWEST: Final = 3
MERGES: Final = ("fedadagrad", "fedadam", "fedavg", "fedavgm", "fedyogi", "normbounded")  # a local half as FedAvg's
LOCAL: Final = ("batch_size", "epochs", "lr", "lr_decay", "momentum", "optimizer", "steps", "weight_decay")
UNIT_BITS: Final = 32  # a loss or metric is summed in units of 2^-32; examples, value and parties fit 128 bits
_LABEL: Final = "federation/local/numpy_clients/v1"
_LOSS: Final = ""  # beside metrics, which have names

Config: TypeAlias = Callable[[int], Mapping[str, Any]]  # round, counted from 1 -> what `fit` or `evaluate` is told


def numpy_clients(
    clients: Mapping[str, Any],
    *,
    strategy: Chosen,
    seed: int = 0,
    initial: Sequence[Any] | None = None,
    fit_config: Config | None = None,
    evaluate_config: Config | None = None,
    evaluate_every: int = 1,
    on_round: Callable[[ClientRound], object] | None = None,
) -> TrainedArrays:
    """Train with classes of `NumPyClient`'s shape in this process, all parties in every round, and return the model.

    Between rounds the model is float32, whatever the arrays are; each class gets copies in the first arrays' types.

    Args:
        clients: party name -> an instance with `fit`, `evaluate` if there is something to evaluate, and
            `get_parameters` unless `initial` is given; or what `to_client()` made of one. At least 3.
        strategy: `fed.FedAvg(rounds=3)`, or another of `MERGES`, without options of local training: `fit` trains.
        seed: draws the party whose first parameters everybody starts from, where there is no `initial`; 0 to 2^63 - 1.
            What a class draws it draws itself, and masks are drawn afresh: they leave the sums as they are.
        initial: arrays to start from.
        fit_config, evaluate_config: what is told to `fit` and `evaluate` of a round, as `on_fit_config_fn` of Flower's
            strategies; an empty dict by default.
        evaluate_every: rounds; the last one is always evaluated.
        on_round: called after each round, `print` for instance.

    Raises:
        Misuse: whatever is refused, by party, round and place, without a value. What a class raises passes as it is,
            with a note that says whose it was.
        JobFailed: the model is not finite any more.
    """
    if not 0 <= seed < 1 << 63 or evaluate_every < 1:
        raise Misuse("a seed is 0 to 2^63 - 1, and evaluate_every at least 1")
    parties = _parties(clients)
    way, options = _merging(strategy)
    course = _Course(parties, way, options, Arrays.of(*_first(parties, seed, initial)))
    rounds: list[ClientRound] = []
    for number in range(1, options.rounds + 1):
        began = time.monotonic()
        examples, fit_metrics, clipped = course.fit(number, fit_config)
        is_evaluated = number % evaluate_every == 0 or number == options.rounds
        evaluated, loss, metrics = course.evaluate(number, evaluate_config) if is_evaluated else (0, None, {})
        one = ClientRound(
            number=number,
            parties=tuple(parties),
            examples=examples,
            clipped=clipped,
            fit_metrics=fit_metrics,
            evaluated=evaluated,
            loss=loss,
            metrics=metrics,
            seconds=time.monotonic() - began,
        )
        rounds.append(one)
        if on_round is not None:
            on_round(one)
    return TrainedArrays(strategy.name, course.arrays, course.public.model, tuple(rounds))


# --- what parties do, and what they send ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one call reports: its examples, and figures that are averaged over them; `_LOSS` is the loss."""

    examples: int
    figures: Mapping[str, float]


class _Course:
    """The rounds of one training, each a call of every class and masked sums of what they return."""

    def __init__(self, parties: Mapping[str, Any], way: Strategy[Any], options: Schedule, arrays: Arrays) -> None:
        self.arrays, self._parties, self._way, self._options = arrays, parties, way, options
        self.public = way.begun(options, arrays.layout, arrays.start)
        self._sums = _Sums(tuple(parties), arrays.layout)
        self._rest: dict[str, NDArray[np.float32]] = {}  # what rounding to few bits took away, as at a daemon

    def fit(self, number: int, config: Config | None) -> tuple[int, dict[str, float], float]:
        """Train and merge; return (examples, means of metrics, share of entries that were cut)."""
        moves: dict[str, NDArray[np.float32]] = {}
        told: dict[str, _Told] = {}
        said = {} if config is None else dict(config(number))
        for party, client in self._parties.items():
            where = f"what fit of {party} returned in round {number}"
            with _of_a_class(party, number):
                found = client.fit(self.arrays.copies(self.public.model), dict(said))
            arrays, examples, metrics = three_in(found, where)
            told[party] = _Told(examples=examples_in(examples, where, fewest=1), figures=figures_in(metrics, where))
            moves[party] = bounded(self.arrays.moved(arrays, self.public.model, where), self._options.norm)
        examples, means = self._sums.means(told)  # opened first: the sum of weights is what updates are scaled by
        return examples, means, self._merge(number, moves, {party: one.examples for party, one in told.items()})

    def evaluate(self, number: int, config: Config | None) -> tuple[int, float | None, dict[str, float]]:
        """Return (examples, mean loss, means of metrics) of the joint model; (0, None, {}) where nobody evaluates."""
        said = {} if config is None else dict(config(number))
        told = {}
        for party, client in self._parties.items():
            told[party] = _Told(examples=0, figures={})
            if not callable(getattr(client, "evaluate", None)):
                continue
            where = f"what evaluate of {party} returned in round {number}"
            with _of_a_class(party, number):
                found = client.evaluate(self.arrays.copies(self.public.model), dict(said))
            loss, examples, metrics = three_in(found, where)
            if examples_in(examples, where, fewest=0):  # the loss of none is no number
                figures = {_LOSS: figure_in(loss, f"the loss in {where}"), **figures_in(metrics, where)}
                told[party] = _Told(examples=int(examples), figures=figures)
        examples, means = self._sums.means(told)
        return examples, means.pop(_LOSS, None), means

    def _merge(self, number: int, moves: dict[str, NDArray[np.float32]], examples: Mapping[str, int]) -> float:
        """Sum the updates under masks and merge their mean; return the share of entries that were cut."""
        options, layout = self._options, self.arrays.layout
        weights = examples if options.weighted else dict.fromkeys(examples, 1)
        most = sum(weights.values()) if options.weighted else 1
        packing = Packing.standard(layout.size, len(moves), options.bits, clip=options.clip, weight_most=most)

        def words() -> Iterator[NDArray[np.uint64]]:
            for party in self._parties:
                values = self._with_rest(party, moves.pop(party), packing, weights[party])
                yield np.frombuffer(packing.encode(values, weight=weights[party]).words, dtype="<u8")

        total = self._sums.total(words(), packing.ring, packing.elements, packing.digest)
        decoded = packing.decode(chunked(total), len(examples))
        self.public = self._way.merge(options, layout, self.public, decoded.mean, number - 1)
        if not np.isfinite(self.public.model).all():
            raise JobFailed("the model is not finite any more", hint="bound updates with norm, or a smaller server_lr")
        return decoded.clipped / (len(examples) * layout.size)

    def _with_rest(self, party: str, values: NDArray[np.float32], packing: Packing, weight: int) -> NDArray[np.float32]:
        """Return an update with what the last rounding took away, where few bits make that worth while."""
        if packing.bits > COARSE_BITS:
            return values
        if party in self._rest:
            values = values + self._rest[party]
        self._rest[party] = rounded_away(values, packing, weight)
        return values


class _Sums:
    """Masked sums of all parties, one after another, each with keys of its own."""

    def __init__(self, names: tuple[str, ...], layout: Layout) -> None:
        self._names, self._count = names, 0
        self._job = digest(_LABEL, layout.digest, *(name.encode() for name in names))
        self._transcript = self._job

    def means(self, told: Mapping[str, _Told]) -> tuple[int, dict[str, float]]:
        """Return the sum of examples, and the means of the figures over them: none over no examples."""
        named = {party: tuple(sorted(one.figures)) for party, one in told.items() if one.examples}
        names = next(iter(named.values()), ())
        for party, others in named.items():
            if others != names:
                first = next(iter(named))
                raise Misuse(
                    f"{party} reports metrics {_listed(others)}, {first} reports {_listed(names)}",
                    hint="means are taken of what all parties report, by one name",
                    party=party,
                )
        vectors = [
            [one.examples, *(one.examples * round(one.figures.get(name, 0) * (1 << UNIT_BITS)) for name in names)]
            for one in told.values()
        ]
        words = (ring.from_ints(vector).reshape(-1) for vector in vectors)
        total = self.total(words, ring.Z128, 1 + len(names), b"")
        examples, *sums = ring.to_ints(ring.from_bytes(total))
        return examples, {name: sum_ / (examples << UNIT_BITS) for name, sum_ in zip(names, sums, strict=True)}

    def total(self, vectors: Iterable[NDArray[np.uint64]], kind: ring.Ring, length: int, encoding: bytes) -> bytes:
        """Return the sum of one vector of each party, in the order of their names; masked before it is added."""
        setup = Setup.standard(
            job_hash=self._job,
            round_index=self._count,
            roster_hash=self._job,
            parties=self._names,
            least=len(self._names),
        )
        spec = Spec(
            setup=setup,
            round_digest=digest(_LABEL, self._count.to_bytes(8, "big")),
            transcript_hash=self._transcript,
            length=length,
            ring=kind.name,
            encoding=encoding,
        )
        masking = MaskedRound(dealt(setup, secrets.token_bytes(32)), spec)
        total = np.zeros(length * kind.element_bytes // 8, dtype="<u8")
        for party, vector in zip(self._names, vectors, strict=True):
            words = vector.copy()
            masking.put_on(party, words)
            kind.add_into(total, words)
        masking.take_off(total, self._names)
        self._count += 1
        self._transcript = digest(_LABEL, self._transcript, total.tobytes())
        return total.tobytes()


# --- what is refused ------------------------------------------------------------------------------------------------


def _parties(clients: object) -> dict[str, Any]:
    """Return the classes' instances by party, sorted."""
    if isinstance(clients, Session):
        raise Misuse(
            "a class of your own runs in this process only, not in a session's jurisdictions",
            hint="fed.numpy_clients({name: instance, ..}); jurisdictions train a model by name, or a reviewed bundle: "
            "session.train",
        )
    if not isinstance(clients, Mapping) or len(clients) < FEWEST:
        raise Misuse(
            f"classes are given as a dict {{name: instance}} of at least {FEWEST} parties",
            hint="with two, the sum shows each the other's update",
        )
    named = {checked_name(str(name)): client for name, client in clients.items()}
    found = {party: getattr(named[party], "numpy_client", named[party]) for party in sorted(named)}
    for party, client in found.items():
        if isinstance(client, type):
            raise Misuse(f"{party} is the class {client.__name__}, not an instance of it", party=party)
        if not callable(getattr(client, "fit", None)):
            raise Misuse(f"{party} has no method fit(parameters, config)", party=party)
    return found


def _merging(chosen: object) -> tuple[Strategy[Any], Any]:
    """Return the strategy that merges, and its parameters."""
    if not isinstance(chosen, Chosen):
        raise Misuse(f"a strategy is fed.FedAvg(rounds=3) or the like, got a {type(chosen).__name__}")
    if chosen.name not in MERGES:
        raise Misuse(
            f"{chosen.name} has a local half of its own, and here `fit` is the local half",
            hint=f"one of {', '.join(MERGES)}",
        )
    for name, _ in chosen.options:
        if name in LOCAL:
            raise Misuse(
                f"{name} is of local training, which `fit` does: it would have no effect",
                hint=f"fit_config=lambda number: {{{name!r}: ..}}, if `fit` reads that",
            )
    way = registry.look_up(STRATEGIES, Strategy, chosen.name)()
    return way, read(way.Parameters, chosen.options, f"strategy {chosen.name}")


def _first(parties: Mapping[str, Any], seed: int, initial: Sequence[Any] | None) -> tuple[Sequence[Any], str]:
    """Return the arrays that everybody starts from, and whose they are."""
    if initial is not None:
        return initial, "the initial parameters"
    party = min(parties, key=lambda name: digest(_LABEL, seed.to_bytes(8, "big"), name.encode()))
    if not callable(getattr(parties[party], "get_parameters", None)):
        raise Misuse(f"{party} has no method get_parameters(config)", hint="or give initial=[...]", party=party)
    with _of_a_class(party, 0):
        return parties[party].get_parameters({}), f"the first parameters of {party}"


@contextmanager
def _of_a_class(party: str, number: int) -> Iterator[None]:
    """Let what a class raises pass, with a note that says whose it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"raised by the class of {party}" + (f" in round {number}" if number else ""))
        raise


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names if name) or "none"
