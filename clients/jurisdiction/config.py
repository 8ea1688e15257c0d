"""A jurisdiction's one TOML file: identity, data sets, policy; unknown keys are refused with "did you mean"."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from federation.domain.catalogue import Column, Dataset, Kind, Outside
from federation.errors import Misuse, did_you_mean
from federation.policy.rule import Settings
from federation.wire import convert
from federation.wire import messages as m


def _bound(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and not (isinstance(value, float) and math.isfinite(value)):  # nothing that could be read as one
        raise ValueError("a bound is a finite number")
    return value


Bound = Annotated[int | float, BeforeValidator(_bound)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnConfig(_Table):
    """One published column: `[dataset.columns.NAME]`."""

    kind: Kind
    unit: str = ""
    low: Bound | None = None
    high: Bound | None = None
    categories: tuple[str, ...] = ()
    missing: Mapping[str, str] = Field(default_factory=dict)
    outside: Outside = Outside.CLIP


class DatasetConfig(_Table):
    """One published data set: `[[dataset]]`."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")
    source: str
    engine: str = "duckdb"
    title: str = ""
    unit: str = "row"
    k: int = Field(default=10, ge=1)
    publish_own_figures: bool = False
    columns: Mapping[str, ColumnConfig]


class PolicyConfig(_Table):
    """What the operator permits: `[policy]`; what is left out is permitted."""

    purposes: tuple[str, ...] | None = None
    statistics: tuple[str, ...] | None = None
    researchers: tuple[str, ...] | None = None
    minimum_parties: int = Field(default=3, ge=3)
    most_numbers: int | None = Field(default=None, ge=1)


class IdentityConfig(_Table):
    """Who the daemon is and where it dials: `[jurisdiction]`; paths are relative to the file."""

    coordinator: str
    keys: Path
    roster: Path
    state: Path
    threads: int = Field(default=0, ge=0)
    wire_log: Path | None = None
    log: str = Field(default="info", pattern="^(debug|info|warning|error)$")


class JurisdictionConfig(_Table):
    """The whole file."""

    jurisdiction: IdentityConfig
    dataset: tuple[DatasetConfig, ...]
    policy: PolicyConfig = Field(default_factory=PolicyConfig)

    def settings(self) -> Settings:
        """Return the operator's clauses for the rules."""
        policy = self.policy
        return Settings(
            purposes=policy.purposes,
            statistics=policy.statistics,
            researchers=policy.researchers,
            minimum_parties=policy.minimum_parties,
            most_numbers=policy.most_numbers,
        )


def described(config: DatasetConfig) -> Dataset:
    """Return the publication of a data set, without its version, which only the data has.

    Raises:
        Misuse: a numeric column without a range, a category column without its list, or what no message can say.
    """
    for name, column in config.columns.items():
        numeric = column.kind in (Kind.INTEGER, Kind.REAL)
        where = f"data set {config.name!r}, column {name!r}"
        if numeric and (column.low is None or column.high is None or column.low > column.high):
            raise Misuse(
                f"{where}: a number needs low and high, low <= high", hint="declare the range that is possible"
            )
        if not numeric and (column.low is not None or column.high is not None):
            raise Misuse(f"{where}: only numbers have a range")
        if column.kind is Kind.INTEGER and not (isinstance(column.low, int) and isinstance(column.high, int)):
            raise Misuse(f"{where}: the range of whole numbers is of whole numbers", hint="or say kind = 'real'")
        if (column.kind is Kind.CATEGORY) != bool(column.categories):
            raise Misuse(f"{where}: a category column, and only that, needs its closed list `categories`")
        if len(set(column.categories)) != len(column.categories):
            raise Misuse(f"{where}: a category stands in the list twice")
    dataset = Dataset(
        name=config.name,
        title=config.title or config.name,
        unit=config.unit,
        columns=tuple(
            Column(
                name=name,
                kind=column.kind,
                unit=column.unit,
                low=column.low,
                high=column.high,
                categories=column.categories,
                missing=tuple(sorted(column.missing.items())),
                outside=column.outside,
            )
            for name, column in config.columns.items()
        ),
        k=config.k,
        own_figures=config.publish_own_figures,
    )
    try:  # what the others could not read would be this jurisdiction's violation, every time it attends
        body = convert.BODIES[m.PUBLICATION]
        body.decode(body.encode(m.Publication(party="me", dataset=dataset)))
    except ValueError as fault:
        raise Misuse(f"data set {config.name!r} cannot be published: {fault}") from None
    return dataset


def load(path: Path) -> JurisdictionConfig:
    """Read a jurisdiction's TOML file.

    Raises:
        Misuse: no such file, not TOML, an unknown key or a value of another type; one line, with the key.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as fault:
        raise Misuse(
            f"cannot read {path}: {fault.strerror}", hint="federation jurisdiction init writes a first one"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise Misuse(f"{path} is not TOML: {fault}") from None
    try:
        config = JurisdictionConfig.model_validate(document)
    except ValidationError as fault:
        raise _explained(path, fault) from None
    names = [dataset.name for dataset in config.dataset]
    if len(set(names)) != len(names):
        raise Misuse(f"{path}: two data sets have one name")
    at = path.absolute().parent
    mine = config.jurisdiction
    placed = mine.model_copy(
        update={
            "keys": at / mine.keys,
            "roster": at / mine.roster,
            "state": at / mine.state,
            "wire_log": at / mine.wire_log if mine.wire_log else None,
        }
    )
    datasets = tuple(d.model_copy(update={"source": str(at / d.source)}) for d in config.dataset)
    return config.model_copy(update={"jurisdiction": placed, "dataset": datasets})


_KNOWN: dict[str, type[BaseModel]] = {"jurisdiction": IdentityConfig, "dataset": DatasetConfig, "policy": PolicyConfig}


def _explained(path: Path, fault: ValidationError) -> Misuse:
    # An unknown key is why another one is missing: it is told first.
    first = min(fault.errors(), key=lambda error: error["type"] != "extra_forbidden")
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts)
    if first["type"] == "extra_forbidden":
        kind = JurisdictionConfig if len(parts) == 1 else _KNOWN.get(parts[0], JurisdictionConfig)
        kind = ColumnConfig if "columns" in parts else kind
        return Misuse(f"{path}: unknown key {key!r}", hint=did_you_mean(parts[-1], kind.model_fields))
    if first["type"] == "missing":
        return Misuse(f"{path}: key {key!r} is missing")
    return Misuse(f"{path}: key {key!r}: {first['msg']}")
