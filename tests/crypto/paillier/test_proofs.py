"""Who sends a ciphertext knows what is in it, and who answers used his share: honest proofs pass, attacks do not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.crypto.paillier import proofs
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.crypto.paillier.packing import Slots
from federation.crypto.paillier.proofs import (
    BadProof,
    check_partials,
    check_plaintexts,
    prove_partials,
    prove_plaintexts,
    unproved_partials,
)
from federation.crypto.paillier.threshold import JointKey, KeyShare, combine, dealt, partials
from federation.errors import Misuse

ENTROPY, OTHER = bytes(range(32)), bytes(range(1, 33))
MINE, OTHERS, EARLIER = b"macao | this round", b"hongkong | this round", b"macao | an earlier round"


def contribution(public: PublicKey, plaintexts: list[int], context: bytes) -> tuple[list[int], bytes]:
    """Ciphertexts and their proof, as a party sends them."""
    engine = Engine(public, ENTROPY)
    alphas = engine.alphas(plaintexts)
    sent = engine.encrypt(plaintexts, alphas)
    return sent, prove_plaintexts(public, plaintexts, alphas, sent, context, ENTROPY)


def refuses(public: PublicKey, given_to: list[int], context: bytes, proof: bytes) -> bool:
    try:
        check_plaintexts(public, given_to, context, proof)
    except BadProof:
        return True
    return False


@given(data=st.data(), count=st.integers(1, 6), context=st.binary(max_size=40))
def test_who_knows_what_he_encrypted_can_show_it(
    data: st.DataObject, count: int, context: bytes, public: PublicKey
) -> None:
    edges = st.sampled_from([0, 1, public.n - 1])
    plaintexts = data.draw(st.lists(st.one_of(edges, st.integers(0, public.n - 1)), min_size=count, max_size=count))
    sent, proof = contribution(public, plaintexts, context)
    check_plaintexts(public, sent, context, proof)
    assert len(proof) == 259


def test_alphas_of_every_size_are_hidden_alike(public: PublicKey) -> None:
    for alpha in (0, 1, 2**public.alpha_bits - 1):
        sent = Engine(public, ENTROPY).encrypt([5] * 9, [alpha] * 9)
        proof = prove_plaintexts(public, [5] * 9, [alpha] * 9, sent, MINE, ENTROPY)
        check_plaintexts(public, sent, MINE, proof)
        answer = int.from_bytes(proof[192:], "big")
        assert answer.bit_length() > public.alpha_bits + 2 * 128, "the nonce is longer than what it hides"


def test_a_proof_serves_one_context_one_key_and_these_ciphertexts(public: PublicKey) -> None:
    sent, proof = contribution(public, [5, 7], MINE)
    check_plaintexts(public, sent, MINE, proof)
    other = PublicKey.joint(public.n, b"\x01" * 32)
    again = Engine(public, OTHER).encrypt([5, 7])
    assert refuses(public, sent, OTHERS, proof)
    assert refuses(public, sent, EARLIER, proof)
    assert refuses(public, sent, b"", proof)
    assert refuses(other, sent, MINE, proof)
    for others in (sent[::-1], sent[:1], [*sent, sent[0]], [sent[0], sent[0]], again, [sent[0], again[1]], []):
        assert refuses(public, others, MINE, proof)


def test_every_changed_bit_is_seen(public: PublicKey) -> None:
    sent, proof = contribution(public, [5, 7], MINE)
    for place in range(len(proof)):
        flipped = bytearray(proof)
        flipped[place] ^= 1 << place % 8
        assert refuses(public, sent, MINE, bytes(flipped)), place
    for cut in (b"", proof[:-1], proof + b"\x00", bytes(len(proof)), b"\xff" * len(proof)):
        assert refuses(public, sent, MINE, cut)


def test_an_answer_in_another_form_is_refused(public: PublicKey) -> None:
    """The same residue plus n would pass the equation: one proof has one form."""
    sent, proof = contribution(public, [5], MINE)
    plain = int.from_bytes(proof[128:192], "big")
    if plain + public.n < 1 << 512:
        assert refuses(public, sent, MINE, proof[:128] + (plain + public.n).to_bytes(64, "big") + proof[192:])
    assert refuses(public, sent, MINE, proof[:192] + b"\xff" * (len(proof) - 192))
    assert refuses(public, sent, MINE, bytes(128) + proof[128:])


def test_a_nonce_that_is_longer_than_nonces_are_is_refused(public: PublicKey, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Engine(public, ENTROPY).encrypt([5], [99])
    with monkeypatch.context() as planted:
        planted.setattr(proofs, "_nonce_bits", lambda public: 535)
        long = prove_plaintexts(public, [5], [99], sent, MINE, ENTROPY)
        check_plaintexts(public, sent, MINE, long)
    assert refuses(public, sent, MINE, long)


def test_a_commitment_in_another_form_is_refused(public: PublicKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever proves may add n^2 before he hashes; then one statement would have two proofs from one nonce."""
    square = public.n**2
    sent = Engine(public, ENTROPY).encrypt([5], [99])
    nonce = next(nonce for nonce in range(1, 99) if pow(public.hs, nonce, square) + square < 1 << 1024)
    commitment = (pow(public.hs, nonce, square) + square).to_bytes(128, "big")
    challenge = proofs._challenges(1, proofs._KNOWN, proofs._statement(public, sent, MINE), commitment)[0]
    plain, blind = int(5 * challenge % public.n), int(nonce + 99 * challenge)
    proof = commitment + plain.to_bytes(64, "big") + blind.to_bytes(67, "big")
    assert refuses(public, sent, MINE, proof)
    monkeypatch.setattr(proofs, "_refuse_other_numbers", lambda public, numbers: None)
    check_plaintexts(public, sent, MINE, proof)


