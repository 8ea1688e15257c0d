"""A key that nobody holds: all shares open, fewer open nothing, and what a holder may try has no effect or is seen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import gmpy2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.paillier import threshold
from federation.crypto.paillier.ciphertexts import BadCiphertext
from federation.crypto.paillier.draws import framed, unframed
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.keys import BadKey, OwnerKey, PublicKey
from federation.crypto.paillier.threshold import BadPartial, JointKey, KeyShare, combine, dealt, partials
from federation.errors import Misuse

ENTROPY = bytes(range(32))
SID = b"\x09" * 32


def answered(joint: JointKey, shares: dict[str, KeyShare], given: list[int]) -> dict[str, list[int]]:
    return {name: partials(joint, share, given) for name, share in shares.items()}


def rebuilt(joint: JointKey, ds: list[int], sid: bytes) -> tuple[JointKey, dict[str, KeyShare]]:
    """The key of these shares, as if the session `sid` had made it."""
    public = PublicKey.joint(joint.public.n, sid)
    base, square = threshold.verification_base(public), public.n**2
    vks = tuple(int(threshold.powers([base], d, square)[0]) for d in ds)
    made = replace(joint, public=public, sid=sid, vks=vks)
    pairs = zip(joint.holders, ds, strict=True)
    return made, {name: KeyShare(joint=made.digest, holder=name, d=d) for name, d in pairs}


@given(data=st.data(), holders=st.sampled_from([2, 3, 5]))
def test_all_shares_open_what_was_summed(data: st.DataObject, holders: int) -> None:
    if holders not in KEYS:
        KEYS[holders] = dealt(512, [f"party{place}" for place in range(holders)], ENTROPY)
    joint, shares = KEYS[holders]
    n = joint.public.n
    numbers = st.one_of(st.sampled_from([0, 1, n - 1]), st.integers(0, n - 1))
    parties = data.draw(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=3))
    engine = Engine(joint.public, ENTROPY)
    total = engine.product([engine.encrypt(own) for own in parties])
    opened = combine(joint, total, answered(joint, shares, total))
    assert opened == [sum(column) % n for column in zip(*parties, strict=True)]


KEYS: dict[int, tuple[JointKey, dict[str, KeyShare]]] = {}


def test_at_the_length_that_daemons_use(two_threads: ThreadPoolExecutor) -> None:
    joint, shares = dealt(2048, ["guangdong", "hongkong", "macao"], ENTROPY)
    plaintexts = [0, 2**2000, joint.public.n - 1]
    given_to = Engine(joint.public, ENTROPY).encrypt(plaintexts)
    assert combine(joint, given_to, answered(joint, shares, given_to)) == plaintexts
    assert all(abs(share.d.bit_length() - 4096) < 12 for share in shares.values())


def test_a_missing_holder_blocks_and_his_part_cannot_be_left_out(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    given_to = Engine(joint.public, ENTROPY).encrypt([5])
    answers = answered(joint, shares, given_to)
    for absent in joint.holders:
        present = {name: each for name, each in answers.items() if name != absent}
        with pytest.raises(Misuse, match="every holder"):
            combine(joint, given_to, present)
        with pytest.raises(BadPartial):
            combine(joint, given_to, {**present, absent: [1]})
    with pytest.raises(Misuse):
        combine(joint, given_to, {**answers, "stranger": [1]})
    with pytest.raises(Misuse):
        combine(joint, given_to, {**answers, "macao": []})


def test_shares_of_either_sign_open_alike(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    shift = 3 << 2 * joint.public.bits
    ds = [shares[name].d for name in joint.holders]
    signed, own = rebuilt(joint, [ds[0] + shift, ds[1] - shift, ds[2]], SID)
    assert sorted(share.d < 0 for share in own.values()) == [False, False, True]
    signed.check()
    given_to = Engine(signed.public, ENTROPY).encrypt([0, 12345])
    assert combine(signed, given_to, answered(signed, own, given_to)) == [0, 12345]


@pytest.mark.parametrize("stranger", [0, 1, -5])
def test_no_holder_answers_for_what_is_no_ciphertext(
    stranger: int, joint: JointKey, shares: dict[str, KeyShare]
) -> None:
    n = joint.public.n
    for each in (stranger, n, n**2, n**2 - 1, n**2 + 5, 1 + 5 * n):
        with pytest.raises(BadCiphertext):
            partials(joint, shares["macao"], [each])


def test_a_share_serves_its_own_key_and_holder(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    given_to = Engine(joint.public, ENTROPY).encrypt([5])
    other, _ = dealt(512, joint.holders, bytes(32))
    long = replace(shares["macao"], d=1 << threshold.share_bits(joint.public))
    for share in (replace(shares["macao"], joint=other.digest), replace(shares["macao"], holder="beijing"), long):
        with pytest.raises(Misuse):
            partials(joint, share, given_to)
    with pytest.raises(Misuse):
        joint.vk("beijing")


def test_a_share_does_not_show_its_number(shares: dict[str, KeyShare]) -> None:
    share = shares["macao"]
    assert str(share.d) not in repr(share)
    assert "d=" not in repr(share)


def factored(n: int, phi: int) -> bool:
    """Whether this is phi(n), which gives the factors away."""
    total = n + 1 - phi
    square = total**2 - 4 * n
    return square > 0 and bool(gmpy2.is_square(square)) and n % ((total + gmpy2.isqrt(square)) // 2) == 0


def test_an_opened_plaintext_does_not_give_the_factors_away(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    """Everybody who knows m and the answers computes the exponent modulo n: it must not be phi."""
    owner = OwnerKey.made(512, ENTROPY)
    n, plaintext = owner.public.n, 12345

    def exponent(public: PublicKey, whole: int) -> int:
        ciphertext = Engine(public, ENTROPY).encrypt([plaintext])[0]
        return (pow(ciphertext, 2 * whole, public.n**2) - 1) // public.n * pow(2 * plaintext, -1, public.n) % public.n

    assert factored(n, exponent(owner.public, (owner.p - 1) * (owner.q - 1))), "the planted fault: raw shares of phi"
    found = exponent(joint.public, sum(share.d for share in shares.values()))
    assert found == joint.theta
    assert not factored(joint.public.n, found)


def test_a_changed_sign_changes_nothing(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    """A batched proof does not see it half the time, so it must not matter; what is not squared would be lost."""
    n, square = joint.public.n, joint.public.n**2
    given_to = Engine(joint.public, ENTROPY).encrypt([5, 7])
    answers = answered(joint, shares, given_to)
    answers["macao"][1] = square - answers["macao"][1]
    assert combine(joint, given_to, answers) == [5, 7]
    unsquared = threshold.ciphertexts.product(n, list(answers.values()))
    assert [power % n for power in unsquared] == [1, n - 1], "the planted fault: no squaring"


def test_a_shift_by_a_power_of_one_plus_n_falsifies_and_only_proofs_tell(
    joint: JointKey, shares: dict[str, KeyShare]
) -> None:
    n = joint.public.n
    given_to = Engine(joint.public, ENTROPY).encrypt([5])
    answers = answered(joint, shares, given_to)
    answers["macao"][0] = answers["macao"][0] * pow(1 + n, 2 * joint.theta * 1000, n**2) % n**2
    assert combine(joint, given_to, answers) == [1005]


@pytest.mark.parametrize("spoiled", ["zero", "square", "negative", "any", "other form"])
def test_an_answer_that_is_none_is_seen(spoiled: str, joint: JointKey, shares: dict[str, KeyShare]) -> None:
    given_to = Engine(joint.public, ENTROPY).encrypt([5, 7])
    answers = answered(joint, shares, given_to)
    square, honest = joint.public.n**2, answers["macao"][1]
    strange = {"zero": 0, "square": square, "negative": honest - square, "any": 12345, "other form": honest + square}
    answers["macao"][1] = strange[spoiled]
    with pytest.raises(BadPartial):
        combine(joint, given_to, answers)


def test_answers_come_back_from_their_bytes_and_half_a_one_or_one_out_of_range_does_not(
    joint: JointKey, shares: dict[str, KeyShare]
) -> None:
    answers = partials(joint, shares["macao"], Engine(joint.public, ENTROPY).encrypt([5, 7]))
    square, size = joint.public.n**2, joint.public.bits // 4
    data = b"".join(int(answer).to_bytes(size, "big") for answer in answers)
    assert threshold.answers_from(joint, data) == answers
    assert threshold.answers_from(joint, int(square - 1).to_bytes(size, "big")) == [square - 1]
    for spoiled in (data[:-1], data + b"\0", bytes(size) + data, data + int(square).to_bytes(size, "big")):
        with pytest.raises(BadPartial):
            threshold.answers_from(joint, spoiled)


def test_the_parts_of_a_key_must_fit(joint: JointKey) -> None:
    joint.check()
    n = joint.public.n
    spoiled = {
        "session": replace(joint, sid=SID),
        "short session": replace(joint, sid=b"short"),
        "base": replace(joint, public=replace(joint.public, hs=joint.public.hs * (1 + n) % n**2)),
        "modulus": replace(joint, public=replace(joint.public, n=n + 4)),
        "theta": replace(joint, theta=joint.theta + 1),
        "theta above n": replace(joint, theta=joint.theta + n),
        "no theta": replace(joint, theta=0),
        "wrong vk": replace(joint, vks=(joint.vks[0], joint.vks[1], joint.base)),
        "vk above": replace(joint, vks=(joint.vks[0] + n**2, *joint.vks[1:])),
        "vk left out": replace(joint, vks=joint.vks[:2]),
        "holder twice": replace(joint, holders=("guangdong", "macao", "macao")),
        "holders turned": replace(joint, holders=joint.holders[::-1]),
        "nobody": replace(joint, holders=("", "hongkong", "macao")),
        "alone": replace(joint, holders=("macao",), vks=((1 + 2 * joint.theta * n) % n**2,)),
    }
    for key in spoiled.values():
        with pytest.raises(BadKey):
            key.check()


def test_a_theta_that_shares_a_factor_with_n_is_refused(owner_of: Callable[[int], OwnerKey]) -> None:
    """Nothing could be read under it; only who knows a factor can make one whose verification keys fit."""
    owner = owner_of(512)
    public, square = PublicKey.joint(owner.public.n, SID), owner.public.n**2
    vk = (1 + 2 * owner.p * public.n) * pow(5, -1, square) % square
    with pytest.raises(BadKey, match="theta"):
        JointKey(public=public, theta=owner.p, sid=SID, holders=("a", "b"), vks=(5, vk)).check()


def test_a_wrong_theta_would_have_falsified_every_sum(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    """The planted fault of the check above; and without 1 + n in their base, verification keys say nothing of theta."""
    given_to = Engine(joint.public, ENTROPY).encrypt([6])
    halved = replace(joint, theta=2 * joint.theta % joint.public.n)
    own = {name: replace(share, joint=halved.digest) for name, share in shares.items()}
    assert combine(halved, given_to, answered(halved, own, given_to)) == [3]
    whole = sum(share.d for share in shares.values())
    square = joint.public.n**2
    assert pow(joint.public.hs, 2 * whole, square) == 1
    assert pow(joint.base, whole, square) == (1 + 2 * joint.theta * joint.public.n) % square


def test_daemons_refuse_a_dealt_key_and_a_short_one(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    assert joint.is_dealt
    with pytest.raises(BadKey, match="512 bits"):
        joint.check_production()
    long, of_long = dealt(2048, ["a", "b"], b"\x03" * 32)
    long.check()
    with pytest.raises(BadKey, match="development"):
        long.check_production()
    made, _ = rebuilt(long, [of_long[name].d for name in long.holders], SID)
    assert not made.is_dealt
    made.check_production()


def test_daemons_refuse_a_joint_key_over_a_known_modulus(owner_of: Callable[[int], OwnerKey]) -> None:
    known = JointKey(
        public=PublicKey.joint(owner_of(2048).public.n, SID), theta=1, sid=SID, holders=("a", "b"), vks=(1, 1)
    )
    with pytest.raises(BadKey, match="development"):
        known.check_production()


def test_a_key_comes_back_from_its_bytes_and_every_other_byte_is_another_key_or_none(joint: JointKey) -> None:
    data = joint.to_bytes()
    assert JointKey.of(data) == joint
    assert JointKey.of(data).digest == joint.digest
    refused = 0
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        try:
            other = JointKey.of(bytes(flipped))
        except BadKey:
            refused += 1
        else:
            assert other.digest != joint.digest
            assert (other.public.n, other.theta, other.vks) == (joint.public.n, joint.theta, joint.vks)
    names = sum(map(len, joint.holders))
    assert refused >= len(data) - names - len(joint.sid), "another name and another session make another key"
    for cut in (b"", data[:-1], data + b"\x00", data + bytes(8), data[8:]):
        with pytest.raises(BadKey):
            JointKey.of(cut)


def test_a_modulus_of_a_million_bits_is_refused_before_anything_is_computed_from_it(joint: JointKey) -> None:
    whole = unframed(joint.to_bytes())
    with pytest.raises(BadKey):
        JointKey.of(framed(whole[0], whole[1], b"\xff" * 125_000, *whole[3:]))


def test_a_share_comes_back_from_its_bytes(shares: dict[str, KeyShare]) -> None:
    for share in (*shares.values(), replace(shares["macao"], d=-17), replace(shares["macao"], d=0)):
        assert KeyShare.of(share.to_bytes()) == share
    data = shares["macao"].to_bytes()
    negative_zero = replace(shares["macao"], d=0).to_bytes().replace(b"+", b"-")
    for strange in (b"", data[:-1], data + b"\x00", data.replace(b"+", b"*"), negative_zero, b"\xff" * 60):
        with pytest.raises(Misuse):
            KeyShare.of(strange)


@pytest.mark.parametrize("holders", [[], ["macao"], ["macao", "macao"], ["macao", "macao", "hongkong"]])
def test_no_key_is_dealt_to_one_or_to_somebody_twice(holders: list[str]) -> None:
    with pytest.raises(Misuse):
        dealt(512, holders, ENTROPY)


def test_the_same_entropy_deals_the_same_key_and_any_other_deals_others(joint: JointKey) -> None:
    assert dealt(512, joint.holders[::-1], bytes(31) + b"\x06")[0] == joint
    others = [dealt(512, joint.holders, bytes(32))[0], dealt(512, ["a", "b"], bytes(31) + b"\x06")[0]]
    assert len({key.public.n for key in (joint, *others)}) == 3
