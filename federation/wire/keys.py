"""Joint keys as bytes: what their holders say while they make one, and what they sign once they have it."""

from __future__ import annotations

from federation.domain.roster import Role
from federation.protocols.key_ceremony.messages import What, Word
from federation.wire import messages as m
from federation.wire.fields import HASH_BYTES, TOKEN_BYTES, Body, Malformed, canonical, exactly, few, name, parsed
from federation.wire.frames import signed_from, signed_to
from federation.wire.v1 import key_ceremony_pb2

MOST_HOLDERS = 100
LARGEST_KEY = 64 * 1024  # of a joint key: ten holders of 4096 bits take a sixth
BOX_KEY_BYTES = 32


def _hash(value: bytes, what: str) -> bytes:
    return exactly(value, HASH_BYTES, what)


def _proposal_to(v: m.KeyProposal) -> bytes:
    return canonical(
        key_ceremony_pb2.KeyProposal(
            proposer=v.proposer,
            holders=v.holders,
            bits=v.bits,
            made_ms=v.made_ms,
            deadline_ms=v.deadline_ms,
            roster_hash=v.roster_hash,
            token=v.token,
        )
    )


def _proposal_from(body: bytes) -> m.KeyProposal:
    p = parsed(key_ceremony_pb2.KeyProposal, body)
    holders = tuple(name(holder, "a holder") for holder in few(p.holders, "holders", MOST_HOLDERS))
    if holders != tuple(sorted(set(holders))):
        raise Malformed("holders that are not sorted, or one twice")
    return m.KeyProposal(
        proposer=p.proposer,
        holders=holders,
        bits=p.bits,
        made_ms=p.made_ms,
        deadline_ms=p.deadline_ms,
        roster_hash=_hash(p.roster_hash, "a roster hash"),
        token=exactly(p.token, TOKEN_BYTES, "a token"),
    )


def _join_to(v: m.KeyJoin) -> bytes:
    return canonical(key_ceremony_pb2.KeyJoin(party=v.party, ceremony=v.ceremony, box_key=v.box_key))


def _join_from(body: bytes) -> m.KeyJoin:
    j = parsed(key_ceremony_pb2.KeyJoin, body)
    return m.KeyJoin(
        party=j.party,
        ceremony=_hash(j.ceremony, "a ceremony's id"),
        box_key=exactly(j.box_key, BOX_KEY_BYTES, "a public key"),
    )


def _word_to(v: Word) -> bytes:
    return canonical(
        key_ceremony_pb2.KeyWord(
            party=v.party,
            ceremony=v.ceremony,
            place=v.place,
            what=v.what.value,
            seen=v.seen,
            boxes=v.boxes,
            body=v.body,
        )
    )


def _word_from(body: bytes) -> Word:
    w = parsed(key_ceremony_pb2.KeyWord, body)
    if w.what not in set(What):
        raise Malformed("a step that no ceremony has")
    boxes = few(w.boxes, "boxes", MOST_HOLDERS)
    return Word(
        ceremony=_hash(w.ceremony, "a ceremony's hash"),
        party=w.party,
        place=w.place,
        what=What(w.what),
        seen=_hash(w.seen, "a digest of words"),
        boxes=tuple(_hash(box, "a box's digest") if box else b"" for box in boxes),
        body=w.body,
    )


def _ask_to(v: m.KeyAsk) -> bytes:
    return canonical(key_ceremony_pb2.KeyAsk(party=v.party, ceremony=v.ceremony, place=v.place, answers=v.answers))


def _ask_from(body: bytes) -> m.KeyAsk:
    a = parsed(key_ceremony_pb2.KeyAsk, body)
    return m.KeyAsk(party=a.party, ceremony=_hash(a.ceremony, "a ceremony's id"), place=a.place, answers=a.answers)


def _certificate_to(v: m.KeyCertificate) -> bytes:
    return canonical(
        key_ceremony_pb2.KeyCertificate(
            joint_key=v.joint_key, transcript=v.transcript, made_ms=v.made_ms, expires_ms=v.expires_ms
        )
    )


def _certificate_from(body: bytes) -> m.KeyCertificate:
    c = parsed(key_ceremony_pb2.KeyCertificate, body)
    if len(c.joint_key) > LARGEST_KEY:
        raise Malformed(f"a key of more than {LARGEST_KEY} bytes")
    return m.KeyCertificate(
        joint_key=c.joint_key,
        transcript=_hash(c.transcript, "a transcript"),
        made_ms=c.made_ms,
        expires_ms=c.expires_ms,
    )


def _news_to(v: m.KeyNews) -> bytes:
    return canonical(
        key_ceremony_pb2.KeyNews(
            proposal=signed_to(v.proposal),
            joins=[signed_to(s) for s in v.joins],
            certificates=[signed_to(s) for s in v.certificates],
        )
    )


def _news_from(body: bytes) -> m.KeyNews:
    n = parsed(key_ceremony_pb2.KeyNews, body)
    if not n.HasField("proposal"):
        raise Malformed("news of a key without its proposal")
    return m.KeyNews(
        proposal=signed_from(n.proposal),
        joins=tuple(signed_from(s) for s in few(n.joins, "joins", MOST_HOLDERS)),
        certificates=tuple(signed_from(s) for s in few(n.certificates, "certificates", MOST_HOLDERS)),
    )


KEYS: dict[str, Body] = {
    m.KEY_PROPOSAL: Body(Role.JURISDICTION, "proposer", _proposal_to, _proposal_from),
    m.KEY_JOIN: Body(Role.JURISDICTION, "party", _join_to, _join_from),
    Word.domain: Body(Role.JURISDICTION, "party", _word_to, _word_from),
    m.KEY_ASK: Body(Role.JURISDICTION, "party", _ask_to, _ask_from),
    m.KEY_CERTIFICATE: Body(Role.JURISDICTION, "", _certificate_to, _certificate_from),  # equal bytes of all holders
    m.KEY_NEWS: Body(Role.COORDINATOR, "", _news_to, _news_from),
}
