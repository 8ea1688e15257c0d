"""Jobs under a joint key between real drivers: deaths, losses, refusals; nobody may be missing, nothing opens twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from clients.jurisdiction.joint_keys import JointKeys
from federation.domain.job import Computation, State
from federation.errors import Misuse, ProtocolViolation, Refused
from federation.protocols.paillier_sum import party as machine
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS
from tests.coordinator.stage import DEADLINE_MS, NOW_MS, PARTIES, Stage, assert_exact, begun, dealt_to, disturbed

THREE = PARTIES[:3]
SHORT: dict[str, Any] = {"k": 1, "own_figures": True, "keyed": True}  # one secure sum


@cache
def boundaries() -> int:
    stage = Stage(**SHORT)
    job, job_hash = begun(stage)
    start = stage.delivered
    stage.settle()
    assert_exact(stage, job, job_hash)
    return stage.delivered - start


def test_a_round_of_support_and_a_round_of_sums_come_to_the_exact_total() -> None:
    stage = Stage(keyed=True)
    job, job_hash = begun(stage)
    stage.settle()
    assert_exact(stage, job, job_hash)
    assert len(stage.totals(job_hash)) == 2


@pytest.mark.parametrize("party", THREE)
def test_a_jurisdiction_may_die_at_every_boundary(party: str) -> None:
    """Its ciphertexts and its answers are the same bytes again: nothing is drawn twice."""
    for at in range(boundaries()):
        stage = Stage(**SHORT)
        job, job_hash = disturbed(stage, at, lambda stage: stage.kill(party))
        assert_exact(stage, job, job_hash)


def test_the_coordinator_may_die_at_every_boundary() -> None:
    for at in range(boundaries()):
        stage = Stage(**SHORT)
        job, job_hash = disturbed(stage, at, lambda stage: stage.kill_coordinator())
        assert_exact(stage, job, job_hash)


def test_a_machine_that_draws_again_after_a_restart_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: what blinds is not drawn from the sealed entropy, so a restart sends other ciphertexts."""
    drawn = iter(range(10**6))
    plain = machine.Terms.secret

    def fresh(self: Any, entropy: bytes, what: str) -> bytes:
        return plain(self, entropy, f"{what}{next(drawn)}")

    monkeypatch.setattr(machine.Terms, "secret", fresh)
    noticed = 0
    for at in range(boundaries()):
        stage = Stage(**SHORT)
        try:
            disturbed(stage, at, lambda stage: stage.kill("hongkong"))
        except ProtocolViolation as fault:  # its own ciphertexts are no longer those that it sealed a bundle of
            assert "my own ciphertexts unchanged" in fault.message
            noticed += 1
        else:
            noticed += bool(stage.stories()[Cipher.domain])
    assert noticed >= 5


def silent(party: str, domain: str) -> Callable[[str, str, m.Frame], Sequence[m.Frame]]:
    """A line that loses what one party says under one domain."""

    def link(way: str, of: str, frame: m.Frame) -> Sequence[m.Frame]:
        return () if (way, of, frame.signed.domain) == ("in", party, domain) else (frame,)

    return link


@pytest.mark.parametrize("domain", [Ready.domain, Cipher.domain, Partial.domain])
def test_whoever_is_silent_is_waited_for_until_the_deadline_and_named(domain: str) -> None:
    stage = Stage(**SHORT, link=silent("macao", domain))
    _, job_hash = begun(stage)
    stage.settle()
    stage.wait(DEADLINE_MS - 1)
    assert stage.state(job_hash) is State.RUNNING, "patience for the lost is for sums that go on without them"
    stage.expire()
    stage.settle()
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {("macao", "unavailable")}
    (blame,) = stage.coordinator.update(job_hash, "ana").blames
    assert "masks" in blame.hint
    assert "ask its operator" in blame.hint
    assert not stage.violations
    assert not [one for one in stage.sent if one[1] == "federation/withdrawal/v1"], "nothing is opened over another set"


def test_whoever_comes_back_before_the_deadline_is_counted() -> None:
    stage = Stage(**SHORT, link=silent("macao", Partial.domain))
    job, job_hash = begun(stage)
    stage.settle()
    stage.link = lambda _way, _party, frame: (frame,)
    stage.kill("macao")
    stage.attend("macao")
    stage.settle()
    assert_exact(stage, job, job_hash)


def refused_with(stage: Stage, job_hash: bytes) -> dict[str, str]:
    """Party -> the rule that it refuses by."""
    assert stage.state(job_hash) is State.REFUSED
    return {blame.party: blame.rule for blame in stage.coordinator.update(job_hash, "ana").blames}


def test_a_party_without_a_share_refuses() -> None:
    stage = Stage(**SHORT)
    stage.attend()
    stage.settle()
    JointKeys(stage.vaults["macao"]).erase_expired(NOW_MS + EPOCH_MS)
    stage.kill("macao")
    _, job_hash = begun(stage)
    stage.settle()
    assert refused_with(stage, job_hash) == {"macao": "protection/key"}


