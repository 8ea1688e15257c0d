"""From a modulus to a key: shares of the exponent beta phi, what is public of it, and one test decryption a holder.

beta phi = beta (n + 1 - p - q), and beta = beta_1 + .. + beta_n: a holder multiplies its own terms alone, and its
beta_i with everybody's share of p + q by transfers. Two shares of such a product that are uniform modulo Q add up to
the product plus Q, but for one time in 2^80: Q is so much longer. phi itself is never shared: a plaintext that becomes
known would give it away.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod

from federation.crypto import ot
from federation.crypto.paillier import ciphertexts, threshold
from federation.crypto.paillier.ciphertexts import BadCiphertext
from federation.crypto.paillier.draws import Draws
from federation.crypto.paillier.keys import BadKey, PublicKey
from federation.crypto.paillier.threshold import BadPartial, JointKey, KeyShare
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony.events import Delivered, Done, Effect
from federation.protocols.key_ceremony.messages import What
from federation.protocols.key_ceremony.multiplying import EXPONENT, use_of
from federation.protocols.key_ceremony.products import Layout, layout_of
from federation.protocols.key_ceremony.residues import lifted, lowered
from federation.protocols.key_ceremony.states import (
    Agreeing,
    At,
    Blinding,
    Decrypting,
    Ended,
    Finishing,
    Keyed,
    Sharing,
    State,
    bytes_of,
)
from federation.protocols.key_ceremony.transfers import derived, sound
from federation.protocols.key_ceremony.trials import dispute
from federation.protocols.machine import Transition

_LABEL = b"federation/key_ceremony/finish/v1"


def blind(now: Finishing) -> Transition[State, Effect]:
    """Choose by its share of p + q."""
    at, layout = now.at, _layout(now.at)
    choices, boxes, pads = layout.choices(lowered([now.p + now.q], at.plan.exponent)), {}, []
    for name, forest in zip(at.others, now.pairs.forests, strict=True):
        boxes[name], pad = ot.choose(forest, use_of(at, EXPONENT), choices, layout.transfer_moduli)
        pads.append(bytes_of(pad))
    at, sends = at.spoken(What.BLIND, boxes=boxes)
    return Transition(
        Blinding(at=at, pairs=now.pairs, n=now.n, p=now.p, q=now.q, tries=now.tries, pads=tuple(pads)), sends
    )


def share(now: Blinding, event: Delivered) -> Transition[State, Effect]:
    """Multiply its share of beta with everybody's share of p + q."""
    at, heard = now.at.taken(now.what, event.heard)
    layout, moduli, beta = _layout(at), at.plan.exponent, _beta(at, now.n)
    x = lowered([beta], moduli)
    exponent, boxes = beta * (now.n + 1 - now.p - now.q), {}
    for (name, one), pruned in zip(heard.items(), now.pairs.pruned, strict=True):
        pads = sound(now.what, name, ot.answer, pruned, use_of(at, EXPONENT), one.box, layout.transfer_moduli)
        differences, kept = layout.prepared(*pads)
        boxes[name] = layout.corrections(differences, x)
        exponent -= lifted(kept, moduli)[0]
    at, sends = at.spoken(What.SHARE, boxes=boxes)
    state = Sharing(
        at=at, pairs=now.pairs, n=now.n, p=now.p, q=now.q, tries=now.tries, pads=now.pads, exponent=exponent
    )
    return Transition(state, sends)


def publish(now: Sharing, event: Delivered) -> Transition[State, Effect]:
    """Publish its parts of theta and its verification key, and encrypt a number."""
    at, heard = now.at.taken(now.what, event.heard)
    layout, moduli, n = _layout(at), at.plan.exponent, now.n
    y, whole = lowered([now.p + now.q], moduli), prod(moduli)
    exponent = now.exponent
    for (name, one), pads in zip(heard.items(), now.pads, strict=True):
        part = sound(now.what, name, layout.collected, y, pads, one.box)
        exponent -= lifted(part, moduli)[0] - whole
    public = PublicKey.joint(n, now.pairs.sid)
    plaintext, alpha = _test(at, n)
    vk = threshold.powers([threshold.verification_base(public)], exponent, n * n)[0]
    ciphertext = (1 + n * plaintext) * threshold.powers([public.hs], alpha, n * n)[0] % (n * n)
    body = b"".join(_bytes(at, number, times) for number, times in ((exponent % n, 1), (vk, 2), (ciphertext, 2)))
    at, sends = at.spoken(What.KEY, body)
    return Transition(Keyed(at=at, sid=now.pairs.sid, n=n, exponent=exponent, tries=now.tries), sends)


