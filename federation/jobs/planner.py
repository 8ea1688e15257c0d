"""From a signed job to the replay of its plans, the same at every party, at the coordinator and at the researcher.

Pure: a job, the joint data set, and nothing else decide what is asked. `preview` tells what would open before anybody
is asked. Refused: a statistic or a version that this house does not have (rule "version"), parameters and predicates
without a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from federation import registry
from federation.analytics.plan import Failure, Plan, together
from federation.analytics.replay import Replay
from federation.analytics.statistic import Statistic, parameters_of
from federation.domain.catalogue import Dataset
from federation.domain.job import Computation, Job
from federation.errors import FederationError, Misuse, Refused, did_you_mean
from federation.jobs import outlook, sums, training
from federation.jobs.course import Course
from federation.jobs.outlook import Outlook
from federation.jobs.questions import Questions
from federation.query import expression, predicate
from federation.query.expression import Expression, Gram
from federation.query.query import MOST_NUMBERS, Argmin, Axis, Bins, Categories, SumQuery, shape
from federation.query.round import Round

FAMILY = "federation.analytics.statistics"
MOST_SPELLED = 10  # products of a matrix that are told one by one
MOST_COMPUTATIONS = 1_000  # of one job: a bound on the work of reading it, not a rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One query of the first round, in words.

    Attributes:
        opens: what is summed in every cell; the first is who is counted.
        per: what the cells are.
        where: the rows, "" for all.
        cells: how many.
        numbers: integers that open: cells x sums, and the counts of rows left out.
        flags: further integers that open: per cell and count, how many parties withhold it.
        own_releases: cells that one party alone could fill, and that open then: its own figure, by its own clause; 0
            without the clause, when such cells stay closed.
    """

    opens: tuple[str, ...]
    per: str
    where: str
    cells: int
    numbers: int
    flags: int
    own_releases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a job would open, to whom, and what protects it; known without any data.

    Attributes:
        openings: the queries of the first round, equal ones of several statistics once.
        failures: (place of the computation in the job, why it fails before anything is asked).
        most_rounds: most secure sums, those of support included; queries after the first depend on what was opened.
        max_rounds: what the job allows.
        seen_by: who sees every number that opens.
        k: least units in a cell of a party's own; it withholds smaller ones.
        own_figures: True where all operators let a cell with fewer than three contributors open.
        own_releases: the same of all openings.
        colluders: c, so that the coordinator and any c parties learn only what opens and what follows from it.
        training: what opens after the first sums of a job that trains; None of one that asks statistics.
    """

    openings: tuple[Opening, ...]
    failures: tuple[tuple[int, Failure], ...]
    most_rounds: int
    max_rounds: int
    seen_by: tuple[str, ...]
    parties: tuple[str, ...]
    k: int
    own_figures: bool
    own_releases: int
    colluders: int
    training: Outlook | None = None

    @property
    def numbers(self) -> int:
        """Integers that the first round of sums opens, without the flags."""
        return sum(opening.numbers for opening in self.openings)


def replay(job: Job, joint: Dataset) -> Replay:
    """Return the job's plans, started, over the joint data set of its publications.

    Raises:
        Refused: rule "version": a statistic, or a version of one, that is not here.
        Misuse: parameters or a predicate without a meaning, or another data set.
        JobFailed: the plans ask, and the job allows no round.
    """
    if job.dataset != joint.name:
        raise Misuse(f"the job reads data set {job.dataset!r}, not {joint.name!r}")
    where = predicate.parse(job.where, joint) if job.where else None
    plans = [_plan(statistic, parameters, where, joint) for statistic, parameters in _members(job)]
    return Replay(together(plans), joint, parties=job.parties, max_rounds=job.max_rounds)


def course(job: Job, joint: Dataset) -> Course:
    """Return the job's sums, one after another, at their beginning.

    Raises:
        Refused, Misuse, JobFailed: as `replay`, or as a training's plan does.
    """
    if training.is_training(job):
        return training.Training(job, joint)
    return Questions(job, joint, replay(job, joint))


def followed(job: Job, joint: Dataset) -> Course:
    """Return the job's sums as a researcher follows them: of a training, without its models. Raises as `course`."""
    if training.is_training(job):
        return training.Followed(job, joint)
    return Questions(job, joint, replay(job, joint))


def rounds(job: Job, joint: Dataset) -> int:
    """Return the most secure sums that the job's plans ask for, rounds of support included. Raises as `course`."""
    if training.is_training(job):
        return training.most_sums(training.plan_of(job, joint), joint)
    most = max(_rounds(statistic, parameters, joint) for statistic, parameters in _members(job))
    return most if joint.own_figures else 2 * most


def most_numbers(job: Job, joint: Dataset) -> int:
    """Return the most numbers, flags included, of one secure sum of the job: the first one's, or a bound on later ones.

    Raises:
        Refused, Misuse, JobFailed: as `replay`.
    """
    if training.is_training(job):
        return MOST_NUMBERS  # more than any joint key carries
    first = replay(job, joint).round
    forms = () if first is None else tuple(shape(query, joint) for query in first.queries)
    later = sum(_later(statistic, parameters, joint) for statistic, parameters in _members(job))
    return max(sum(form.numbers + form.rows for form in forms), later)