def replayed(victim: int, public: PublicKey, shift: int) -> int:
    """What a corrupt party makes of a victim's ciphertext: its slots moved up, under a new blinding."""
    nothing = Engine(public, OTHER).encrypt([0])[0]
    return pow(victim, 1 << shift, public.n**2) * nothing % public.n**2


@pytest.mark.parametrize("context_of_the_victim", [OTHERS, b"hongkong | an earlier round"], ids=["same", "earlier"])
def test_a_malleated_ciphertext_is_refused_and_would_have_shown_the_victim_alone(
    context_of_the_victim: bytes, owner: OwnerKey
) -> None:
    public = owner.public
    slots = Slots.fitting(value_bits=32, terms=3, modulus_bits=512)
    of_victim, proof_of_victim = contribution(public, slots.pack([123456789]), context_of_the_victim)
    forged = [replayed(of_victim[0], public, 8 * slots.slot_bytes * 5)]
    honest, _ = contribution(public, slots.pack([1000]), b"guangdong | this round")
    total = Engine(public, ENTROPY).product([honest, of_victim, forged])
    opened = owner.decrypt(total)[0]
    shown = opened >> 8 * slots.slot_bytes * 5
    assert shown - slots.offset == 123456789, "the planted fault: nobody asks for a proof"

    assert refuses(public, forged, MINE, proof_of_victim), "the victim's proof"
    assert refuses(public, of_victim, MINE, proof_of_victim), "the very ciphertext and proof in another name"
    for plaintexts, alphas in (([0], [0]), (slots.pack([123456789]), [5])):
        guessed = prove_plaintexts(public, plaintexts, alphas, forged, MINE, ENTROPY)
        assert refuses(public, forged, MINE, guessed), "a proof of something else"
    own, own_proof = contribution(public, slots.pack([7]), MINE)
    assert refuses(public, forged, MINE, own_proof)
    assert refuses(public, [*own, *forged], MINE, own_proof)


