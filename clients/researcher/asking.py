"""How a question becomes a computation: `ask.mean("age", by="sex")`, and what a whole job asks.

A question is checked here, against the statistic's own parameters, before anybody is asked. Every statistic of the
house can be asked: a new file in `federation/analytics/statistics/` needs no line here. No question carries code.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

from federation import registry
from federation.analytics.statistic import Statistic, parameters_of
from federation.domain.job import Computation, Value
from federation.errors import Misuse, did_you_mean
from federation.policy.rule import TRAINING

FAMILY: Final = "federation.analytics.statistics"
TRAINING_S: Final = 3600.0  # that a training has where nobody says


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a job says besides its questions.

    Attributes:
        where: a predicate as text, "" for all rows.
        purpose: why; each jurisdiction's policy judges it.
        protection: "masks" or "paillier"; "" for a joint key where the parties have one that fits, and masks elsewhere.
        minimum_parties: fewest contributors, at least 3; None for all who take part.
        deadline_s: seconds from now after which the job ends with a reason, > 0.
        parties: who takes part; () for everybody who publishes the data.
        name: readable, "" for one made from the questions.
    """

    where: str = ""
    purpose: str = ""
    protection: str = ""
    minimum_parties: int | None = None
    deadline_s: float = 60.0
    parties: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A whole question, as a job file has it: computations over one data set in one frame."""

    data: str
    computations: tuple[Computation, ...]
    frame: Frame = field(default_factory=Frame)


def statistics() -> tuple[str, ...]:
    """Return the names of all statistics of this house."""
    return registry.names(FAMILY)


def computation(statistic: str, /, *positional: object, **named: object) -> Computation:
    """Return one checked question.

    Args:
        statistic: member of `federation.analytics.statistics`.
        positional: parameters in the order in which the statistic declares them, before those that it shares.
        named: parameters by name; what equals the statistic's default is left out.

    Raises:
        Misuse: no such statistic or parameter (with the nearest name), or a value of another type.
    """
    member: Statistic[Any, Any] = registry.look_up(FAMILY, Statistic, statistic)()
    own = inspect.get_annotations(member.Parameters)
    declared = sorted(fields(member.Parameters), key=lambda parameter: parameter.name not in own)  # a stable sort
    if len(positional) > len(declared):
        names = ", ".join(parameter.name for parameter in declared)
        raise Misuse(f"{statistic} takes at most {len(declared)} parameters", hint=f"they are {names}" if names else "")
    given = {parameter.name: value for parameter, value in zip(declared, positional, strict=False)}
    for name in named.keys() & given.keys():
        raise Misuse(f"{statistic} has parameter {name!r} twice", hint="once by place and once by name")
    values = {name: as_value(value, f"parameter {name!r} of {statistic}") for name, value in (given | named).items()}
    defaults = {parameter.name: parameter.default for parameter in declared if parameter.default is not MISSING}
    kept = {name: value for name, value in values.items() if name not in defaults or not _same(value, defaults[name])}
    made = Computation(name=statistic, version=member.version, parameters=tuple(sorted(kept.items())))
    parameters_of(member, made)
    return made


def as_value(value: object, what: str) -> Value:
    """Return `value` as what a job may carry: numpy's numbers become Python's, lists, ranges and mappings tuples.

    Raises:
        Misuse: naming `what`, for anything else; a job carries plain values only.
    """
    match value:
        case None | bool() | str():
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
        case list() | tuple() | range():
            return tuple(as_value(item, what) for item in value)
        case Mapping():
            return tuple((as_value(key, what), as_value(item, what)) for key, item in value.items())
    if callable(tolist := getattr(value, "tolist", None)):  # an array is a list, and numpy's bool is a bool
        return as_value(tolist(), what)
    raise Misuse(f"{what} is a {type(value).__name__}", hint="a number, a text, true or false, or a list of them")


def written(asked: Computation) -> str:
    """Return a computation as somebody would type it: mean('age', by='sex')."""
    if asked.name == TRAINING:
        from clients.researcher import asking_training

        return asking_training.written(asked)
    given = dict(asked.parameters)
    if asked.name in statistics():
        declared = [each.name for each in fields(registry.look_up(FAMILY, Statistic, asked.name).Parameters)]
    else:  # of a version of the software that has more statistics than this one
        declared = []
    first = declared[0] if declared and declared[0] in given else None
    parts = [] if first is None else [_spelled(given.pop(first))]
    order = sorted(given, key=lambda name: (declared.index(name) if name in declared else len(declared), name))
    return f"{asked.name}({', '.join([*parts, *(f'{name}={_spelled(given[name])}' for name in order)])})"


class Ask:
    """`ask.mean("age", by="sex")` makes a question for `session.run([...])`; it asks nobody yet."""

    def __getattr__(self, name: str) -> Callable[..., Computation]:
        if name.startswith("_") or name not in statistics():
            raise AttributeError(f"there is no statistic {name!r}; {did_you_mean(name, statistics())}")

        def question(*positional: object, **named: object) -> Computation:
            return computation(name, *positional, **named)

        question.__name__ = name
        question.__doc__ = registry.look_up(FAMILY, Statistic, name).__doc__
        return question

    def __dir__(self) -> Sequence[str]:
        return [*super().__dir__(), *statistics()]

    def __repr__(self) -> str:
        return f"ask.{{{', '.join(statistics())}}}(...)"


ask: Final = Ask()


def _same(value: Value, default: object) -> bool:
    return type(value) is type(default) and value == default


def _spelled(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_spelled(item) for item in value)}]"
    return repr(value)