def test_a_party_that_is_no_test_refuses_a_development_key() -> None:
    stage = Stage(**SHORT, strict=THREE)
    _, job_hash = begun(stage)
    stage.settle()
    assert refused_with(stage, job_hash) == dict.fromkeys(THREE, "protection/development-key")


def test_a_job_that_outlasts_the_key_is_refused() -> None:
    stage = Stage(**SHORT)
    stage.attend()
    stage.settle()
    stage.now_ms = NOW_MS + EPOCH_MS - 10
    _, job_hash = begun(stage, stage.job(deadline_ms=NOW_MS + EPOCH_MS))
    stage.settle()
    assert refused_with(stage, job_hash) == dict.fromkeys(THREE, "protection/expired")


def test_a_share_is_erased_when_time_passes_its_epoch() -> None:
    stage = Stage(**SHORT)
    stage.jurisdictions["macao"].tick(NOW_MS + EPOCH_MS - 2)
    assert JointKeys(stage.vaults["macao"]).all()
    stage.jurisdictions["macao"].tick(NOW_MS + EPOCH_MS)
    assert not JointKeys(stage.vaults["macao"]).all()


WIDE = Computation(
    name="histogram", version=1, parameters=(("bins", 2_100), ("column", "x"), ("high", 1_000_000), ("low", 0))
)


def test_a_job_with_too_many_numbers_in_a_sum_is_refused_and_runs_with_masks() -> None:
    stage = Stage(**SHORT)
    stage.attend()
    _, job_hash = begun(stage, stage.job(WIDE))
    stage.settle()
    assert refused_with(stage, job_hash) == dict.fromkeys(THREE, "protection/size")
    _, job_hash = begun(stage, stage.job(WIDE, protection="masked_sum", key=b"", token=b"u" * 16))
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED


def test_the_coordinator_takes_no_job_whose_key_it_does_not_have_or_whose_parties_do_not_hold_it() -> None:
    stage = Stage(**SHORT, names=PARTIES[:4])
    stage.attend()
    with pytest.raises(Misuse, match="a joint key that the coordinator does not have"):
        begun(stage, stage.job(key=b"?" * 32))
    with pytest.raises(Refused, match="are not its parties") as caught:
        begun(stage, stage.job(parties=THREE))
    assert caught.value.rule == "protection/holders"
    with pytest.raises(Refused):
        begun(stage, stage.job(protection="masked_sum"))
    with pytest.raises(Misuse):
        begun(stage, stage.job(key=b""))


def test_a_query_that_was_opened_under_a_key_is_opened_with_masks_over_the_same_parties_only() -> None:
    """Both protocols share the records: the difference of two sets is as telling whatever protected the sums."""
    stage = Stage(**SHORT, names=PARTIES[:4])
    _, first = begun(stage)
    stage.settle()
    assert stage.state(first) is State.RELEASED
    masks: dict[str, Any] = {"protection": "masked_sum", "key": b""}
    _, second = begun(stage, stage.job(**masks, token=b"u" * 16))
    stage.settle()
    assert stage.state(second) is State.RELEASED
    assert stage.totals(first) == stage.totals(second)
    _, third = begun(stage, stage.job(parties=THREE, **masks, token=b"v" * 16))
    stage.settle()
    assert set(refused_with(stage, third).values()) == {"one set per query"}


def test_secrets_are_gone_once_a_job_has_ended_and_the_share_stays() -> None:
    stage = Stage(**SHORT)
    _, _ = begun(stage)
    stage.settle()
    share = dealt_to(THREE)[1]["macao"].to_bytes()
    held = stage.vaults["macao"]._streams  # type: ignore[attr-defined]
    assert [payload == share for events in held.values() for kind, payload in events if kind == "share"] == [True]
    assert {kind for events in held.values() for kind, _ in events} == {"certificate", "share"}


def test_a_share_is_never_sent() -> None:
    stage = Stage(keyed=True)
    _, _ = begun(stage)
    stage.settle()
    secrets = {share.d.to_bytes(200, "big", signed=True).lstrip(b"\x00\xff") for share in dealt_to(THREE)[1].values()}
    sent = b"".join(body for bodies in stage.sent.values() for body in bodies)
    assert not any(secret in sent for secret in secrets)


def test_every_party_is_told_how_a_job_ended_that_a_party_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that does not fit its slot is its owner's refusal, before anything of it is sent."""
    from federation.jobs import sums

    narrow = sums.spec
    monkeypatch.setattr(sums, "spec", lambda *given: replace(narrow(*given), value_bits=3))
    stage = Stage(**SHORT)
    _, job_hash = begun(stage)
    stage.settle()
    assert stage.state(job_hash) is State.ABORTED
    assert {code for _, code in stage.blames(job_hash)} == {"misuse"}
    assert not [one for one in stage.sent if one[1] == Cipher.domain and one[0] == "zhuhai"]