@pytest.mark.parametrize("factor", [2, 3, 100])
def test_a_coordinator_that_multiplies_a_ciphertext_is_seen(factor: int, owner: OwnerKey) -> None:
    """E(5) becomes E(500) for everybody who has it; the proof of the party that made it does not follow."""
    public = owner.public
    sent, proof = contribution(public, [5], MINE)
    scaled = [pow(sent[0], factor, public.n**2)]
    assert owner.decrypt(scaled) == [5 * factor]
    assert refuses(public, scaled, MINE, proof)
    added = Engine(public, OTHER).add(sent, Engine(public, OTHER).encrypt([1]))
    assert refuses(public, added, MINE, proof)


def test_entropy_that_serves_twice_gives_other_nonces(public: PublicKey) -> None:
    """Two answers under one nonce give the secrets away; nonces depend on all that is proved."""
    first = contribution(public, [5], MINE)[1]
    assert contribution(public, [5], MINE)[1] == first
    assert contribution(public, [5], EARLIER)[1][:128] != first[:128]
    assert contribution(public, [6], MINE)[1][:128] != first[:128]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_not_one_secret_for_each_ciphertext_is_misuse(count: int, public: PublicKey) -> None:
    sent, _ = contribution(public, [5, 7], MINE)
    with pytest.raises(Misuse):
        prove_plaintexts(public, [5] * count, [1] * count, sent, MINE, ENTROPY)
    with pytest.raises(Misuse):
        prove_plaintexts(public, [5, 7], [1] * count, sent, MINE, ENTROPY)
    with pytest.raises(Misuse):
        prove_plaintexts(public, [], [], [], MINE, ENTROPY)


# ------------------------------------------------------------------------------------------------------- decryption


@pytest.fixture(scope="module")
def opening(joint: JointKey, shares: dict[str, KeyShare]) -> tuple[list[int], list[int], bytes]:
    """Ciphertexts, one holder's answers, his proof."""
    given_to = Engine(joint.public, ENTROPY).encrypt([5, 7, 2**300])
    answers = partials(joint, shares["macao"], given_to)
    return given_to, answers, prove_partials(joint, shares["macao"], given_to, answers, MINE, ENTROPY)


def denies(
    joint: JointKey, given_to: list[int], answers: list[int], proof: bytes, holder: str = "macao", context: bytes = MINE
) -> bool:
    try:
        check_partials(joint, holder, given_to, answers, context, proof)
    except BadProof:
        return True
    return False


