"""S3, S4: partitions that follow from one another: the steps of k-means, the times of survival models, and two jobs.

Cells of two partitions are subtracted, and solved by least squares. A party that knows only a threshold loses rows;
ours loses none, and its own statistics still run where many rows are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import federation as fed
from clients.researcher.verified import JobRefused
from federation.analytics.plan import Done
from federation.domain.job import Computation, Job, Value
from federation.jobs import planner
from federation.query.expression import Col
from federation.query.query import Argmin, Bins, Categories, SumQuery, shape
from federation.query.round import Phase
from tests.attacks.statistics.victim import K, Threshold, Victim, a_job, category, dataset, number, recovered

PEOPLE = 240
OWN = dataset(number("age", 0, 1_000), number("pay", 0, 100_000), number("days", 1, 120), category("died", "no", "yes"))
Flags = npt.NDArray[np.bool_]


def rows(seed: int = 3) -> pd.DataFrame:
    """Ages in two loose heaps, so that Lloyd's last steps move a few people each."""
    random = np.random.default_rng(seed)
    ages = np.concatenate([random.normal(350, 120, PEOPLE // 2), random.normal(600, 130, PEOPLE // 2)])
    return pd.DataFrame(
        {
            "age": ages.round().astype(int).clip(0, 1_000),
            "pay": random.integers(10_000, 90_000, PEOPLE),
            "days": random.integers(1, 121, PEOPLE),
            "died": random.choice(["no", "yes"], PEOPLE),
        }
    )


def lloyd(ages: npt.NDArray[np.float64], centres: list[float], steps: int) -> list[list[float]]:
    """Return the centres of every step until none moves."""
    found: list[list[float]] = []
    while len(found) < steps and centres not in found:
        found.append(centres)
        nearest = np.abs(ages[:, None] - np.array(centres)).argmin(axis=1)
        centres = [float(ages[nearest == at].mean()) if (nearest == at).any() else c for at, c in enumerate(centres)]
    return found


def by_nearest(centres: Sequence[float]) -> SumQuery:
    axis = Argmin(tuple((Col("age") - centre) ** 2 for centre in centres))
    return SumQuery(dataset="data", group_by=(axis,), terms=(Col("pay"),))


def opened(victim: Victim, queries: Sequence[SumQuery]) -> tuple[list[Flags], list[float]]:
    """Ask one question after the other; return the sets of rows of the cells that opened, and pay over each."""
    sets: list[Flags] = []
    sums: list[float] = []
    for query in queries:
        answer = victim.ask(query)
        (places,) = victim.engine.places((query,), victim.joint)
        for cell in range(shape(query, victim.joint).cells):
            if answer is not None and answer[2 * cell]:
                sets.append(places == cell)
                sums.append(answer[2 * cell + 1])
    return sets, sums


def test_s3_successive_steps_of_lloyd_recover_nobody() -> None:
    """The last steps move one person or two: the difference of two cells is their pay."""
    people = rows()
    ages, pay = people["age"].to_numpy(np.float64), people["pay"].to_numpy(np.float64)
    starts = ([100.0, 200.0], [50.0, 300.0, 350.0], [10.0, 20.0, 900.0])
    questions = [by_nearest(centres) for start in starts for centres in lloyd(ages, start, 20)]
    found = {}
    for victim in (Threshold(people, OWN), Victim(people, OWN)):
        sets, sums = opened(victim, questions)
        found[type(victim)] = len(recovered(sets, sums, pay))
        assert sets, "it answers"
    assert found[Threshold] > 0
    assert found[Victim] == 0


def test_s3_two_steps_that_differ_by_one_person_are_refused() -> None:
    people = rows()
    people["age"] = [*range(300, 300 + PEOPLE // 2), *range(600, 600 + PEOPLE // 2)]
    before, after = by_nearest([300.0, 400.5]), by_nearest([300.0, 402.5])  # 350 belongs to the second, then the first
    naive, ours = Threshold(people, OWN), Victim(people, OWN)
    (_, one), (_, other) = (opened(naive, [each]) for each in (before, after))
    moved = people["pay"][people["age"].isin([351])].sum()
    assert other[0] - one[0] == moved
    assert opened(ours, [before])[0]
    assert ours.ask(after) is None
    assert ours.refusals[-1].rule == "differencing"


# --- statistics as they are asked -------------------------------------------------------------------------------------


def asked(name: str, **parameters: Value) -> Computation:
    return Computation(name=name, version=1, parameters=tuple(sorted(parameters.items())))


def a_job_of(computation: Computation) -> Job:
    return replace(a_job(), computations=(computation,), max_rounds=64)


def run(parties: Sequence[Victim], computation: Computation) -> list[tuple[SumQuery, list[Flags]]] | None:
    """Run a statistic; return the last party's opened cells as sets of its rows, None where it is refused."""
    joint = parties[0].joint
    replay = planner.replay(a_job_of(computation), joint)
    seen: list[tuple[SumQuery, list[Flags]]] = []
    while (due := replay.round) is not None:
        parts = [party.part(due) for party in parties]
        if any(part is None for part in parts):
            return None
        total = [sum(numbers) for numbers in zip(*(part for part in parts if part is not None), strict=True)]
        if due.phase is Phase.SUMS:
            seen += _sets(parties[-1], due.queries, due.closed)
        replay.feed(total)
    (outcome,) = replay.results
    assert isinstance(outcome, Done), outcome
    return seen


def _sets(
    victim: Victim, queries: Sequence[SumQuery], closed: Sequence[Sequence[bool]]
) -> list[tuple[SumQuery, list[Flags]]]:
    found = []
    for query, shut in zip(queries, closed, strict=True):
        (places,) = victim.engine.places((query,), victim.joint)
        cells = [places == cell for cell in range(shape(query, victim.joint).cells) if not shut[cell]]
        found.append((query, [cell for cell in cells if cell.sum() >= K]))
    return found


def people_of(kind: type[Victim], last: pd.DataFrame | None = None) -> list[Victim]:
    """Return three parties; the attacker knows the figures of two, so their rules are of no matter."""
    others = [Threshold(rows(seed), OWN) for seed in (1, 2)]
    return [*others, kind(rows(3) if last is None else last, OWN)]


def lost(parties: Sequence[Victim], *computations: Computation) -> tuple[int, list[bool]]:
    """Return how many people of the last party the jobs recover, and which jobs were answered."""
    sets: list[Flags] = []
    answered = []
    for computation in computations:
        found = run(parties, computation)
        answered.append(found is not None)
        sets += [each for _, cells in found or () for each in cells]
    pay = rows(3)["pay"].to_numpy(np.float64)
    return len(recovered(sets, [float(each @ pay) for each in sets], pay)), answered


def test_kmeans_cuts_rows_once_and_jobs_of_several_seeds_recover_nobody() -> None:
    jobs = [asked("kmeans", columns=("age",), k=k, seed=seed) for seed in range(2) for k in (2, 3)]
    recovered_rows, answered = lost(people_of(Victim), *jobs)
    assert recovered_rows == 0
    assert any(answered), "and it runs"
    alone = run(people_of(Victim), jobs[0])
    assert alone is not None
    assert sum(isinstance(axis, Argmin) for query, _ in alone for axis in query.group_by if not query.flags_only) == 1


def test_kmeans_under_k_finds_the_heaps() -> None:
    frames = {f"p{seed}": rows(seed)[["age", "pay"]] for seed in (1, 2, 3)}
    found = fed.local(frames, k=K, own_figures=False).table("data").kmeans(["age"], k=2)
    assert sorted(centre for (centre,) in found.centers) == pytest.approx([350, 600], abs=25)
    assert found.n == 3 * PEOPLE
    assert found.cells is not None


def cox(edges: Sequence[float]) -> Computation:
    return asked("cox", formula="Surv(days, died == 'yes') ~ age", bins=tuple(edges))


EDGES = (1, 31, 61, 91, 121)


def test_cox_of_two_grids_recovers_nobody() -> None:
    """Edges that move by a day: the difference of two bins is who died that day, and the sums of their columns."""
    jobs = [cox((EDGES[0], *(edge + day for edge in EDGES[1:4]), EDGES[4])) for day in range(6)]
    of_threshold, all_answered = lost(people_of(Threshold), *jobs)
    of_ours, answered = lost(people_of(Victim), *jobs)
    assert of_threshold > 0
    assert all(all_answered)
    assert of_ours == 0
    assert answered[0], "the first one runs"
    assert not all(answered)


def test_steps_of_cox_open_the_same_sets_again() -> None:
    """Risk sets are sums of the same bins in every step: no step adds an independent set."""
    found = run(people_of(Victim), cox(EDGES))
    assert found is not None
    steps = [cells for query, cells in found if any(isinstance(axis, Bins) for axis in query.group_by)]
    assert len(steps) > 3
    one = np.array(steps[0], dtype=np.float64)
    for cells in steps[1:]:
        assert np.linalg.matrix_rank(np.vstack([one, np.array(cells, dtype=np.float64)])) == np.linalg.matrix_rank(one)


def test_cox_beside_a_withheld_bin_is_refused_where_the_total_would_tell_it() -> None:
    """All but three of a party die or leave before day 91; sums over everybody, less the bins, are those three."""
    found = {}
    for kind in (Threshold, Victim):
        late = rows(3)
        late["days"] = late["days"].clip(1, 90)
        late.loc[:2, "days"] = 100
        late.loc[:2, "died"] = "yes"
        found[kind] = run(people_of(kind, late), cox(EDGES))
    naive = found[Threshold]
    assert naive is not None
    everybody = next(cells for query, cells in naive if not query.group_by)[0]
    bins = next(cells for query, cells in naive if query.group_by)
    assert np.flatnonzero(everybody & ~np.any(bins, axis=0)).tolist() == [0, 1, 2]
    assert found[Victim] is None


def test_a_partition_and_the_same_with_two_cells_joined_open_nothing_new() -> None:
    """Nested by whole cells: a coarser one is a sum of what is open."""
    people = rows()
    ours = Victim(people, OWN)
    fine = SumQuery(dataset="data", group_by=(Bins(Col("age"), (0, 350, 500, 1_000)),), terms=(Col("pay"),))
    coarse = SumQuery(dataset="data", group_by=(Bins(Col("age"), (0, 500, 1_000)),), terms=(Col("pay"),))
    assert ours.ask(fine) is not None
    assert ours.ask(coarse) is not None
    assert ours.ask(SumQuery(dataset="data", group_by=(Categories("died"),), terms=(Col("pay"),))) is not None


def test_lloyd_in_the_plan_of_k_1_would_be_refused_under_k(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: where steps are asked as without k, the rule ends the job."""
    from federation.analytics.statistics import kmeans

    frames = {f"p{seed}": rows(seed)[["age", "pay"]] for seed in (1, 2, 3)}
    table = fed.local(frames, k=K, own_figures=False).table("data")

    def steps(self, parameters, where, joint):  # type: ignore[no-untyped-def]
        return (yield from plan(self, parameters, where, replace(joint, k=1)))

    plan = kmeans.Kmeans.plan
    monkeypatch.setattr(kmeans.Kmeans, "plan", steps)
    with pytest.raises(JobRefused) as refusal:
        table.kmeans(["age"], k=3, starts=((10.0,), (20.0,), (30.0,)))
    assert refusal.value.blames[0].rule == "differencing"