def decrypt(now: Keyed, event: Delivered) -> Transition[State, Effect]:
    """Put the key together, check that it fits, and answer for everybody's test ciphertext."""
    at, _ = now.at.taken(now.what, event.heard)
    width, thetas, vks, tests = at.ceremony.bits // 8, [], [], []
    for name, body in at.bodies(What.KEY)[-1].items():
        if len(body) != 5 * width:
            raise ProtocolViolation(name, phase=now.what, expected="three numbers of a key", got="other lengths")
        places = pairwise((0, width, 3 * width, 5 * width))
        theta, vk, test = (int.from_bytes(body[start:end], "big") for start, end in places)
        try:
            ciphertexts.check(now.n, [test])
        except BadCiphertext as fault:
            raise ProtocolViolation(name, phase=now.what, expected="a test ciphertext", got=str(fault)) from None
        thetas.append(theta)
        vks.append(vk)
        tests.append(test)
    joint = JointKey(
        public=PublicKey.joint(now.n, now.sid),
        theta=sum(thetas) % now.n,
        sid=now.sid,
        holders=at.ceremony.holders,
        vks=tuple(vks),
    )
    try:
        joint.check()
    except BadKey:
        return dispute(at, "the verification keys do not make up theta")
    own = KeyShare(joint=joint.digest, holder=at.me, d=now.exponent)
    answers = threshold.partials(joint, own, tests)
    at, sends = at.spoken(What.DECRYPT, b"".join(_bytes(at, answer, 2) for answer in answers))
    state = Decrypting(at=at, joint=joint, exponent=now.exponent, tests=tuple(tests), tries=now.tries)
    return Transition(state, sends)


def agree(now: Decrypting, event: Delivered) -> Transition[State, Effect]:
    """Decrypt all tests, and tell its own number."""
    at, _ = now.at.taken(now.what, event.heard)
    size, count, answers = 2 * at.ceremony.bits // 8, len(now.tests), {}
    for name, body in at.bodies(What.DECRYPT)[-1].items():
        if len(body) != size * count:
            raise ProtocolViolation(name, phase=now.what, expected="an answer for each test", got="another number")
        answers[name] = [int.from_bytes(body[start : start + size], "big") for start in range(0, len(body), size)]
    try:
        plaintexts = threshold.combine(now.joint, now.tests, answers)
    except BadPartial:
        return dispute(at, "the answers for test ciphertexts do not make up plaintexts")
    at, sends = at.spoken(What.AGREE, now.joint.digest + _bytes(at, _test(at, now.joint.public.n)[0], 1))
    state = Agreeing(
        at=at, joint=now.joint, exponent=now.exponent, plaintexts=tuple(map(int, plaintexts)), tries=now.tries
    )
    return Transition(state, sends)


def end(now: Agreeing, event: Delivered) -> Transition[State, Effect]:
    """End with the key, if everybody has the same one and every test came back."""
    at, _ = now.at.taken(now.what, event.heard)
    said = at.bodies(What.AGREE)[-1].values()
    if any(body != now.joint.digest + _bytes(at, m, 1) for body, m in zip(said, now.plaintexts, strict=True)):
        return dispute(at, "a test ciphertext was decrypted to another number")
    own = KeyShare(joint=now.joint.digest, holder=at.me, d=now.exponent)
    done = Done(key=now.joint, share=own, tries=now.tries, transcript=at.seen)
    return Transition(Ended(transcript=at.seen), (done,))


def _layout(at: At) -> Layout:
    return layout_of(at.plan.exponent, 1)


def _draws(at: At, n: int, use: bytes) -> Draws:
    return Draws(derived(at, "finish"), _LABEL, use, _bytes(at, n, 1))


def _beta(at: At, n: int) -> int:
    return int(_draws(at, n, b"beta").below(n))


def _test(at: At, n: int) -> tuple[int, int]:
    """Return the number that this holder encrypts, and what blinds it."""
    draws = _draws(at, n, b"test")
    return int(draws.below(n)), int(draws.bits(n.bit_length() // 2))


def _bytes(at: At, number: int, times: int) -> bytes:
    return int(number).to_bytes(times * at.ceremony.bits // 8, "big")
