"""A jurisdiction's one TOML file: identity, data sets, policy; unknown keys are refused with "did you mean".

Refused besides: names that are numbers, paths or nothing, texts that turn the direction of what follows them on a
screen, and a relative `source` that leads out of the file's folder (when it is opened, see `DatasetConfig.rows`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from clients.jurisdiction.engines._files import Inside
from federation.domain.catalogue import Column, Dataset, Kind, Level, Outside, levels_of
from federation.errors import Misuse, did_you_mean
from federation.identity import toml_file
from federation.policy.rule import Settings
from federation.wire import convert
from federation.wire import messages as m


def _bound(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and not (isinstance(value, float) and math.isfinite(value)):  # nothing that could be read as one
        raise ValueError("a bound is a finite number")
    return value


LONGEST_ENGINE: Final = 64
DOMINANCE: Final = 85  # percent, the default of sdcTable and of many statistical offices
# They reorder what follows them on a screen, so that one name could be read as another one.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")  # as predicates read one
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
    levels: Mapping[str, Mapping[str, tuple[str, ...]]] = Field(default_factory=dict)


class DatasetConfig(_Table):
    """One published data set: `[[dataset]]`."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")
    source: str = Field(min_length=1)
    engine: str = Field(default="duckdb", max_length=LONGEST_ENGINE)
    title: str = ""
    unit: str = "row"
    k: int = Field(default=10, ge=1)
    publish_own_figures: bool = False
    dominance: int | None = Field(default=None, ge=0, le=100)
    columns: Mapping[str, ColumnConfig] = Field(min_length=1)
    _inside: Inside | None = PrivateAttr(default=None)

    @property
    def rows(self) -> str | Inside:
        """What an engine opens: an absolute path as it stands, a relative one only inside the file's folder."""
        return self.source if self._inside is None else self._inside

    def placed(self, folder: Path) -> DatasetConfig:
        """Return this data set with its source in `folder`, unless the operator named an absolute path."""
        found = self.model_copy(update={"source": str(folder / self.source)})
        if not Path(self.source).is_absolute():
            found._inside = Inside(folder, self.source)  # noqa: SLF001 - of the same class
        return found


class PolicyConfig(_Table):
    """What the operator permits: `[policy]`; what is left out is permitted."""

    purposes: tuple[str, ...] | None = None
    statistics: tuple[str, ...] | None = None
    researchers: tuple[str, ...] | None = None
    minimum_parties: int = Field(default=3, ge=3)
    most_numbers: int | None = Field(default=None, ge=1)
    differencing: bool = True
    plain_sums: bool = False
    models: tuple[str, ...] | None = None
    strategies: tuple[str, ...] | None = None
    most_rounds: int | None = Field(default=None, ge=1)
    most_parameters: int | None = Field(default=None, ge=1)
    least_bits: int | None = Field(default=None, ge=4, le=32)
    most_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class IdentityConfig(_Table):
    """Who the daemon is and where it dials: `[jurisdiction]`; paths are relative to the file."""

    coordinator: str = Field(max_length=300)
    keys: Path
    roster: Path
    state: Path
    threads: int = Field(default=0, ge=0)
    wire_log: Path | None = None
    development_keys: bool = False  # joint keys that protect nobody are made and used here: for tests alone
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
            differencing=policy.differencing,
            plain_sums=policy.plain_sums,
            models=policy.models,
            strategies=policy.strategies,
            most_rounds=policy.most_rounds,
            most_parameters=policy.most_parameters,
            least_bits=policy.least_bits,
            most_norm=policy.most_norm,
        )


def described(config: DatasetConfig) -> Dataset:
    """Return the publication of a data set, without its version, which only the data has.

    Raises:
        Misuse: a numeric column without a range, a category column without its list, or what no message can say.
    """
    for name, column in config.columns.items():
        numeric = column.kind in (Kind.INTEGER, Kind.REAL)
        where = f"data set {config.name!r}, column {toml_file.key((name,))!r}"
        _check_name(where, name)
        if numeric and (column.low is None or column.high is None or column.low > column.high):
            raise Misuse(
                f"{where}: a number needs low and high, low <= high", hint="declare the range that is possible"
            )
        if not numeric and (column.low is not None or column.high is not None):
            raise Misuse(f"{where}: only numbers have a range", hint="leave out low and high, or correct the kind")
        if column.kind is Kind.INTEGER and not (isinstance(column.low, int) and isinstance(column.high, int)):
            raise Misuse(f"{where}: the range of whole numbers is of whole numbers", hint="or say kind = 'real'")
        if (column.kind is Kind.CATEGORY) != bool(column.categories):
            raise Misuse(
                f"{where}: a category column, and only that, needs its closed list `categories`",
                hint="list every value that may stand there, or correct the kind",
            )
        if len(set(column.categories)) != len(column.categories):
            raise Misuse(f"{where}: a category stands in the list twice", hint="leave one of them out")
        _check_bounds(where, column)
    _check_turning(config)
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
                levels=_levels(config.name, name, column),
            )
            for name, column in config.columns.items()
        ),
        k=config.k,
        own_figures=config.publish_own_figures,
        dominance=(DOMINANCE if config.k > 1 else 0) if config.dominance is None else config.dominance,
    )
    try:  # what the others could not read would be this jurisdiction's violation, every time it attends
        body = convert.BODIES[m.PUBLICATION]
        body.decode(body.encode(m.Publication(party="me", dataset=dataset)))
    except ValueError as fault:
        hint = "shorten or correct it: the other members read what is published"
        raise Misuse(f"data set {config.name!r} cannot be published: {fault}", hint=hint) from None
    return dataset