def test_every_holder_can_show_that_he_used_his_share(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    for count in (1, 2, 9):
        given_to = Engine(joint.public, ENTROPY).encrypt(list(range(count)))
        for name, share in shares.items():
            answers = partials(joint, share, given_to)
            proof = prove_partials(joint, share, given_to, answers, MINE, ENTROPY)
            check_partials(joint, name, given_to, answers, MINE, proof)
            assert len(proof) == 418


def test_at_the_length_that_daemons_use() -> None:
    joint, shares = dealt(2048, ["guangdong", "hongkong", "macao"], ENTROPY)
    given_to = Engine(joint.public, ENTROPY).encrypt([5, 7])
    answers = partials(joint, shares["macao"], given_to)
    proof = prove_partials(joint, shares["macao"], given_to, answers, MINE, ENTROPY)
    check_partials(joint, "macao", given_to, answers, MINE, proof)
    sent, known = contribution(joint.public, [5, 7], MINE)
    check_plaintexts(joint.public, sent, MINE, known)


def test_a_share_below_zero_is_proved_as_well(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    square, shift = joint.public.n**2, 3 << 2 * joint.public.bits
    d = shares["macao"].d - shift
    vk = pow(joint.base, d, square)
    other = joint.vks[0] * pow(joint.base, shift, square) % square
    moved = replace(joint, vks=(other, joint.vks[1], vk))
    moved.check()
    share = replace(shares["macao"], joint=moved.digest, d=d)
    given_to = Engine(joint.public, ENTROPY).encrypt([5])
    answers = partials(moved, share, given_to)
    proof = prove_partials(moved, share, given_to, answers, MINE, ENTROPY)
    check_partials(moved, "macao", given_to, answers, MINE, proof)


def test_a_proof_serves_one_context_holder_key_and_these_answers(
    joint: JointKey, opening: tuple[list[int], list[int], bytes]
) -> None:
    given_to, answers, proof = opening
    assert not denies(joint, given_to, answers, proof)
    assert denies(joint, given_to, answers, proof, context=EARLIER)
    assert denies(joint, given_to, answers, proof, holder="hongkong")
    assert denies(replace(joint, theta=joint.theta + 1), given_to, answers, proof)
    assert denies(replace(joint, vks=(*joint.vks[:2], joint.vks[0])), given_to, answers, proof), "a wrong vk"
    others = Engine(joint.public, OTHER).encrypt([5, 7, 2**300])
    for strange in (others, given_to[::-1], given_to[:2], [*given_to[:2], others[2]]):
        assert denies(joint, strange, answers, proof)
    for strange in (answers[::-1], answers[:2], [*answers[:2], answers[0]], [0, *answers[1:]], [-1, *answers[1:]]):
        assert denies(joint, given_to, strange, proof)
    assert denies(joint, [], [], proof)
    with pytest.raises(Misuse):
        check_partials(joint, "beijing", given_to, answers, MINE, proof)


def test_every_changed_bit_of_a_proof_of_decryption_is_seen(
    joint: JointKey, opening: tuple[list[int], list[int], bytes]
) -> None:
    given_to, answers, proof = opening
    for place in range(len(proof)):
        flipped = bytearray(proof)
        flipped[place] ^= 1 << place % 8
        assert denies(joint, given_to, answers, bytes(flipped)), place
    for cut in (b"", proof[:-1], proof + b"\x00", bytes(len(proof)), b"\xff" * len(proof)):
        assert denies(joint, given_to, answers, cut)


def test_answers_with_another_share_than_the_one_behind_the_key_are_refused(
    joint: JointKey, shares: dict[str, KeyShare], opening: tuple[list[int], list[int], bytes]
) -> None:
    given_to, _, _ = opening
    for d in (shares["macao"].d + 1, shares["hongkong"].d, 0, 1, -shares["macao"].d):
        wrong = replace(shares["macao"], d=d)
        answers = partials(joint, wrong, given_to)
        assert denies(joint, given_to, answers, prove_partials(joint, wrong, given_to, answers, MINE, ENTROPY))
        assert denies(
            joint, given_to, answers, prove_partials(joint, shares["macao"], given_to, answers, MINE, ENTROPY)
        )


def test_a_shifted_plaintext_is_refused_in_every_try(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    """s * (1 + n)^x would move the opened sum by whatever a holder likes (test_threshold plants it)."""
    n, square = joint.public.n, joint.public.n**2
    given_to = Engine(joint.public, ENTROPY).encrypt([5, 7])
    honest = partials(joint, shares["macao"], given_to)
    for trial in range(30):
        shift = pow(1 + n, 2 * joint.theta * (trial + 1), square)
        answers = [honest[0] * shift % square, honest[1]]
        proof = prove_partials(joint, shares["macao"], given_to, answers, MINE, ENTROPY)
        assert denies(joint, given_to, answers, proof)
    opposite = [honest[0] * (1 + n) % square, honest[1] * (1 - n) % square]
    proof = prove_partials(joint, shares["macao"], given_to, opposite, MINE, ENTROPY)
    assert denies(joint, given_to, opposite, proof), "what would cancel if both were weighed alike"


def test_a_changed_sign_passes_at_times_and_never_matters(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    square = joint.public.n**2
    passed = refused = 0
    given_to = Engine(joint.public, ENTROPY).encrypt([5, 7])
    answers = {name: partials(joint, share, given_to) for name, share in shares.items()}
    flipped = [square - answers["macao"][0], answers["macao"][1]]
    for trial in range(60):
        context = bytes([trial])
        proof = prove_partials(joint, shares["macao"], given_to, flipped, context, ENTROPY)
        if denies(joint, given_to, flipped, proof, context=context):
            refused += 1
        else:
            passed += 1
    assert passed > 30
    assert refused > 0
    assert combine(joint, given_to, {**answers, "macao": flipped}) == [5, 7]


def test_equal_weights_would_let_two_errors_cancel(
    joint: JointKey, shares: dict[str, KeyShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault behind the random combination."""
    n, square = joint.public.n, joint.public.n**2
    honest = proofs._challenges

    def alike(count: int, label: bytes, *parts: bytes) -> list[int]:
        return [1] * count if parts[0] == b"combination" else honest(count, label, *parts)

    monkeypatch.setattr(proofs, "_challenges", alike)
    given_to = Engine(joint.public, ENTROPY).encrypt([5, 7])
    answers = partials(joint, shares["macao"], given_to)
    false = [answers[0] * (1 + n) % square, answers[1] * (1 - n) % square]
    assert not denies(joint, given_to, false, prove_partials(joint, shares["macao"], given_to, false, MINE, ENTROPY))


Answers = dict[str, list[int]]


def all_answered(
    joint: JointKey, shares: dict[str, KeyShare], given_to: list[int], spoil: dict[str, int]
) -> tuple[Answers, dict[str, bytes]]:
    """Everybody's answers with proofs as good as they get; those in `spoil` shift their first plaintext by so much."""
    n, answers = joint.public.n, {name: partials(joint, share, given_to) for name, share in shares.items()}
    for name, shift in spoil.items():
        answers[name][0] = answers[name][0] * pow(1 + n, shift, n**2) % n**2
    return answers, {
        name: prove_partials(joint, share, given_to, answers[name], MINE, ENTROPY) for name, share in shares.items()
    }


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("guilty", [[], ["macao"], ["guangdong", "hongkong"], ["guangdong", "hongkong", "macao"]])
def test_looking_at_all_proofs_at_once_names_the_guilty(
    count: int, guilty: list[str], joint: JointKey, shares: dict[str, KeyShare], two_threads: ThreadPoolExecutor
) -> None:
    given_to = Engine(joint.public, ENTROPY).encrypt(list(range(count)))
    answers, shown = all_answered(joint, shares, given_to, dict(zip(guilty, (5, -5, 7), strict=False)))
    assert unproved_partials(joint, given_to, answers, MINE, shown) == guilty
    assert unproved_partials(joint, given_to, answers, EARLIER, shown) == list(joint.holders)
    assert unproved_partials(joint, given_to, answers, MINE, {}) == []


def test_honest_proofs_are_not_looked_at_one_by_one(
    joint: JointKey, shares: dict[str, KeyShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    given_to = Engine(joint.public, ENTROPY).encrypt([5])
    answers, shown = all_answered(joint, shares, given_to, {})
    monkeypatch.setattr(proofs, "check_partials", None)
    assert unproved_partials(joint, given_to, answers, MINE, shown) == []


def test_errors_of_two_holders_do_not_cancel_unless_they_weigh_alike(
    joint: JointKey, shares: dict[str, KeyShare], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: two who shift in opposite directions are unseen where all equations have one weight."""
    given_to = Engine(joint.public, ENTROPY).encrypt([5])
    answers, shown = all_answered(joint, shares, given_to, {"macao": 5, "hongkong": -5})
    assert unproved_partials(joint, given_to, answers, MINE, shown) == ["hongkong", "macao"]
    monkeypatch.setattr(proofs, "_challenges", lambda count, label, *parts: [1] * count)
    answers, shown = all_answered(joint, shares, given_to, {"macao": 5, "hongkong": -5})
    assert unproved_partials(joint, given_to, answers, MINE, shown) == []


def test_commitments_that_are_off_in_opposite_ways_are_refused(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    """The two equations of a proof are joined by numbers that nobody knows when he commits himself."""
    public, square, share = joint.public, joint.public.n**2, shares["macao"]
    given_to = Engine(public, ENTROPY).encrypt([5])
    answers = partials(joint, share, given_to)
    statement = proofs._opening(joint, "macao", given_to, answers, MINE)
    combined = proofs._combined(public, given_to, proofs._challenges(1, proofs._DECRYPTED, b"combination", statement))
    for off, held in ((1, True), (3, False)):
        of_base = pow(joint.base, 7**400, square) * off % square
        of_all = pow(int(combined), 7**400, square) * pow(off, -1, square) % square
        commitments = of_base.to_bytes(128, "big") + of_all.to_bytes(128, "big")
        answer = 7**400 + int(proofs._challenges(1, proofs._DECRYPTED, statement, commitments)[0]) * share.d
        proof = commitments + answer.to_bytes(162, "big")
        assert denies(joint, given_to, answers, proof) != held
        shown = {"macao": proofs._shown(joint, "macao", given_to, answers, MINE, proof)}
        assert proofs._all_hold(joint, given_to, {"macao": answers}, shown) == held


def test_a_proof_without_form_is_its_holders(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    given_to = Engine(joint.public, ENTROPY).encrypt([5])
    answers, shown = all_answered(joint, shares, given_to, {})
    for spoiled in (b"", shown["macao"][:-1], bytes(len(shown["macao"])), shown["guangdong"]):
        assert unproved_partials(joint, given_to, answers, MINE, {**shown, "macao": spoiled}) == ["macao"]
    assert unproved_partials(joint, given_to, {**answers, "macao": []}, MINE, shown) == ["macao"]
    assert unproved_partials(joint, given_to, {**answers, "macao": [0]}, MINE, shown) == ["macao"]
    with pytest.raises(Misuse):
        unproved_partials(joint, given_to, {"macao": answers["macao"]}, MINE, shown)
    with pytest.raises(Misuse):
        unproved_partials(joint, given_to, {**answers, "beijing": [5]}, MINE, {**shown, "beijing": shown["macao"]})


def test_nonces_of_decryption_depend_on_all_that_is_proved(joint: JointKey, shares: dict[str, KeyShare]) -> None:
    given_to = Engine(joint.public, ENTROPY).encrypt([5])
    answers = partials(joint, shares["macao"], given_to)
    first, again, other = (
        prove_partials(joint, shares["macao"], given_to, answers, context, ENTROPY) for context in (MINE, MINE, EARLIER)
    )
    assert first == again
    assert first[:128] != other[:128]
    answer = int.from_bytes(first[256:], "big")
    assert answer.bit_length() > 2 * joint.public.bits + 2 * 128 - 8, "the nonce is longer than what it hides"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_not_one_answer_for_each_ciphertext_is_misuse(count: int, joint: JointKey, shares: dict[str, KeyShare]) -> None:
    given_to = Engine(joint.public, ENTROPY).encrypt([5, 7])
    with pytest.raises(Misuse):
        prove_partials(joint, shares["macao"], given_to, [5] * count, MINE, ENTROPY)
    with pytest.raises(Misuse):
        prove_partials(joint, shares["macao"], [], [], MINE, ENTROPY)


def test_proofs_of_one_kind_are_none_of_the_other(
    joint: JointKey, opening: tuple[list[int], list[int], bytes], owner_of: Callable[[int], OwnerKey]
) -> None:
    given_to, answers, proof = opening
    sent, known = contribution(joint.public, [5], MINE)
    assert refuses(joint.public, sent, MINE, proof)
    assert denies(joint, given_to, answers, known)
