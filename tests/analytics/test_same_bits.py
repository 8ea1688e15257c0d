"""The same plan on the same totals gives the same bytes on every processor: rounds, transcript and results.

OpenBLAS chooses its kernels by processor, and they differ in the last bits; a plan that used them would fork.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from federation.jobs import planner
from federation.query.round import Round, round_digest
from tests.analytics.parties import GROUPS, ask, dataset, driven, job, joint_of, party

CORES = ("Haswell", "SkylakeX", "Nehalem")


def told(planted: str) -> str:
    """Run a job of every statistic; return a digest of all rounds, the transcript and the results."""
    dice = np.random.Generator(np.random.PCG64(7))
    parties = []
    for size in (400, 300, 200, 30):
        rows = zip(dice.integers(-60, 60, size), dice.choice(GROUPS, size), dice.normal(3, 20, size), strict=True)
        parties.append(party(dataset(k=10, own_figures=False), [(int(a), str(g), float(p)) for a, g, p in rows]))
    asked = [ask("count"), ask("count", by="area")]
    for column in ("age", "pay"):
        asked += [ask(name, column=column, by=by) for name in ("sum", "mean", "var", "std") for by in (None, "area")]
        asked.append(ask("histogram", column=column, bins=7))
        asked += [ask("quantile", column=column, q=(0.1, 0.5), by=by) for by in (None, "area")]
        asked.append(ask("ecdf", column=column, by="area"))
    asked.append(ask("describe"))
    asked.append(ask("ols", formula="pay ~ age*area + age**2", cov_type="HC3"))
    asked.append(ask("glm", formula="I(pay > 3) ~ age + area", family="binomial"))
    asked.append(ask("glm", formula="I(clip(pay, 0, 90) + 1) ~ age", family="gamma"))
    asked += [ask(name, column="pay", by="area") for name in ("skew", "kurtosis")]
    asked += [ask(name, columns=("age", "pay"), by=by) for name in ("cov", "corr") for by in (None, "sex")]
    asked += [ask("gini", column="gain"), ask("auc", score="pay", label="ill"), ask("corr_test", x="age", y="pay")]
    asked += [ask("t_test", column="pay", by="sex"), ask("anova", column="pay", by="area")]
    asked += [ask("chi2", row="area", column="sex"), ask("fisher", row="sex", column="ill")]
    asked += [ask("mantel_haenszel", row="sex", column="ill", by="area"), ask("mann_whitney", column="pay", by="sex")]
    asked += [ask(name, time="gain", event="ill", by="sex", bins=2) for name in ("kaplan_meier", "logrank")]
    asked += [ask("cox", formula="Surv(gain, ill == 'yes') ~ age", bins=3), ask("pca", columns=("age", "pay"))]
    asked += [ask("kmeans", columns=("age", "pay"), k=3, max_iter=6), ask("survey_mean", column="pay", weights="gain")]
    asked += [ask("survey_glm", formula="pay ~ age + I(age**2)", weights="gain", psu="area")]
    joint = joint_of(parties)
    state = hashlib.sha256()

    def watch(asked: Round, numbers: list[int]) -> None:
        state.update(round_digest(asked))
        state.update(repr(numbers).encode())

    replay = driven(
        planner.replay(job(asked, 4, where="pay > -15.5 or age < 0", max_rounds=99), joint), parties, joint, watch
    )
    state.update(replay.transcript)
    state.update(repr(replay.results).encode())
    if planted == "blas":
        matrix = dice.normal(size=(61, 61))
        state.update((matrix @ matrix.T).tobytes())
    if planted == "hash":
        state.update(repr(hash("a text")).encode())
    return state.hexdigest()


def on(core: str, repository: Path, planted: str = "") -> str | None:
    """Return what a fresh process says whose OpenBLAS believes to run on `core`; None if it cannot run here."""
    # `tests` has no __init__.py, so that a distribution that ships a package of this name would be found instead.
    ours = "import sys, types; sys.modules['tests'] = ours = types.ModuleType('tests'); ours.__path__ = ['tests']"
    program = f"{ours}; from tests.analytics.test_same_bits import told; print(told({planted!r}))"
    environment = {**os.environ, "OPENBLAS_CORETYPE": core, "PYTHONHASHSEED": str(CORES.index(core) + 1)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode == -signal.SIGILL:
        return None
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_processor_says_the_same_bytes(repository: Path) -> None:
    said = [found for core in CORES if (found := on(core, repository)) is not None]
    if len(said) < 2:
        pytest.skip("this processor can play only one")
    assert len(set(said)) == 1
    assert len(said[0]) == 64


@pytest.mark.parametrize("planted", ["blas", "hash"])
def test_what_differs_between_processes_is_seen(planted: str, repository: Path) -> None:
    if planted == "blas" and "openblas" not in str(np.show_config(mode="dicts")).lower():
        pytest.skip("numpy here has no OpenBLAS whose kernels could differ")
    old, new = on("Nehalem", repository, planted), on("Haswell", repository, planted)
    if old is None or new is None:
        pytest.skip("this processor can play only one")
    assert old != new
