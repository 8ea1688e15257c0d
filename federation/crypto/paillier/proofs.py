"""Proofs for many ciphertexts at once: that a party knows what it encrypted, that a holder decrypted with his share.

Both are Schnorr proofs of a random combination, made non-interactive by a hash over a label, a context, the key, all
ciphertexts and all commitments (Fiat and Shamir). The context says who, where and when: party, job, round. Without the
first, a party could send a multiple of somebody's ciphertext of this or an earlier round and have it opened with the
sum. Without the second, one holder could falsify what is opened. Both hold if n has no factors that anybody knows
and no elements of small order that anybody finds; signs they do not see, and no plaintext depends on them.

Not shown: that a plaintext lies in its range, or that it is true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gmpy2
from gmpy2 import mpz

from federation.crypto.paillier.comb import comb
from federation.crypto.paillier.draws import Draws, hashed, public_numbers, sized
from federation.crypto.paillier.keys import PublicKey
from federation.crypto.paillier.multiexp import power_product
from federation.crypto.paillier.powers import all_powers, each_power
from federation.crypto.paillier.spreading import in_runs
from federation.crypto.paillier.threshold import JointKey, KeyShare, share_bits
from federation.errors import Misuse

CHALLENGE_BITS = 128
HIDING_BITS = 128  # by which a nonce is longer than what it hides
MOST_CIPHERTEXTS = 1 << 16
_KNOWN = b"federation/paillier/known-plaintexts/v1"
_DECRYPTED = b"federation/paillier/decrypted/v1"


class BadProof(ValueError):
    """A proof that proves nothing; the text says why and never quotes it."""


def prove_plaintexts(
    public: PublicKey,
    plaintexts: Sequence[int],
    alphas: Sequence[int],
    given: Sequence[int],
    context: bytes,
    entropy: bytes,
) -> bytes:
    """Return a proof that whoever stands in `context` knows plaintext and alpha of every ciphertext.

    Args:
        plaintexts: each in [0, n).
        alphas: what they are blinded with.
        given: the ciphertexts of these.
        context: who proves and what for; nobody accepts it for anything else.
        entropy: 32 secret bytes.

    Raises:
        Misuse: not one of each, none at all or more than 2^16, or entropy of another length.
    """
    if not len(plaintexts) == len(alphas) == len(given) or not 1 <= len(given) <= MOST_CIPHERTEXTS:
        raise Misuse("a plaintext and an alpha for each of one or more ciphertexts are needed")
    n, size = mpz(public.n), public.bits // 8
    statement = _statement(public, given, context)
    secret = hashed(_KNOWN, *(sized(number, 2 * size) for number in (*plaintexts, *alphas)))
    draws = Draws(entropy, _KNOWN, statement, secret)
    shift, nonce = draws.below(n), draws.bits(_nonce_bits(public))
    commitment = comb(public.n, public.hs, public.alpha_bits).powers([nonce], [shift])[0]
    challenges = _challenges(len(given), _KNOWN, statement, sized(commitment, 2 * size))
    plain = sum((each * number for each, number in zip(challenges, plaintexts, strict=True)), shift) % n
    blind = sum((each * alpha for each, alpha in zip(challenges, alphas, strict=True)), nonce)
    return sized(commitment, 2 * size) + sized(plain, size) + sized(blind, _blind_size(public))


def check_plaintexts(public: PublicKey, given: Sequence[int], context: bytes, proof: bytes) -> None:
    """Raise BadProof unless whoever stands in `context` knows what is in all these ciphertexts.

    Args:
        given: checked on arrival.
    """
    n, size = mpz(public.n), public.bits // 8
    if not 1 <= len(given) <= MOST_CIPHERTEXTS or len(proof) != 3 * size + _blind_size(public):
        raise BadProof("a proof of another length")
    commitment, plain, blind = (
        mpz.from_bytes(part, "big") for part in (proof[: 2 * size], proof[2 * size : 3 * size], proof[3 * size :])
    )
    _refuse_other_numbers(public, [commitment])
    if plain >= n or blind.bit_length() > _nonce_bits(public) + 1:
        raise BadProof("a proof with an answer that nobody gives")
    challenges = _challenges(len(given), _KNOWN, _statement(public, given, context), proof[: 2 * size])
    square = n * n
    answer = comb(public.n, public.hs, public.alpha_bits).powers([blind], [plain])[0]
    if answer != commitment * power_product(square, given, challenges) % square:
        raise BadProof("a proof of other ciphertexts, or in another context, or of what nobody knows")


def prove_partials(
    joint: JointKey,
    share: KeyShare,
    given: Sequence[int],
    answers: Sequence[int],
    context: bytes,
    entropy: bytes,
) -> bytes:
    """Return a proof that these answers were made with the share behind the holder's verification key.

    Args:
        given: the ciphertexts.
        answers: what `threshold.partials` returned for them.
        context: the job, the round, and whatever else the answers are for.
        entropy: 32 secret bytes.

    Raises:
        Misuse: not one answer for each of one or more ciphertexts, or entropy of another length.
    """
    if len(given) != len(answers) or not 1 <= len(given) <= MOST_CIPHERTEXTS:
        raise Misuse("one answer for each of one or more ciphertexts is needed")
    public, size = joint.public, joint.public.bits // 8
    statement = _opening(joint, share.holder, given, answers, context)
    draws = Draws(entropy, _DECRYPTED, statement, share.to_bytes())
    nonce_bits = _nonce_of_share_bits(public)
    combined = _combined(public, given, _challenges(len(given), _DECRYPTED, b"combination", statement))
    nonce = draws.bits(nonce_bits)
    of_base = comb(public.n, joint.base, nonce_bits).powers([nonce])[0]
    of_all = all_powers(public.n, [combined], nonce)[0]
    commitments = sized(of_base, 2 * size) + sized(of_all, 2 * size)
    # A share may be negative: the answer is below zero once in 2^128, and then there is no proof.
    answer = nonce + _challenges(1, _DECRYPTED, statement, commitments)[0] * share.d
    return commitments + sized(answer, _answer_size(public))


def check_partials(
    joint: JointKey, holder: str, given: Sequence[int], answers: Sequence[int], context: bytes, proof: bytes
) -> None:
    """Raise BadProof unless the holder made these answers to these ciphertexts with his share, in this context.

    Both equations are checked as one, joined by a number that depends on the whole proof: one long power, not two.

    Args:
        given: the ciphertexts, checked on arrival.
        answers: one for each, of the holder.

    Raises:
        Misuse: a name that holds nothing.
    """
    square = mpz(joint.public.n) ** 2
    shown = _shown(joint, holder, given, answers, context, proof)
    join = _challenges(1, _DECRYPTED, b"join", shown.digest)[0]
    base = joint.base * gmpy2.powmod(_combined(joint.public, given, shown.factors), join, square) % square
    left = all_powers(joint.public.n, [base], shown.answer)[0]
    shares = joint.vk(holder) * gmpy2.powmod(power_product(square, answers, shown.factors), join, square) % square
    right = shown.of_base * power_product(square, [shown.of_all, shares], [join, shown.challenge]) % square
    if left != right:
        raise BadProof("a proof of other answers, or in another context, or with another share")


def unproved_partials(
    joint: JointKey,
    given: Sequence[int],
    answers: Mapping[str, Sequence[int]],
    context: bytes,
    proofs: Mapping[str, bytes],
) -> list[str]:
    """Return the holders whose proofs do not hold, in the order of `proofs`: what `check_partials` finds, and faster.

    The equations of all are joined to one by numbers that depend on all proofs, and its long powers are those of the
    ciphertexts, if these are fewer than the proofs; only if it does not hold is each proof looked at.

    Raises:
        Misuse: a name that holds nothing, or a proof without answers.
    """
    if not set(proofs) <= set(answers):
        raise Misuse("a proof is looked at beside the answers that it is for")
    try:
        shown = {name: _shown(joint, name, given, answers[name], context, proof) for name, proof in proofs.items()}
        if len(given) < len(proofs) and _all_hold(joint, given, answers, shown):
            return []
    except BadProof:
        pass

    def fails(name: str) -> bool:
        try:
            check_partials(joint, name, given, answers[name], context, proofs[name])
        except BadProof:
            return True
        return False

    return in_runs(list(proofs), lambda run: [name for name in run if fails(name)])


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a proof of decryption says, and the numbers that the hash adds to it."""

    of_base: mpz
    of_all: mpz
    answer: mpz
    factors: list[mpz]
    challenge: mpz
    digest: bytes


