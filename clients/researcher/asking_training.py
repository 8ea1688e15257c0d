"""How a training is asked for: as a call, as the `[train]` table of a job file, and as what somebody reads of either.

A file need not name the features: all other columns are, once the table's description is known (`completed`). It names
models and strategies of this house and plain values; an unknown key is refused with the one that was probably meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, Final

from clients.researcher.asking import as_value
from federation import registry
from federation.domain.catalogue import Dataset, Kind
from federation.domain.job import Computation, Value
from federation.domain.parameters import read
from federation.errors import Misuse, did_you_mean
from federation.jobs.training import NAME, VERSION, computation
from federation.training.plan import STRATEGIES, TrainingPlan
from federation.training.strategy import Strategy

MOST_SPELLED: Final = 6  # features that are written one by one
STRATEGY: Final = "fedavg"
_KEYS: Final = tuple(field.name for field in fields(TrainingPlan) if field.name != "options")


def from_table(table: Mapping[str, object], where: str) -> Computation:
    """Return what the `[train]` table of a job file asks, its features left out where it does not name them.

    Args:
        table: the keys of a `TrainingPlan`; `strategy` is a name, or a table of `name` and the strategy's parameters;
            `config` is a table.
        where: names the table in errors.

    Raises:
        Misuse: an unknown key, strategy or parameter, with the nearest word; no target; a value that no job carries.
    """
    for key in table:
        if key not in _KEYS:
            raise Misuse(f"{where} has an unknown key {key!r}", hint=did_you_mean(key, _KEYS))
    if "target" not in table:
        raise Misuse(f"{where} lacks its target", hint="target = the column that is predicted")
    given = {key: as_value(value, f"{key} of {where}") for key, value in table.items() if key != "strategy"}
    options = table.get("strategy", STRATEGY)
    options = {"name": options} if isinstance(options, str) else options
    strategy = options.get("name") if isinstance(options, Mapping) else None
    if not isinstance(options, Mapping) or not isinstance(strategy, str):
        hint = 'strategy = { name = "fedavg", rounds = 20 }'
        raise Misuse(f"strategy of {where} is a name, or a table with one", hint=hint)
    named = {key: as_value(value, f"{key} of {strategy}") for key, value in options.items() if key != "name"}
    pairs = tuple(sorted(named.items()))
    read(registry.look_up(STRATEGIES, Strategy, strategy).Parameters, pairs, f"strategy {strategy}")
    return Computation(
        name=NAME, version=VERSION, parameters=tuple(sorted({**given, "strategy": strategy, "options": pairs}.items()))
    )


def as_table(asked: Computation) -> dict[str, Value | dict[str, Value]]:
    """Return the `[train]` table that asks `asked`, without what the plan would say anyway."""
    given = dict(asked.parameters)
    strategy, options = given.pop("strategy", STRATEGY), _pairs(given.pop("options", ()))
    config = _pairs(given.pop("config", ()))
    usual = _defaults()
    found: dict[str, Value | dict[str, Value]] = {
        name: value for name, value in given.items() if name not in usual or value != usual[name]
    }
    if config:
        found["config"] = config
    found["strategy"] = {"name": strategy, **options} if options else strategy
    return {name: found[name] for name in _KEYS if name in found}


def completed(asked: Computation, joint: Dataset) -> Computation:
    """Return the computation that a job carries: all features named, everything checked over the joint data set.

    Raises:
        Misuse: as `TrainingPlan.of`.
    """
    return computation(TrainingPlan.of(with_features(dict(asked.parameters), joint), joint))


def with_features(given: Mapping[str, Value], joint: Dataset) -> tuple[tuple[str, Value], ...]:
    """Return sorted parameters of a training in which every column is a feature that has no other part, if none is."""
    left_out = {given.get("target"), given.get("split")}
    features = given.get("features") or tuple(
        column.name for column in joint.columns if column.name not in left_out and column.kind is not Kind.IDENTIFIER
    )
    return tuple(sorted({**given, "features": features}.items()))


def written(asked: Computation) -> str:
    """Return a training as somebody would type it: train('y', model='mlp', ...); many features are only counted."""
    table = as_table(asked)
    parts = [repr(table.pop("target", ""))]
    features = table.pop("features", ())
    strategy: Any = table.pop("strategy", STRATEGY)
    if isinstance(strategy, str):
        strategy = {"name": strategy}
    options = ", ".join(f"{name}={_spelled(value)}" for name, value in strategy.items() if name != "name")
    parts += [f"model={table.pop('model', _defaults()['model'])!r}", f"strategy={strategy['name']}({options})"]
    if isinstance(features, tuple) and features:
        named = _spelled(features) if len(features) <= MOST_SPELLED else f"{len(features)} columns"
        parts.append(f"features={named}")
    parts += [f"{name}={_spelled(value)}" for name, value in table.items()]
    return f"train({', '.join(parts)})"


def _defaults() -> dict[str, Any]:
    return {field.name: field.default for field in fields(TrainingPlan) if field.default is not MISSING}


def _pairs(value: Value) -> dict[str, Value]:
    """Return (name, value) pairs as a table; of anything else, which the plan refuses, what can be shown."""
    if not isinstance(value, tuple):
        return {}
    return {str(item[0]): item[1] for item in value if isinstance(item, tuple) and len(item) == 2}


def _spelled(value: object) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{name!r}: {_spelled(item)}" for name, item in value.items()) + "}"
        case Sequence() if not isinstance(value, str):
            return f"[{', '.join(map(_spelled, value))}]"
    return repr(value)
