"""What an auditor finds: the figures of an honest sum follow, and of every change the step that breaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from random import Random

import pytest

from federation.errors import Misuse, ProtocolViolation
from federation.protocols.events import Parcel, Received, Release
from federation.protocols.paillier_sum import auditing, checks
from federation.protocols.paillier_sum.messages import Cipher
from federation.protocols.setup import Spec
from tests.protocols.cohort import COORDINATOR, names
from tests.protocols.paillier_sum.holders import Holders, key_of, plain, told

VECTORS = {p: [place, -(7**place), 1 << 40] for place, p in enumerate(names(3))}


@dataclass(frozen=True)
class Kept:
    """What parties keep of a sum, and give to an auditor."""

    spec: Spec
    joint: bytes
    ciphers: tuple[Parcel, ...]
    partials: tuple[Parcel, ...]
    total: bytes

    def audit(self) -> Release:
        """Look at everything."""
        return auditing.audited(self.spec, self.joint, self.ciphers, self.partials, self.total, COORDINATOR)


@cache
def kept() -> Kept:
    holders = Holders(3, 3, value_bits=64)
    partials = holders.partials(VECTORS)
    said = [event.parcel for event in holders.aggregator.events if isinstance(event, Received)]
    ciphers = tuple(parcel for parcel in said if isinstance(parcel.message.value, Cipher))
    return Kept(holders.spec, holders.joint.to_bytes(), ciphers, partials, holders.aggregator.released[0].total)


def test_the_figures_of_an_honest_sum_follow_from_what_was_kept() -> None:
    found = kept().audit()
    assert found.numbers == plain(VECTORS)
    assert found.parties == names(3)
    for turned in (kept().ciphers[::-1], kept().ciphers[1:] + kept().ciphers[:1]):
        assert replace(kept(), ciphers=turned, partials=kept().partials[::-1]).audit() == found


def broken(changed: Kept) -> tuple[str, str]:
    """Whom an audit names, and for which step."""
    with pytest.raises(ProtocolViolation) as caught:
        changed.audit()
    return caught.value.party, caught.value.phase


def flipped(parcel: Parcel, at: int) -> Parcel:
    """The parcel with another bit behind its signed root."""
    data = bytearray(parcel.chunks[0])
    data[at] ^= 1
    return replace(parcel, chunks=(bytes(data),))


def test_every_change_breaks_its_own_step() -> None:
    whole = kept()
    (first, *others), (answer, *answers) = whole.ciphers, whole.partials
    steps = {
        "another ciphertext": (replace(whole, ciphers=(flipped(first, 5), *others)), (COORDINATOR, "cipher")),
        "another proof": (replace(whole, ciphers=(told(first, proof=b"proof"), *others)), ("p0", "cipher")),
        "no cipher of p0": (replace(whole, ciphers=tuple(others)), (COORDINATOR, "ciphers")),
        "a cipher twice": (replace(whole, ciphers=(first, first, *others)), (COORDINATOR, "ciphers")),
        "an answer as a cipher": (replace(whole, ciphers=(answer, *others)), (COORDINATOR, "cipher")),
        "another spec": (replace(whole, spec=replace(whole.spec, value_bits=63)), (COORDINATOR, "cipher")),
        "another number": (replace(whole, ciphers=(told(first, number=4), *others)), (COORDINATOR, "partial")),
        "another answer": (replace(whole, partials=(flipped(answer, 5), *answers)), (COORDINATOR, "partial")),
        "no answer of p0": (replace(whole, partials=tuple(answers)), (COORDINATOR, "partials")),
        "an answer twice": (replace(whole, partials=(answer, answer, *answers)), (COORDINATOR, "partials")),
        "a proof of p1": (
            replace(whole, partials=(told(answer, proof=answers[0].message.value.proof), *answers)),  # type: ignore[attr-defined]
            ("p0", "partial"),
        ),
        "other figures": (replace(whole, total=bytes(len(whole.total))), (COORDINATOR, "total")),
        "figures that go on": (replace(whole, total=whole.total + b"\0"), (COORDINATOR, "total")),
    }
    for name, (changed, want) in steps.items():
        assert broken(changed) == want, name


def test_no_byte_behind_the_signatures_can_be_changed() -> None:
    whole, draw = kept(), Random(7)
    for _ in range(200):
        ciphers, partials, total = list(whole.ciphers), list(whole.partials), bytearray(whole.total)
        match draw.randrange(3):
            case 0:
                place = draw.randrange(3)
                ciphers[place] = flipped(ciphers[place], draw.randrange(len(ciphers[place].chunks[0])))
            case 1:
                place = draw.randrange(3)
                partials[place] = flipped(partials[place], draw.randrange(len(partials[place].chunks[0])))
            case _:
                total[draw.randrange(len(total))] ^= 1 << draw.randrange(8)
        broken(replace(whole, ciphers=tuple(ciphers), partials=tuple(partials), total=bytes(total)))


@pytest.mark.parametrize("joint", [b"", key_of(3, salt="other")[0].to_bytes(), key_of(4)[0].to_bytes()], ids=str)
def test_an_audit_is_under_the_setup_s_key_or_none(joint: bytes) -> None:
    with pytest.raises(Misuse, match="joint key"):
        replace(kept(), joint=joint).audit()


def test_right_answers_that_open_to_no_sum_are_never_released(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = auditing.collected(kept().spec, kept().joint, kept().ciphers, COORDINATOR)
    monkeypatch.setattr(checks, "unproved", lambda *_: None)
    monkeypatch.setattr("federation.crypto.paillier.threshold.combine", lambda *_: [1 << 500])
    with pytest.raises(ProtocolViolation, match="a number in a slot that nobody fills") as caught:
        auditing.opened(sums, kept().partials, COORDINATOR)
    assert caught.value.phase == "total"


def test_the_planted_fault_of_an_audit_on_trust_lets_figures_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "opened", lambda *_: Release.of(bytes(48), names(3)))
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test_every_change_breaks_its_own_step()
