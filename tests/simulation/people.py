"""Who takes part in a simulation, what they publish, and the plan that they are asked to run.

Party i answers every query with a power of BASE, so an opened sum tells who was counted how often. The plan asks one
query a round; which ones, its parameters say, so that two jobs can ask the same query.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from clients.jurisdiction.engine import Engine
from federation.analytics.plan import Plan, together
from federation.analytics.replay import Replay
from federation.domain.catalogue import Column, Dataset, Kind, agreed
from federation.domain.job import Computation, Job
from federation.domain.roster import Role, Roster
from federation.identity import keys, roster_file
from federation.identity.keys import Credentials
from federation.jobs import planner
from federation.query.expression import Binary, Col, Const
from federation.query.query import Answer, SumQuery, shape
from federation.query.round import Phase, encoded

PARTIES = ("ada", "bea", "cai", "dov", "eva", "fay", "gus")
COORDINATOR, RESEARCHER = "relay", "ana"
BASE = 100
UNITS = 4  # of every party: more than any k here

replay_of_the_house = planner.replay


@cache
def people() -> dict[str, Credentials]:
    """Everybody's keys, made once."""
    roles = {COORDINATOR: Role.COORDINATOR, RESEARCHER: Role.RESEARCHER} | dict.fromkeys(PARTIES, Role.JURISDICTION)
    return {name: keys.made(name, role) for name, role in roles.items()}


@cache
def roster() -> Roster:
    """The roster that everybody signed."""
    draft = roster_file.convened("gba", [one.member for one in people().values()])
    for one in people().values():
        draft = roster_file.signed(draft, one)
    return roster_file.in_force(draft)


@cache
def dataset(*, support: bool) -> Dataset:
    """One column of whole numbers; with `support` every round of sums has a round of support before it."""
    return Dataset(
        name="data",
        title="Data",
        unit="row",
        k=2 if support else 1,
        own_figures=not support,
        version="1",
        columns=(Column(name="x", kind=Kind.INTEGER, low=0, high=BASE ** len(PARTIES)),),
    )


class Teller(Engine):
    """An engine without rows: it answers every query with its party's power of BASE, and counts its answers."""

    def __init__(self, party: str, own: Dataset) -> None:
        self.party, self.own, self.asked = party, own, 0

    @classmethod
    def open(cls, dataset: Dataset, source: object, *, threads: int | None = None) -> Teller:
        return cls(str(source), dataset)

    @property
    def version(self) -> str:
        return self.own.version

    def sums(self, queries: Sequence[SumQuery], joint: Dataset) -> tuple[Answer, ...]:
        self.asked += 1
        return tuple(answer_of(self.party, query, joint) for query in queries)

    def close(self) -> None:
        return


def answer_of(party: str, query: SumQuery, joint: Dataset) -> Answer:
    """What a party answers: its units, its power of BASE, and nobody left out."""
    row = (UNITS, BASE ** PARTIES.index(party))
    return Answer(table=(row,), counts=(0,) * len(shape(query, joint).counts))


def walk(rounds: int, first: int) -> Plan[None]:
    """Ask `rounds` sums of x, the queries number `first` and on."""
    for place in range(first, first + rounds):
        yield (SumQuery(dataset="data", terms=(Binary("*", Col("x"), Const(1 + place)),)),)


def asking(rounds: int, first: int) -> Computation:
    """The walk as a job names it."""
    return Computation(name="walk", version=1, parameters=(("first", first), ("rounds", rounds)))


def replay(job: Job, joint: Dataset) -> Replay:
    """`planner.replay` that also knows the walk."""
    (one,) = job.computations
    if one.name != "walk":
        return replay_of_the_house(job, joint)
    given = dict(one.parameters)
    rounds, first = given["rounds"], given["first"]
    assert isinstance(rounds, int)
    assert isinstance(first, int)
    return Replay(together([walk(rounds, first)]), joint, parties=job.parties, max_rounds=job.max_rounds)


def query_of(first: int, index: int, *, support: bool) -> tuple[int, Phase]:
    """Which query secure sum `index` of a walk asks: its number, and whether its support or its sums."""
    if not support:
        return first + index, Phase.SUMS
    return first + index // 2, Phase.SUPPORT if index % 2 == 0 else Phase.SUMS


@cache
def expected(counted: tuple[str, ...], rounds: int, first: int, *, support: bool) -> tuple[tuple[int, ...], ...]:
    """The totals of a walk by plain addition of every counted party's vector once: no protocol, no machine."""
    own = dataset(support=support)
    joint = agreed(dict.fromkeys(counted, own))
    found: list[tuple[int, ...]] = []
    plan = Replay(together([walk(rounds, first)]), joint, parties=counted, max_rounds=2 * rounds)
    while (due := plan.round) is not None:
        vectors = [encoded(due, joint, [answer_of(p, q, joint) for q in due.queries], own.k) for p in counted]
        found.append(tuple(map(sum, zip(*vectors, strict=True))))
        plan.feed(found[-1])
    return tuple(found)


def digits(total: int) -> dict[str, int]:
    """How often each party is in a sum of x."""
    return {party: total // BASE**i % BASE for i, party in enumerate(PARTIES)}
