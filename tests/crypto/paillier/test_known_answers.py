"""Known answers: what this engine, or another programme, made once must never come out otherwise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from federation.crypto.paillier import ciphertexts
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.keys import OwnerKey
from federation.crypto.paillier.modulus import modulus_proof
from federation.crypto.paillier.packing import Header, Slots
from federation.crypto.paillier.proofs import check_partials, check_plaintexts, prove_partials, prove_plaintexts
from federation.crypto.paillier.threshold import JointKey, KeyShare, combine, dealt, partials

SLOTS = Slots.fitting(value_bits=32, terms=3, modulus_bits=512)


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    path = Path(__file__).parent.parent.parent / "vectors" / "paillier" / "known_answers.json"
    vector: dict[str, Any] = json.loads(path.read_text())
    return vector


def test_the_dealers_key_is_the_one_of_the_vector(known: dict[str, Any]) -> None:
    joint, shares = dealt(512, ["guangdong", "hongkong", "macao"], bytes(31) + b"\x06")
    assert joint.to_bytes().hex() == known["joint_key"]
    assert {name: share.to_bytes().hex() for name, share in shares.items()} == known["shares"]


def test_a_contribution_has_the_bytes_of_the_vector(known: dict[str, Any]) -> None:
    joint = JointKey.of(bytes.fromhex(known["joint_key"]))
    entropy, context = bytes.fromhex(known["entropy"]), bytes.fromhex(known["context"])
    engine = Engine(joint.public, entropy)
    plaintexts = SLOTS.pack(known["numbers"])
    alphas = engine.alphas(plaintexts)
    sent = engine.encrypt(plaintexts, alphas)
    assert [f"{alpha:x}" for alpha in alphas] == known["alphas"]
    assert engine.to_bytes(sent).hex() == known["ciphertexts"]
    assert engine.to_bytes([engine.scale(sent[0], 1234)]).hex() == known["scaled"]
    proof = prove_plaintexts(joint.public, plaintexts, alphas, sent, context, entropy)
    assert proof.hex() == known["proof_of_plaintexts"]
    header = Header(scale=1, value_bits=32, terms=1, count=len(known["numbers"]))
    assert header.to_bytes().hex() == known["header"]


def test_the_opening_has_the_bytes_of_the_vector(known: dict[str, Any]) -> None:
    joint = JointKey.of(bytes.fromhex(known["joint_key"]))
    entropy, context = bytes.fromhex(known["entropy"]), bytes.fromhex(known["context"])
    sent = ciphertexts.from_bytes(joint.public.n, bytes.fromhex(known["ciphertexts"]))
    check_plaintexts(joint.public, sent, context, bytes.fromhex(known["proof_of_plaintexts"]))
    answers = {}
    for name in joint.holders:
        share = KeyShare.of(bytes.fromhex(known["shares"][name]))
        answers[name] = partials(joint, share, sent)
        assert ciphertexts.to_bytes(joint.public.n, answers[name]).hex() == known["answers"][name]
        proof = prove_partials(joint, share, sent, answers[name], context, entropy)
        assert proof.hex() == known["proofs_of_decryption"][name]
        check_partials(joint, name, sent, answers[name], context, proof)
    assert SLOTS.unpack(combine(joint, sent, answers), 1, len(known["numbers"])) == known["numbers"]


def test_the_proof_of_a_modulus_is_the_one_of_the_vector(
    known: dict[str, Any], owner_of: Callable[[int], OwnerKey]
) -> None:
    proof = modulus_proof(owner_of(512), bytes.fromhex(known["context"]))
    assert hashlib.sha256(proof).hexdigest() == known["digest_of_the_proof_of_the_modulus"]
