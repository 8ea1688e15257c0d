"""One signature holds for one domain and one encoding: P10 and P12 of the attack list, for every kind of message.

P10: whatever is signed under one domain is refused under every other. P12: the same fields in another encoding,
unknown fields and fields twice are refused: in the relay's name where the line changed them, in the signer's where it
signed them itself.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from google.protobuf.message import Message

from federation.crypto import signing
from federation.errors import ProtocolViolation
from federation.protocols.masked_sum.messages import Consent
from federation.wire import messages as m
from federation.wire import sums
from federation.wire.convert import BODIES
from federation.wire.envelope import attested, opened, signed
from tests.wire.members import RELAY, SPEAKER, honest, people, roster
from tests.wire.mutations import UNKNOWN, items, joined, number_of, padded

DOMAINS = sorted(BODIES)
PAIRS = list(itertools.permutations(DOMAINS, 2))


def speaker(domain: str) -> str:
    return SPEAKER[BODIES[domain].role]


def envelope(domain: str) -> m.Signed:
    return signed(people()[speaker(domain)], domain, honest()[domain])


def refused(message: m.Signed, due: str = "") -> str:
    """Whom the refusal of a message names, "" if it was accepted."""
    try:
        if due:
            attested(message, roster(), domain=due, kind=object, relay=RELAY)
        else:
            opened(message, roster(), relay=RELAY)
    except ProtocolViolation as fault:
        return fault.party
    return ""


# --- P10: other domains ----------------------------------------------------------------------------------------------


def test_no_signature_of_one_domain_holds_under_another() -> None:
    for given, due in PAIRS:
        message = envelope(given)
        assert refused(message, due) == RELAY, f"{given} where {due} was due"
        renamed = replace(message, domain=due)
        assert refused(renamed) == refused(renamed, due) == RELAY, f"{given} called {due}"


def test_without_the_domain_in_the_signature_one_message_would_pass_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {one.member.identity_key: one for one in people().values()}

    def any_domain(key: bytes, _domain: str, body: bytes, signature: bytes) -> bool:
        return any(keys[key].sign(domain, body) == signature for domain in DOMAINS)

    monkeypatch.setattr(signing, "verify", any_domain)
    passing = {(given, due) for given, due in PAIRS if not refused(replace(envelope(given), domain=due))}
    assert (Consent.domain, m.ATTESTATION) in passing, "what was consented to would be attested"
    assert len(passing) >= 4


def test_no_tag_begins_as_another_tag_ends() -> None:
    """Tags are length-prefixed in what is signed; and all of them have one shape, so none is a piece of another."""
    assert all(tag.startswith("federation/") and tag.rpartition("/v")[2].isdigit() for tag in DOMAINS)
    assert not [(one, other) for one, other in PAIRS if one in other]


def test_a_refusal_says_the_step_and_not_the_version() -> None:
    for domain in DOMAINS:
        with pytest.raises(ProtocolViolation) as caught:
            opened(replace(envelope(domain), signature=bytes(64)), roster(), relay=RELAY)
        assert caught.value.phase == domain.split("/")[1]


# --- P12: other encodings --------------------------------------------------------------------------------------------


def re_encoded(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Other encodings of the same fields, and the same with more: none of them is the one that is canonical."""
    parts = items(body)
    assert joined(parts) == body
    for place, part in enumerate(parts):
        before, after = joined(parts[:place]), joined(parts[place + 1 :])
        yield "padded key", before + padded(part.key) + part.size + part.rest + after
        if part.size:
            yield "padded length", before + part.key + padded(part.size) + part.rest + after
        else:
            yield "padded number", before + part.key + padded(part.rest) + after
        yield "twice", before + part.raw + part.raw + after
        yield "twice, the second at the end", body + part.raw
        for unknown in UNKNOWN:
            yield "unknown field", before + unknown + part.raw + after
        if place and parts[place - 1].key != part.key:
            yield "another order", joined([*parts[: place - 1], part, parts[place - 1]]) + after
    for unknown in UNKNOWN:
        yield "unknown field", body + unknown
    known = {number_of(part.key) >> 3 for part in parts}
    yield from (("default written out", body + bytes([no << 3, 0])) for no in range(1, 16) if no not in known)


def signer_of(domain: str, body: bytes) -> str:
    """Who is blamed for a body that its signer made itself; accepted only where it is the one encoding of its value."""
    by = people()[speaker(domain)]
    message = m.Signed(body, by.member.key_id, by.sign(domain, body), domain)
    found = refused(message)
    if not found:
        value = opened(message, roster(), relay=RELAY).value
        assert value != honest()[domain], "one meaning has one encoding"
        assert BODIES[domain].encode(value) == body, "one meaning has one encoding"
    return found


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_signature_covers_the_received_bytes_and_only_one_encoding_is_read(domain: str) -> None:
    whole = envelope(domain)
    found: Counter[tuple[str, str]] = Counter()
    for way, body in re_encoded(whole.body):
        assert refused(replace(whole, body=body)) == RELAY, f"{way}, on the way"
        found[way, signer_of(domain, body)] += 1
    ways = Counter(way for way, _ in found)
    assert {"padded key", "padded length", "twice", "unknown field", "default written out"} <= ways.keys()
    accepted = {way for way, who in found if not who}
    assert accepted <= {"twice", "twice, the second at the end"}, "and only in a list is an item twice another value"
    assert found["twice", speaker(domain)] > 0


def test_without_the_canonical_check_fields_that_are_unknown_or_there_twice_would_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lenient(kind: type[Message], body: bytes) -> Message:
        message = kind()
        message.ParseFromString(body)
        return message

    body = envelope(Consent.domain).body
    planted = (body + UNKNOWN[0], joined([items(body)[0], *items(body)]))
    assert [signer_of(Consent.domain, one) for one in planted] == ["guangdong", "guangdong"]
    monkeypatch.setattr(sums, "parsed", lenient)
    for one in planted:
        with pytest.raises(AssertionError, match="one meaning has one encoding"):
            signer_of(Consent.domain, one)