def _shown(
    joint: JointKey, holder: str, given: Sequence[int], answers: Sequence[int], context: bytes, proof: bytes
) -> _Shown:
    """Return what a proof says. Raises BadProof for what has not even the form of one."""
    public, size = joint.public, joint.public.bits // 8
    if len(given) != len(answers) or not 1 <= len(given) <= MOST_CIPHERTEXTS:
        raise BadProof("answers to other ciphertexts")
    if len(proof) != 4 * size + _answer_size(public):
        raise BadProof("a proof of another length")
    of_base, of_all, answer = (
        mpz.from_bytes(part, "big") for part in (proof[: 2 * size], proof[2 * size : 4 * size], proof[4 * size :])
    )
    _refuse_other_numbers(public, [of_base, of_all, *answers])
    statement = _opening(joint, holder, given, answers, context)
    return _Shown(
        of_base,
        of_all,
        answer,
        factors=_challenges(len(given), _DECRYPTED, b"combination", statement),
        challenge=_challenges(1, _DECRYPTED, statement, proof[: 4 * size])[0],
        digest=hashed(_DECRYPTED, b"shown", statement, proof),
    )


def _all_hold(
    joint: JointKey, given: Sequence[int], answers: Mapping[str, Sequence[int]], shown: Mapping[str, _Shown]
) -> bool:
    """Return whether the product of all equations holds, each to the power of a random number."""
    public, square = joint.public, mpz(joint.public.n) ** 2
    joins = _challenges(2 * len(shown), _DECRYPTED, b"joins", *(each.digest for each in shown.values()))
    of_base, longs = mpz(0), [mpz(0) for _ in given]
    bases: list[int] = []
    exponents: list[int] = []
    for (name, each), first, second in zip(shown.items(), joins[::2], joins[1::2], strict=True):
        of_base += first * each.answer
        longs = [long + 2 * second * each.answer * factor for long, factor in zip(longs, each.factors, strict=True)]
        bases += [each.of_base, joint.vk(name), each.of_all, power_product(square, answers[name], each.factors)]
        exponents += [first, first * each.challenge, second, second * each.challenge]
    left = comb(public.n, joint.base, _nonce_of_share_bits(public)).powers([of_base])[0]
    for power in each_power(public.n, given, longs):
        left = left * power % square
    return bool(left == power_product(square, bases, exponents))


