"""The proof of a modulus: owners of two fitting primes give it, owners of anything else do not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gmpy2
import pytest
from gmpy2 import mpz

from federation.crypto.paillier import modulus
from federation.crypto.paillier.keys import BadKey, OwnerKey, PublicKey
from federation.crypto.paillier.modulus import ROUNDS, check_modulus_proof, modulus_proof
from federation.crypto.paillier.proofs import BadProof

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "paillier"
CONTEXT = b"macao | a key of its own"


@pytest.fixture(scope="module")
def proof(owner: OwnerKey) -> bytes:
    return modulus_proof(owner, CONTEXT)


@pytest.mark.parametrize("bits", [512, 1024])
def test_the_owner_of_two_fitting_primes_can_show_it(
    bits: int, owner_of: Callable[[int], OwnerKey], two_threads: ThreadPoolExecutor
) -> None:
    owner = owner_of(bits)
    made = modulus_proof(owner, CONTEXT)
    assert len(made) == ROUNDS * (bits // 4 + 1)
    check_modulus_proof(owner.public, made, CONTEXT)


def test_a_proof_serves_one_context_and_one_modulus(proof: bytes, owner: OwnerKey) -> None:
    with pytest.raises(BadProof):
        check_modulus_proof(owner.public, proof, b"somebody else")
    with pytest.raises(BadProof):
        check_modulus_proof(OwnerKey.made(512, bytes(32)).public, proof, CONTEXT)


def test_changed_bytes_are_seen(proof: bytes, owner: OwnerKey) -> None:
    for place in [*range(0, len(proof), 97), 128, len(proof) - 1]:
        flipped = bytearray(proof)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(BadProof):
            check_modulus_proof(owner.public, bytes(flipped), CONTEXT)
    for cut in (b"", proof[:-1], proof + b"\x00", bytes(len(proof)), b"\xff" * len(proof)):
        with pytest.raises(BadProof):
            check_modulus_proof(owner.public, cut, CONTEXT)


def as_well_as_one_can(n: int, primes: list[int]) -> tuple[bytes, int]:
    """A proof by somebody who knows all factors and gives every root that exists, and how many rounds are right."""
    size, phi = n.bit_length() // 8, 1
    for prime in primes:
        phi *= prime - 1
    twist, numbers = modulus._picked(mpz(n), CONTEXT)
    rounds, right = [], 0
    for number in numbers:
        root = gmpy2.powmod(number, gmpy2.invert(n, phi), n) if gmpy2.gcd(n, phi) == 1 else mpz(1)
        kind, fourth = next(
            (
                (kind, fourth_root(int(turned), primes))
                for kind, turned in enumerate(modulus._turned(number, twist, mpz(n)))
                if all(gmpy2.jacobi(turned, prime) == 1 for prime in primes)
            ),
            (0, 1),
        )
        right += (
            gmpy2.powmod(root, n, n) == number and pow(fourth, 4, n) == modulus._turned(number, twist, mpz(n))[kind]
        )
        rounds.append(int(root).to_bytes(size, "big") + fourth.to_bytes(size, "big") + bytes([kind]))
    return b"".join(rounds), right


def fourth_root(power: int, primes: list[int]) -> int:
    """The root modulo every prime, put together; where a prime is 1 modulo 4, only a quarter of all numbers has one."""
    n, found = math.prod(primes), 0
    for prime in primes:
        exponent = ((prime + 1) // 4) ** 2 if prime % 4 == 3 else pow(4, -1, (prime - 1) // 4)
        others = n // prime
        found += pow(power, exponent, prime) * others * pow(others, -1, prime)
    return found % n


def test_the_cheats_proof_is_an_honest_one_where_the_factors_are(owner: OwnerKey, proof: bytes) -> None:
    made, right = as_well_as_one_can(owner.public.n, [owner.p, owner.q])
    assert right == ROUNDS
    check_modulus_proof(owner.public, made, CONTEXT)


@pytest.mark.parametrize(("name", "most"), [("three_primes", ROUNDS // 2), ("of_no_decryption", 0)])
def test_a_modulus_that_passes_every_look_cannot_be_proved(name: str, most: int, proof: bytes) -> None:
    """Under three primes a quarter of all numbers has a fourth root; where p divides q - 1, hardly any has an n-th."""
    vector: dict[str, Any] = json.loads((VECTORS / f"modulus_{name}.json").read_text())
    public, factors = PublicKey.owned(int(vector["n"], 16)), [int(factor, 16) for factor in vector["factors"]]
    public.check()
    made, right = as_well_as_one_can(public.n, factors)
    assert right <= most
    with pytest.raises(BadProof, match="root"):
        check_modulus_proof(public, made, CONTEXT)
    with pytest.raises(BadProof):
        check_modulus_proof(public, proof, CONTEXT)


def test_a_square_has_no_number_to_twist_with(owner: OwnerKey) -> None:
    with pytest.raises(BadKey):
        modulus._picked(mpz(owner.p) ** 2, CONTEXT)


def test_what_can_be_seen_without_a_proof_is_refused_first(proof: bytes) -> None:
    with pytest.raises(BadKey):
        check_modulus_proof(PublicKey(n=15, hs=1), proof, CONTEXT)


@pytest.mark.parametrize("round_of", [0, ROUNDS - 1])
def test_a_kind_that_there_is_not_is_refused(round_of: int, proof: bytes, owner: OwnerKey) -> None:
    spoiled = bytearray(proof)
    spoiled[129 * (round_of + 1) - 1] = 4
    with pytest.raises(BadProof):
        check_modulus_proof(owner.public, bytes(spoiled), CONTEXT)
