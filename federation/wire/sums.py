"""Secure sums as bytes: what parties and the coordinator sign in them, the bundles of it, and who is in each total."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from federation.domain.roster import Role
from federation.protocols.masked_sum.messages import (
    Advert,
    Challenge,
    Consent,
    Head,
    Opening,
    Shares,
    Unmask,
)
from federation.protocols.withdrawal import Withdrawal
from federation.wire import messages as m
from federation.wire.fields import HASH_BYTES, Body, Malformed, canonical, exactly, few, name, parsed
from federation.wire.frames import signed_from, signed_to
from federation.wire.v1 import coordinator_service_pb2, secure_sum_pb2

MOST_PARTIES = 100
MOST_PLACES = 64
KEY_BYTES = 32
SHARE_BYTES = 33  # an element of the field of shares, whose prime is a little above 2^256


def _hash(value: bytes, what: str) -> bytes:
    return exactly(value, HASH_BYTES, what)


def _sized(items: Sequence[bytes], size: int, what: str) -> tuple[bytes, ...]:
    return tuple(exactly(item, size, what) for item in few(items, f"{what}s".removeprefix("a "), MOST_PARTIES))


# --- keys and shares -----------------------------------------------------------------------------------------------


def _advert_to(v: Advert) -> bytes:
    return canonical(secure_sum_pb2.Advert(party=v.party, setup_hash=v.setup_hash, mask_pk=v.mask_pk, enc_pk=v.enc_pk))


def _advert_from(body: bytes) -> Advert:
    a = parsed(secure_sum_pb2.Advert, body)
    return Advert(
        setup_hash=_hash(a.setup_hash, "a setup hash"),
        party=a.party,
        enc_pk=exactly(a.enc_pk, KEY_BYTES, "a public key"),
        mask_pk=exactly(a.mask_pk, KEY_BYTES, "a public key"),
    )


def _shares_to(v: Shares) -> bytes:
    return canonical(
        secure_sum_pb2.Shares(
            party=v.party,
            setup_hash=v.setup_hash,
            adverts_hash=v.adverts_hash,
            commitment=v.commitment,
            boxes_root=v.boxes_root,
        )
    )


def _shares_from(body: bytes) -> Shares:
    s = parsed(secure_sum_pb2.Shares, body)
    return Shares(
        setup_hash=_hash(s.setup_hash, "a setup hash"),
        adverts_hash=_hash(s.adverts_hash, "a hash of adverts"),
        party=s.party,
        commitment=_hash(s.commitment, "a commitment"),
        boxes_root=_hash(s.boxes_root, "a root of boxes"),
    )


def _withdrawal_to(v: Withdrawal) -> bytes:
    return canonical(secure_sum_pb2.Withdrawal(party=v.party, setup_hash=v.setup_hash))


def _withdrawal_from(body: bytes) -> Withdrawal:
    w = parsed(secure_sum_pb2.Withdrawal, body)
    return Withdrawal(setup_hash=_hash(w.setup_hash, "a setup hash"), party=w.party)


# --- numbers, and the opening of their sum -------------------------------------------------------------------------


def _head_to(v: Head) -> bytes:
    return canonical(
        secure_sum_pb2.Head(
            party=v.party,
            spec_hash=v.spec_hash,
            u2_hash=v.u2_hash,
            chunk_root=v.chunk_root,
            length=v.length,
            number=v.number,
        )
    )


def _head_from(body: bytes) -> Head:
    h = parsed(secure_sum_pb2.Head, body)
    return Head(
        spec_hash=_hash(h.spec_hash, "a spec hash"),
        u2_hash=_hash(h.u2_hash, "a u2 hash"),
        party=h.party,
        chunk_root=_hash(h.chunk_root, "a chunk root"),
        length=h.length,
        number=h.number,
    )


def _consent_to(v: Consent) -> bytes:
    return canonical(secure_sum_pb2.Consent(party=v.party, spec_hash=v.spec_hash, u3_hash=v.u3_hash))


def _consent_from(body: bytes) -> Consent:
    c = parsed(secure_sum_pb2.Consent, body)
    return Consent(spec_hash=_hash(c.spec_hash, "a spec hash"), u3_hash=_hash(c.u3_hash, "a u3 hash"), party=c.party)


def _unmask_to(v: Unmask) -> bytes:
    return canonical(
        secure_sum_pb2.Unmask(
            party=v.party,
            spec_hash=v.spec_hash,
            u3_hash=v.u3_hash,
            self_shares=v.self_shares,
            key_shares=v.key_shares,
        )
    )


def _unmask_from(body: bytes) -> Unmask:
    u = parsed(secure_sum_pb2.Unmask, body)
    return Unmask(
        spec_hash=_hash(u.spec_hash, "a spec hash"),
        u3_hash=_hash(u.u3_hash, "a u3 hash"),
        party=u.party,
        self_shares=_sized(u.self_shares, SHARE_BYTES, "a self-mask share"),
        key_shares=_sized(u.key_shares, SHARE_BYTES, "a key share"),
    )


def _opening_to(v: Opening) -> bytes:
    return canonical(
        secure_sum_pb2.Opening(
            spec_hash=v.spec_hash, u3_hash=v.u3_hash, seeds=v.seeds, keys=v.keys, total_root=v.total_root
        )
    )


def _opening_from(body: bytes) -> Opening:
    o = parsed(secure_sum_pb2.Opening, body)
    return Opening(
        spec_hash=_hash(o.spec_hash, "a spec hash"),
        u3_hash=_hash(o.u3_hash, "a u3 hash"),
        seeds=_sized(o.seeds, KEY_BYTES, "a seed"),
        keys=_sized(o.keys, KEY_BYTES, "a key"),
        total_root=_hash(o.total_root, "a total's root"),
    )


def _challenge_to(v: Challenge) -> bytes:
    return canonical(secure_sum_pb2.Challenge(party=v.party, spec_hash=v.spec_hash, u3_hash=v.u3_hash, places=v.places))


def _challenge_from(body: bytes) -> Challenge:
    c = parsed(secure_sum_pb2.Challenge, body)
    places = tuple(few(c.places, "places", MOST_PLACES))
    if places != tuple(sorted(set(places))):
        raise Malformed("places that do not rise")
    return Challenge(
        spec_hash=_hash(c.spec_hash, "a spec hash"),
        u3_hash=_hash(c.u3_hash, "a u3 hash"),
        party=c.party,
        places=places,
    )


# --- what the coordinator says -------------------------------------------------------------------------------------


def _bundle_to(v: m.Bundle) -> bytes:
    return canonical(
        secure_sum_pb2.Bundle(
            job_hash=v.job_hash,
            round_index=v.round_index,
            attempt=v.attempt,
            round_digest=v.round_digest,
            total_digest=v.total_digest,
            messages=[signed_to(s) for s in v.messages],
            chunk_counts=v.chunk_counts,
        )
    )


def bundle_of(body: bytes) -> m.Bundle:
    """Return the bundle that a body says, from the wire or from a store. Raises Malformed."""
    b = parsed(secure_sum_pb2.Bundle, body)
    if len(b.chunk_counts) != len(b.messages):
        raise Malformed("chunk counts that do not match the messages")
    return m.Bundle(
        job_hash=_hash(b.job_hash, "a job hash"),
        round_index=b.round_index,
        attempt=b.attempt,
        round_digest=_hash(b.round_digest, "a round digest") if b.round_digest else b"",
        total_digest=_hash(b.total_digest, "a total's digest") if b.total_digest else b"",
        messages=tuple(signed_from(s) for s in few(b.messages, "messages", MOST_PARTIES + 1)),  # and one statement
        chunk_counts=tuple(b.chunk_counts),
    )


def _recall_to(v: m.Recall) -> bytes:
    return canonical(secure_sum_pb2.Recall(job_hash=v.job_hash, round_index=v.round_index, attempt=v.attempt))


def _recall_from(body: bytes) -> m.Recall:
    r = parsed(secure_sum_pb2.Recall, body)
    return m.Recall(job_hash=_hash(r.job_hash, "a job hash"), round_index=r.round_index, attempt=r.attempt)


def contributors_to(contributors: Iterable[Sequence[str]]) -> list[coordinator_service_pb2.Contributors]:
    """Return, for every total, the message that says whose numbers are in it."""
    return [coordinator_service_pb2.Contributors(parties=parties) for parties in contributors]


def contributors_from(messages: Sequence[coordinator_service_pb2.Contributors]) -> tuple[tuple[str, ...], ...]:
    """Return whose numbers are in each total: sorted names, each once. Raises Malformed."""
    return tuple(_contributors_from(message) for message in few(messages, "totals"))


def _contributors_from(message: coordinator_service_pb2.Contributors) -> tuple[str, ...]:
    parties = tuple(name(party, "a contributor") for party in few(message.parties, "contributors", MOST_PARTIES))
    if parties != tuple(sorted(set(parties))):
        raise Malformed("contributors that are not sorted, or one twice")
    return parties


SUMS: dict[str, Body] = {
    Advert.domain: Body(Role.JURISDICTION, "party", _advert_to, _advert_from),
    Shares.domain: Body(Role.JURISDICTION, "party", _shares_to, _shares_from),
    Head.domain: Body(Role.JURISDICTION, "party", _head_to, _head_from),
    Consent.domain: Body(Role.JURISDICTION, "party", _consent_to, _consent_from),
    Unmask.domain: Body(Role.JURISDICTION, "party", _unmask_to, _unmask_from),
    Challenge.domain: Body(Role.JURISDICTION, "party", _challenge_to, _challenge_from),
    Withdrawal.domain: Body(Role.JURISDICTION, "party", _withdrawal_to, _withdrawal_from),
    Opening.domain: Body(Role.COORDINATOR, "", _opening_to, _opening_from),
    m.BUNDLE: Body(Role.COORDINATOR, "", _bundle_to, bundle_of),
    m.RECALL: Body(Role.COORDINATOR, "", _recall_to, _recall_from),
}
