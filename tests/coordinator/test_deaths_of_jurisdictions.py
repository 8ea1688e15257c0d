"""kill -9 of a jurisdiction at every boundary and in every write, and a start over the same vault.

The job ends with the exact total, and what was said is said again byte for byte: never a second head for a round.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clients.jurisdiction.driver import ENDED
from clients.jurisdiction.run import Run
from clients.jurisdiction.sums import secrets_of
from federation.domain.job import Computation, State
from federation.protocols.masked_sum.messages import Advert, Head
from tests.coordinator.stage import PARTIES, Stage, TornVault, assert_exact, begun, boundaries, disturbed

SHORT, LONG = (1, True), (2, False)  # k and own figures: one secure sum, or a round of support before it
THREE = PARTIES[:3]


def killed_and_back(party: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.kill(party)
        stage.attend(party)

    return act


@pytest.mark.parametrize("party", THREE)
def test_a_jurisdiction_may_die_at_every_boundary(party: str) -> None:
    for at in range(boundaries(*SHORT)):
        stage = Stage(k=1, own_figures=True)
        act = killed_and_back(party) if at % 2 else lambda stage: stage.kill(party)
        job, job_hash = disturbed(stage, at, act)
        assert_exact(stage, job, job_hash)


def test_all_jurisdictions_may_die_together_at_every_boundary_between_support_and_sums() -> None:
    for at in range(0, boundaries(*LONG), 2):
        stage = Stage()
        job, job_hash = disturbed(stage, at, lambda stage: [stage.kill(party) for party in THREE] and None)
        assert_exact(stage, job, job_hash)


def test_a_jurisdiction_may_die_in_the_middle_of_every_write() -> None:
    deaths = 0
    for party in THREE:
        for at in range(60):
            vault = TornVault()
            vault.dies_at = at
            stage = Stage(k=1, own_figures=True, vaults={party: vault})
            job, job_hash = begun(stage)
            stage.settle()
            stage.come_back()
            assert_exact(stage, job, job_hash)
            if vault.dies_at != -1:  # it lived through the whole job
                break
            deaths += 1
    assert deaths >= 3 * 10, "a job takes each party at least ten writes"


def test_a_secret_that_is_not_sealed_before_its_key_leaves_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the entropy of a round is not in the vault, so a restart draws another key for it."""
    plain = TornVault.append_many

    def forgetful(self: TornVault, stream: bytes, events: list[tuple[str, bytes]]) -> int:
        return plain(self, stream, [event for event in events if event[0] not in ("begin", "delivered", "vector")])

    def begins_again(self: Run) -> None:
        self.begin()

    monkeypatch.setattr(TornVault, "append_many", forgetful)
    monkeypatch.setattr(Run, "restore", begins_again)
    seen = {State.RELEASED: 0, "two keys": 0}
    for at in range(boundaries(*SHORT)):
        stage = Stage(k=1, own_figures=True)
        _, job_hash = disturbed(stage, at, killed_and_back("hongkong"))
        seen["two keys"] += bool(stage.stories()[Advert.domain])
        seen[State.RELEASED] += stage.state(job_hash) is State.RELEASED
    assert seen["two keys"] >= 3
    assert seen[State.RELEASED] < boundaries(*SHORT), "the aggregator refuses the second key"


def test_a_vector_that_is_made_again_with_other_masks_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the key is remembered, but the vector is encoded again after a restart, from changed rows."""
    plain = TornVault.read

    def without_the_vector(self: TornVault, stream: bytes) -> list[tuple[str, bytes]]:
        events = plain(self, stream)
        kinds = [kind for kind, _ in events]
        if "vector" not in kinds:
            return events
        self._streams[stream] = events[: kinds.index("vector") - 1]  # the bundle that asks for it comes again
        return plain(self, stream)

    monkeypatch.setattr(TornVault, "read", without_the_vector)
    stories = 0
    for at in range(boundaries(*SHORT)):
        stage = Stage(k=1, own_figures=True)

        def act(stage: Stage) -> None:
            stage.engines["hongkong"].columns["x"][3] += 7
            stage.kill("hongkong")

        disturbed(stage, at, act)
        stories += bool(stage.stories()[Head.domain])
    assert stories >= 3


def test_rows_that_change_under_a_job_do_not_change_what_was_sent() -> None:
    """The same as above without the fault: the sealed vector is sent again, whatever the rows say now."""
    for at in range(boundaries(*SHORT)):
        stage = Stage(k=1, own_figures=True)

        def act(stage: Stage) -> None:
            stage.engines["hongkong"].columns["x"][3] += 7
            stage.kill("hongkong")

        disturbed(stage, at, act)
        assert not stage.stories()
        assert not stage.violations


def test_secrets_are_gone_once_a_job_has_ended() -> None:
    stage = Stage()
    _, job_hash = begun(stage)
    stage.settle()
    for party in THREE:
        vault = stage.vaults[party]
        assert isinstance(vault, TornVault)
        assert not vault._streams, "no entropy, no vector, no offer of a job that ended"
        assert vault.get(b"open jobs") == b""
        kept = {b"open jobs", b"federation/answers", ENDED + job_hash}
        assert set(vault._records) >= kept
        assert len(vault._records) == len(kept) + 2, "over which set a query was opened, for ever: support, sums"
        assert vault.read(secrets_of(job_hash, 0, 0)) == []


def test_the_vectors_of_all_parties_are_never_sealed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred parties' vectors of a million numbers are more than one record may hold, and needed by nobody."""
    sealed: list[int] = []
    plain = TornVault.append_many

    def measured(self: TornVault, stream: bytes, events: list[tuple[str, bytes]]) -> int:
        sealed.extend(len(payload) for _, payload in events)
        return plain(self, stream, events)

    monkeypatch.setattr(TornVault, "append_many", measured)
    wide = Computation(
        name="histogram", version=1, parameters=(("bins", 2000), ("column", "x"), ("high", 1_000_000), ("low", 0))
    )
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    _, job_hash = begun(stage, stage.job(wide))
    stage.settle()
    vector = len(stage.coordinator.released(job_hash, "ana")[0][0].total)
    assert vector > 50_000
    assert vector <= max(sealed) < 2 * vector, "one's own vector and the total, no bundle"


def test_secrets_of_a_closed_round_are_gone_while_the_job_goes_on() -> None:
    stage = Stage()
    _, job_hash = begun(stage)
    while stage.coordinator.update(job_hash, "ana").round_index < 1:
        stage.deliver(*stage.pending()[0])
    assert stage.state(job_hash) is State.RUNNING
    while ends := [end for end in stage.pending() if end == ("out", "macao")]:
        stage.deliver(*ends[0])
    assert stage.vaults["macao"].read(secrets_of(job_hash, 0, 0)) == []
    assert stage.vaults["macao"].read(secrets_of(job_hash, 1, 0)) != []
