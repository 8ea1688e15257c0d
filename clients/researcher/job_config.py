"""A job as a TOML file, and back.

```toml
purpose = "tuberculosis-2026"
data = "tb"
where = "year >= 2000"                       # may be left out, as everything below it
protection = "paillier"                      # or "masks"; a joint key where one fits, if left out
minimum_parties = 3
deadline_s = 60
parties = ["guangdong", "hongkong", "macao"] # everybody who publishes the data if left out

[[statistic]]
name = "mean"                                # a file of federation/analytics/statistics; its parameters stand beside it
column = "age"
by = "sex"
```
Or one model, of which `federation.training.plan.TrainingPlan` says what may stand there:

```toml
data = "tb"

[train]
model = "mlp"
target = "ill"
strategy = { name = "fedavg", rounds = 20 } # or only its name
config = { hidden = [64] }                   # of the model
```
A file names statistics, models and columns. It has no key for code, SQL or a path.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from clients.researcher.asking import TRAINING_S, Asked, Frame, computation
from clients.researcher.config import Field, Strict, checked, parsed, read
from federation.domain.job import Computation, Value
from federation.errors import Misuse
from federation.policy.rule import TRAINING

LONGEST_DEADLINE_S = 90 * 24 * 3600.0
DEADLINE_S = 60.0


class _JobFile(Strict):
    name: str = ""
    purpose: str = ""
    data: str
    where: str = ""
    protection: str = ""
    minimum_parties: int | None = Field(default=None, ge=3, le=100)
    deadline_s: float | None = Field(default=None, gt=0, le=LONGEST_DEADLINE_S, allow_inf_nan=False)
    parties: list[str] = Field(default=[])
    statistic: list[dict[str, object]] | None = Field(default=None, min_length=1)
    train: dict[str, object] | None = None


def job_file(path: Path) -> Asked:
    """Return what the job file at `path` asks. Raises Misuse, naming the key, and the one that was probably meant."""
    return job(read(path, what="job file", hint="`federation run --help` shows one"), where=path.name)


def job(text: str, *, where: str = "the job") -> Asked:
    """Return what a job as TOML text asks; `where` names the text in errors."""
    file = checked(_JobFile, parsed(text, where=where), where=where)
    computations = _computations(file, where)
    usual = _deadline_s(computations)
    return Asked(
        data=file.data,
        computations=computations,
        frame=Frame(
            where=file.where,
            purpose=file.purpose,
            protection=file.protection,
            minimum_parties=file.minimum_parties,
            deadline_s=usual if file.deadline_s is None else file.deadline_s,
            parties=tuple(sorted(set(file.parties))),
            name=file.name,
        ),
    )


def as_toml(asked: Asked) -> str:
    """Return the job file that asks `asked`; `job` reads it back to an equal value."""
    frame = asked.frame
    lines = [f"data = {_toml(asked.data)}"]
    for key, value, default in (
        ("name", frame.name, ""),
        ("purpose", frame.purpose, ""),
        ("where", frame.where, ""),
        ("protection", frame.protection, ""),
        ("minimum_parties", frame.minimum_parties, None),
        ("deadline_s", float(frame.deadline_s), _deadline_s(asked.computations)),
        ("parties", frame.parties, ()),
    ):
        if value != default:
            lines.append(f"{key} = {_toml(value)}")
    for asks in asked.computations:
        if asks.name == TRAINING:
            from clients.researcher.asking_training import as_table

            lines += ["", "[train]", *(f"{key} = {_toml(value)}" for key, value in as_table(asks).items())]
            continue
        lines += ["", "[[statistic]]", f"name = {_toml(asks.name)}"]
        lines += [f"{name} = {_toml(value)}" for name, value in asks.parameters]
    return "\n".join([*lines, ""])


def _computations(file: _JobFile, where: str) -> tuple[Computation, ...]:
    if file.train is None:
        if file.statistic is None:
            raise Misuse(f"{where} lacks the key 'statistic'", hint="or a table [train], for a model")
        return tuple(_computation(table, f"statistic {i} of {where}") for i, table in enumerate(file.statistic, 1))
    if file.statistic is not None:
        raise Misuse(f"{where} trains one model or asks statistics, not both", hint="write two files")
    from clients.researcher.asking_training import from_table

    return (from_table(file.train, f"[train] of {where}"),)


def _deadline_s(computations: Sequence[Computation]) -> float:
    """Return the seconds that a job has where its file does not say."""
    return TRAINING_S if any(asked.name == TRAINING for asked in computations) else DEADLINE_S


def _computation(table: dict[str, object], where: str) -> Computation:
    match table:
        case {"name": str(name), **parameters}:
            try:
                return computation(name, **parameters)
            except Misuse as fault:
                raise Misuse(f"{where}: {fault.message}", hint=fault.hint) from None
        case _:
            raise Misuse(f"{where} lacks its name", hint='name = "mean", for one')


def _toml(value: Value | Mapping[str, Value]) -> str:
    match value:
        case Mapping():
            return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case str():
            # JSON's escapes are TOML's too, once DEL is escaped and no surrogate pairs are made.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case None:
            raise Misuse("TOML has no word for nothing", hint="leave the parameter out")
