"""The contract of a rule, what an operator may set, and what is judged.

A rule is a pure function of the job, the data sets' descriptions and the operator's settings: no row, no clock. Only
the jurisdiction's own judgement counts; a researcher may run the same rules to learn beforehand what would be refused.
What a rule has to know of the jurisdiction's own rows, and of what was opened of them before, the guard looks up and
hands over as a `Look`, which never leaves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from federation.domain.catalogue import Dataset
from federation.domain.job import Job
from federation.domain.verdict import Reason
from federation.errors import Misuse
from federation.privacy.differencing import Finding
from federation.query.query import SumQuery
from federation.query.round import Round

LEAST_PARTIES = 3  # two can subtract (DESIGN section 2); no operator may go below
TRAINING = "train"  # what a job calls a computation that trains a model, among the names of statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one operator permits; None is "any". The default is the most open policy that the protocols allow.

    Attributes:
        purposes: the words that a job may give as its purpose, compared exactly.
        statistics: names of statistics.
        researchers: member names.
        minimum_parties: fewest parties of a job, at least 3.
        most_numbers: most numbers that one round may open, below what its protection allows anyway; None for that.
        differencing: whether what a project opens is compared with what it opened before; without it nothing keeps two
            questions from being subtracted.
        plain_sums: whether sums are permitted that the coordinator sees every vector of.
        models: names of architectures that may be trained.
        strategies: names of training strategies.
        most_rounds: most rounds of updates of one training.
        most_parameters: most parameters of a model; without it `most_numbers` bounds its updates too.
        least_bits: fewest bits of an entry of an update.
        most_norm: greatest L2 norm of an update; a training that bounds no norm is refused then.
    """

    purposes: tuple[str, ...] | None = None
    statistics: tuple[str, ...] | None = None
    researchers: tuple[str, ...] | None = None
    minimum_parties: int = LEAST_PARTIES
    most_numbers: int | None = None
    differencing: bool = True
    plain_sums: bool = False
    models: tuple[str, ...] | None = None
    strategies: tuple[str, ...] | None = None
    most_rounds: int | None = None
    most_parameters: int | None = None
    least_bits: int | None = None
    most_norm: float | None = None

    def __post_init__(self) -> None:
        if self.minimum_parties < LEAST_PARTIES:
            raise Misuse(
                f"minimum_parties is at least {LEAST_PARTIES}", hint="two parties can subtract their own share"
            )
        if self.most_numbers is not None and self.most_numbers < 1:
            raise Misuse("most_numbers is at least 1", hint="leave it out for what the protection allows")
        for name in ("most_rounds", "most_parameters", "least_bits", "most_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:  # no NaN either
                raise Misuse(f"{name} is above 0", hint="leave it out for any; `statistics` without train permits none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a job trains, as far as rules judge it; defaults of the job's strategy are filled in.

    Attributes:
        model: the architecture's name.
        strategy: the strategy's.
        rounds: most rounds of updates.
        parameters: of the model.
        numbers: entries of a party's update; some strategies send more than the model's parameters.
        bits: of an entry as it is summed.
        norm: greatest L2 norm of an update, 0 where none is bounded.
    """

    model: str
    strategy: str
    rounds: int
    parameters: int
    numbers: int
    bits: int
    norm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one jurisdiction judges.

    Attributes:
        job: what the researcher signed.
        own: the judging party's publication of the job's data set.
        joint: the data set that all parties' publications describe.
        me: the judging party's name.
        job_hash: names the job in the verdict.
        training: of a job that trains, and of no other.

    Raises:
        Misuse: a job that trains without what it trains, which no rule could judge.
    """

    job: Job
    own: Dataset
    joint: Dataset
    me: str
    job_hash: bytes = b""
    training: Training | None = None

    def __post_init__(self) -> None:
        trains = any(computation.name == TRAINING for computation in self.job.computations)
        if trains is not (self.training is not None):
            raise Misuse("a request says what its job trains, if it trains")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of the jurisdiction's own, before anything of it is sent.

    Attributes:
        units: how many of its own units are in it.
        share: the greatest part of a sum's absolute contributions that two units hold, from 0 to 1.
    """

    units: int
    share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the guard saw of the jurisdiction's own rows for one round of sums.

    Attributes:
        indicated: per query, the fewest own units that fulfil, or do not fulfil, a condition inside a sum, or two of
            them, in a cell that opens; None for a query without conditions inside sums.
        difference: what the round would add to what the project has opened.
    """

    indicated: tuple[int | None, ...]
    difference: Finding = Finding.NOTHING


class Rule(ABC):
    """One clause of a jurisdiction.

    Attributes:
        name: the file's name, as a refusal names it.
        clause: the clause in words, as a refusal quotes it; no data values.
    """

    name: ClassVar[str]
    clause: ClassVar[str]

    @abstractmethod
    def judge(self, request: Request, settings: Settings) -> Reason | None:
        """Return why the job is refused, or None. Runs before any query exists."""

    def judge_round(self, request: Request, settings: Settings, asked: Round) -> Reason | None:  # noqa: ARG002
        """Return why this round of the job is refused, or None. Runs before any row is touched for it."""
        return None

    def judge_look(self, request: Request, settings: Settings, asked: Round, look: Look) -> Reason | None:  # noqa: ARG002
        """Return why this round is refused, or None, after a look at own rows and before a number leaves."""
        return None

    def withholds(self, request: Request, query: SumQuery, cell: Cell) -> bool:  # noqa: ARG002
        """Return whether the jurisdiction withholds its part of a cell, which then looks like an empty one."""
        return False

    def refused(self, remedy: str) -> Reason:
        """Return the refusal: this rule, its clause, and what would be permitted."""
        return Reason(rule=self.name, clause=self.clause, remedy=remedy)