def _levels(dataset: str, name: str, column: ColumnConfig) -> tuple[Level, ...]:
    try:
        return levels_of(column.categories, column.levels)
    except Misuse as fault:
        where = f"data set {dataset!r}, column {toml_file.key((name,))!r}"
        raise Misuse(f"{where}: {fault.message}", hint=fault.hint) from None


def _check_name(where: str, name: str) -> None:
    if not name.strip():
        raise Misuse(f"{where}: a column has a name", hint="write it as it stands in the header of the data")
    if _NUMBER.fullmatch(name):
        hint = f"rename the column in the data, y{name[:20]} for one: in a predicate it would be the number"
        raise Misuse(f"{where}: the name of a column is no number", hint=hint)


def _check_bounds(where: str, column: ColumnConfig) -> None:
    whole = [bound for bound in (column.low, column.high) if isinstance(bound, int)]
    if any(not -(2**63) <= bound < 2**63 for bound in whole):
        hint = "declare the range that is possible; real numbers have a point, 1e20 for one"
        raise Misuse(f"{where} cannot be published with a whole number beyond 64 bits", hint=hint)


def _check_turning(config: DatasetConfig) -> None:
    texts = [config.title, config.unit, *config.columns]
    for column in config.columns.values():
        texts += [column.unit, *column.categories, *column.missing, *column.missing.values()]
        texts += [text for name, joined in column.levels.items() for text in (name, *joined)]
    if any(_TURNING & set(text) for text in texts):
        raise Misuse(
            f"data set {config.name!r} cannot be published: a text turns the direction of what is read after it",
            hint="remove the invisible characters U+202A to U+202E and U+2066 to U+2069",
        )


def load(path: Path) -> JurisdictionConfig:
    """Read a jurisdiction's TOML file.

    Raises:
        Misuse: no such file, not TOML, an unknown key or a value of another type; one line, with the key.
    """
    document = toml_file.read(path, hint="federation jurisdiction init writes a first one")
    try:
        config = JurisdictionConfig.model_validate(document)
    except ValidationError as fault:
        raise _explained(path, fault) from None
    names = [dataset.name for dataset in config.dataset]
    if len(set(names)) != len(names):
        raise Misuse(f"{path}: two data sets have one name", hint="rename one; researchers ask for them by name")
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
    datasets = tuple(dataset.placed(at) for dataset in config.dataset)
    return config.model_copy(update={"jurisdiction": placed, "dataset": datasets})


_KNOWN: dict[str, type[BaseModel]] = {"jurisdiction": IdentityConfig, "dataset": DatasetConfig, "policy": PolicyConfig}
_NAME: Final = "a name begins with a letter; letters, digits, _ . and - follow, 100 in all"
_REMEDIES: Final = {
    "string_type": 'a text stands in quotes: "..."',
    "missing": "`federation jurisdiction init` writes a file that has every key",
    "tuple_type": 'a list stands in [ ], and every data set begins with its own line "[[dataset]]"',
    "too_short": "declare at least one column: [dataset.columns.NAME]",
    "string_too_short": "name the file that holds the rows",
    "string_pattern_mismatch": "correct it to that form",
}


def _explained(path: Path, fault: ValidationError) -> Misuse:
    # An unknown key is why another one is missing: it is told first.
    first = min(fault.errors(), key=lambda error: error["type"] != "extra_forbidden")
    parts = [str(part) for part in first["loc"]]
    key = toml_file.key(first["loc"])
    if first["type"] == "extra_forbidden":
        kind = JurisdictionConfig if len(parts) == 1 else _KNOWN.get(parts[0], JurisdictionConfig)
        kind = ColumnConfig if "columns" in parts else kind
        hint = did_you_mean(parts[-1], kind.model_fields) or "remove it"
        return Misuse(f"{path}: unknown key {key!r}", hint=hint)
    hint = _REMEDIES.get(first["type"], "correct the file")
    if first["type"] == "missing":
        return Misuse(f"{path}: key {key!r} is missing", hint=hint if len(parts) > 1 else "correct the file")
    if parts[0] == "dataset" and parts[2:] == ["name"]:
        hint = _NAME if first["type"] != "string_type" else f"write it in quotes; {_NAME}"
        return Misuse(f"{path}: key {key!r}: this cannot be the name of a data set", hint=hint)
    return Misuse(f"{path}: key {key!r}: {first['msg']}", hint=hint)