def _combined(public: PublicKey, given: Sequence[int], factors: Sequence[int]) -> mpz:
    """Return the product of (c^2)^t."""
    square = mpz(public.n) ** 2
    return power_product(square, given, factors) ** 2 % square


def _statement(public: PublicKey, given: Sequence[int], context: bytes) -> bytes:
    return hashed(_KNOWN, context, public.digest, _joined(public, given))


def _opening(joint: JointKey, holder: str, given: Sequence[int], answers: Sequence[int], context: bytes) -> bytes:
    """Return the hash over context, holder, key (n, v and all verification keys), ciphertexts and answers."""
    public = joint.public
    parts = (_joined(public, [joint.base, joint.vk(holder)]), _joined(public, given), _joined(public, answers))
    return hashed(_DECRYPTED, context, holder.encode(), joint.digest, *parts)


def _joined(public: PublicKey, numbers: Sequence[int]) -> bytes:
    size = public.bits // 4
    return b"".join([sized(number, size) for number in numbers])


def _challenges(count: int, label: bytes, *parts: bytes) -> list[mpz]:
    return public_numbers(count, CHALLENGE_BITS, label, *parts)


def _refuse_other_numbers(public: PublicKey, numbers: Sequence[int]) -> None:
    square = mpz(public.n) ** 2
    if not all(0 < number < square for number in numbers):
        raise BadProof("a number that does not lie between 0 and n^2")


def _nonce_bits(public: PublicKey) -> int:
    """Return the bits that hide the sum of up to 2^16 alphas times challenges."""
    return public.alpha_bits + CHALLENGE_BITS + HIDING_BITS + MOST_CIPHERTEXTS.bit_length()


def _blind_size(public: PublicKey) -> int:
    return -(-(_nonce_bits(public) + 1) // 8)


def _nonce_of_share_bits(public: PublicKey) -> int:
    return share_bits(public) + CHALLENGE_BITS + HIDING_BITS


def _answer_size(public: PublicKey) -> int:
    return -(-(_nonce_of_share_bits(public) + 1) // 8)