def preview(job: Job, joint: Dataset) -> Preview:
    """Return what the job would open. Raises as `course`, and Refused for fewer than three parties."""
    most = rounds(job, joint)
    first, trains = _begun(job, joint)
    queries = () if first is None else first.queries
    openings = tuple(_opening(query, job.where, joint) for query in queries)
    return Preview(
        openings=openings,
        failures=() if trains else _failures(job, joint),
        most_rounds=most,
        max_rounds=job.max_rounds,
        seen_by=(*job.parties, "the coordinator", job.researcher),
        parties=job.parties,
        k=joint.k,
        own_figures=joint.own_figures,
        own_releases=sum(opening.own_releases for opening in openings),
        colluders=sums.promised(job.parties, job.key).colluders,
        training=trains,
    )


def first_round(job: Job, joint: Dataset) -> Round | None:
    """Return the first round of queries of a job, None where it asks nothing. Raises as `course`."""
    return _begun(job, joint)[0]


def _begun(job: Job, joint: Dataset) -> tuple[Round | None, Outlook | None]:
    if training.is_training(job):
        return outlook.begun(job, joint)
    return replay(job, joint).round, None


def _members(job: Job) -> list[tuple[Statistic[Any, Any], Any]]:
    if not 1 <= len(job.computations) <= MOST_COMPUTATIONS:
        raise Misuse(f"a job asks 1 to {MOST_COMPUTATIONS} statistics, this one {len(job.computations)}")
    found = []
    for computation in job.computations:
        statistic = _statistic(computation)
        found.append((statistic, parameters_of(statistic, computation)))
    return found


def _statistic(computation: Computation) -> Statistic[Any, Any]:
    known = registry.names(FAMILY)
    if computation.name not in known:
        raise Refused(
            f"there is no statistic {computation.name!r} here",
            rule="version",
            hint=did_you_mean(computation.name, known),
        )
    member = registry.look_up(FAMILY, Statistic, computation.name)
    if computation.version != member.version:
        raise Refused(
            f"statistic {computation.name!r} is here in version {member.version}, not {computation.version}",
            rule="version",
            hint="all members of a federation run the same version of the software",
        )
    return member()


def _plan(statistic: Statistic[Any, Any], parameters: object, where: Expression | None, joint: Dataset) -> Plan[Any]:
    """The statistic's plan; whatever it raises, it raises when it is advanced, and so fails alone."""
    return (yield from statistic.plan(parameters, where, joint))


def _rounds(statistic: Statistic[Any, Any], parameters: object, joint: Dataset) -> int:
    try:
        return statistic.rounds(parameters, joint)
    except FederationError:
        return 1  # it asks nothing: its plan fails with the same reason, alone


def _later(statistic: Statistic[Any, Any], parameters: object, joint: Dataset) -> int:
    try:
        return statistic.later_numbers(parameters, joint)
    except FederationError:
        return 0  # it asks nothing


def _failures(job: Job, joint: Dataset) -> tuple[tuple[int, Failure], ...]:
    where = predicate.parse(job.where, joint) if job.where else None
    found = []
    for index, (statistic, parameters) in enumerate(_members(job)):
        alone = Replay(together([_plan(statistic, parameters, where, joint)]), joint, parties=job.parties, max_rounds=1)
        if alone.round is None and isinstance(alone.results[0], Failure):
            found.append((index, alone.results[0]))
    return tuple(found)


def _opening(query: SumQuery, where: str, joint: Dataset) -> Opening:
    found = shape(query, joint)
    counted = "count of rows" if query.per is None else f"count of distinct {query.per.column}"
    sums: list[str] = []
    for term in query.terms:
        if isinstance(term, Gram):
            weight = expression.written(term.weight, 40)
            pairs = [(expression.written(x, 40), expression.written(y, 40)) for x, y in term.pairs()]
            if term.clusters:
                sums.append(f"count of distinct {term.clusters}")
                own = f"(sum of {weight} * {{}} per {term.clusters})"
                sums += [f"sum of {own.format(x)} * {own.format(y)}" for x, y in pairs]
            else:
                sums += [f"{weight} * {x} * {y}" for x, y in pairs]
        else:
            sums.append(f"sum of {expression.written(term, 80)}")
    if query.flags_only:
        counted, sums = "nothing but how many parties withhold each cell", []
    return Opening(
        opens=(counted, *sums),
        per=" x ".join(_axis(axis) for axis in query.group_by) or "all rows",
        where=where,
        cells=found.cells,
        numbers=0 if query.flags_only else found.numbers,
        flags=found.rows,
        own_releases=found.cells if joint.own_figures and not query.flags_only else 0,
    )


def _axis(axis: Axis) -> str:
    match axis:
        case Categories(column, level):
            return level or column
        case Bins(of, edges):
            return f"{len(edges) - 1} bins of {expression.written(of, 40)}, and below and above them"
        case Argmin(expressions):
            return f"nearest of {len(expressions)}"
