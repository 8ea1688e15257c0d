"""Adverts and heads that the coordinator invents, now that a party does not verify each of their signatures by itself.

Who dealt shares among adverts, or consented to heads, found its own among them: that signature stands for both. What no
such signature stands for is verified before a vector or a share leaves. Each check is taken away once, to show what the
coordinator then has; and nobody but the coordinator is blamed for what it invented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from federation.crypto.signing import Claim
from federation.errors import ProtocolViolation
from federation.protocols.events import Delivered, Intend, Message, Parcel, Send
from federation.protocols.masked_sum import MaskedSum, checks, masks, party
from federation.protocols.masked_sum.graph import Graph
from federation.protocols.masked_sum.messages import Advert, Consent, Head, Shares, Unmask
from federation.wire.envelope import opened, signed
from tests.attacks.masked_sum.malice import for_one, given
from tests.attacks.masked_sum.test_false_keys import LOW_ORDER, identity, roster
from tests.protocols.cohort import COORDINATOR, Cohort, attested, names
from tests.wire.recorded_sums import RELAY, Moment, Sum, bundled, messages_in, parcels_of

N, LOST = 5, "p4"  # t = 4, so one may be missing; p0 is the victim
NUMBERS = {name: [1000 + place] for place, name in enumerate(names(N))}


def claimed(message: Any, signer: str | None = None) -> Parcel:
    """A message as a party's driver hands it on: said to be by its party, signed by that one or by another."""
    found = attested(message)
    signature = identity(signer or message.party).sign(message.domain, found.digest)
    public = identity(message.party).member.identity_key
    claim = Claim(public=public, domain=message.domain, body=found.digest, signature=signature)
    return Parcel(message=replace(found, claim=claim))


def nobody_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "prove", lambda _messages, _relay: None)


# --- adverts ---------------------------------------------------------------------------------------------------------


def dealt(cohort: Cohort, bundle: Sequence[Parcel]) -> dict[str, Parcel]:
    """Show everybody these adverts; what each deals."""
    found = {}
    for name, machine in cohort.parties.items():
        (send,) = machine.give(Delivered(parcels=tuple(bundle)))
        assert isinstance(send, Send)
        found[name] = Parcel(message=attested(send.message), chunks=send.chunks)
    return found


def adverts(cohort: Cohort, salt: str = "") -> tuple[Parcel, ...]:
    """Everybody begins; with a salt p4 is played by the relay, which cannot sign for it."""
    honest = [claimed(cohort.begin(name).message.value) for name in names(N)[:-1]]
    return (*honest, claimed(cohort.begin(LOST, salt).message.value, COORDINATOR if salt else LOST))


def shown_invented_keys() -> tuple[Cohort, tuple[Parcel, ...], dict[str, Parcel]]:
    """Everybody is shown keys of the relay's in the name of p4, which it plays, and deals shares among them."""
    cohort = Cohort(N, least=4)
    bundle = adverts(cohort, "of the relay")
    return cohort, bundle, dealt(cohort, bundle)


def without_p4(shares: Mapping[str, Parcel], target: str) -> tuple[Parcel, ...]:
    """What the relay forwards to a party when p4 has dealt nothing: boxes are in the places of all who advertised."""
    return tuple(parcel for parcel in for_one(shares, target) if parcel.message.sender != LOST)


def test_an_invented_advert_of_a_party_without_shares_is_refused_before_anything_is_masked() -> None:
    cohort, _, shares = shown_invented_keys()
    relays, p0 = cohort.parties[LOST], cohort.parties["p0"]
    relays.give(Delivered(parcels=for_one(shares, LOST)))
    assert isinstance(relays.state, party.Shared)
    assert len(relays.state.held) == N  # the relay has p4's shares of everybody's secrets
    with pytest.raises(ProtocolViolation, match="expected a signature by p4") as caught:
        p0.give(Delivered(parcels=without_p4(shares, "p0")))
    assert (caught.value.party, caught.value.phase) == (COORDINATOR, "advert")
    assert isinstance(p0.state, party.Dealt)
    with pytest.raises(ProtocolViolation):
        cohort.contribute("p0", NUMBERS["p0"])  # they are shares of secrets that mask nothing


def test_the_planted_fault_of_adverts_that_nobody_verifies_masks_under_shares_of_the_relay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody_verifies(monkeypatch)
    cohort, _, shares = shown_invented_keys()
    cohort.parties["p0"].give(Delivered(parcels=without_p4(shares, "p0")))
    assert cohort.contribute("p0", NUMBERS["p0"]).chunks


def test_the_true_advert_of_a_party_without_shares_is_taken() -> None:
    cohort = Cohort(N, least=4)
    shares = dealt(cohort, adverts(cohort))
    cohort.parties["p0"].give(Delivered(parcels=without_p4(shares, "p0")))
    assert cohort.contribute("p0", NUMBERS["p0"]).chunks


def test_an_invented_advert_of_a_party_with_shares_has_none_that_fit() -> None:
    """The relay shows p4 its own keys, and p0 invented ones: what p4 deals is not dealt among those that p0 saw."""
    cohort, invented, shares = shown_invented_keys()
    elsewhere = Cohort(N, least=4)
    true = dealt(elsewhere, adverts(elsewhere))
    with pytest.raises(ProtocolViolation, match="some dealt among others") as caught:
        cohort.parties["p0"].give(Delivered(parcels=for_one(shares | {LOST: true[LOST]}, "p0")))
    assert caught.value.party == COORDINATOR
    honest = Cohort(N, least=4).parties[LOST]
    honest.give(elsewhere.parties[LOST].events[0])
    with pytest.raises(ProtocolViolation, match="my own advert unchanged") as caught:
        honest.give(Delivered(parcels=invented))  # nor does it deal among invented ones
    assert caught.value.party == COORDINATOR


@pytest.mark.parametrize("kind", [Shares, Consent])
def test_what_stands_for_other_messages_is_verified_before_any_machine_sees_it(kind: type[Message]) -> None:
    value: dict[type[Message], Message] = {
        Shares: shown_invented_keys()[2][LOST].message.value,
        Consent: Consent(spec_hash=b"s" * 32, u3_hash=b"u" * 32, party=LOST),
    }
    forged = replace(
        signed(identity(COORDINATOR), kind.domain, value[kind]), key_id=identity(LOST).member.key_id
    )  # fmt: skip
    later = {one.domain for one in MaskedSum.deferred}
    with pytest.raises(ProtocolViolation, match="does not verify") as caught:
        opened(forged, roster(*names(N), COORDINATOR), relay=COORDINATOR, later=later)
    assert caught.value.party == COORDINATOR
    assert opened(forged, roster(*names(N), COORDINATOR), relay=COORDINATOR, later={kind.domain}).claim  # planted


def test_the_planted_fault_of_forged_shares_masks_under_shares_of_the_relay() -> None:
    cohort, _, shares = shown_invented_keys()
    cohort.parties["p0"].give(Delivered(parcels=for_one(shares, "p0")))  # p4's too, as if it had signed them
    assert cohort.contribute("p0", NUMBERS["p0"]).chunks


def test_an_invented_advert_of_somebody_far_away_is_refused_too() -> None:
    """Every advert makes the graph: with one that it chooses freely a relay would choose somebody's neighbours."""
    cohort = Cohort(70, least=68, colluders=2)
    everybody = tuple(cohort.parties)
    p0 = cohort.parties[everybody[0]]
    bundle = {name: attested(cohort.begin(name).message.value) for name in everybody}
    adverts_hash = masks.hash_of_adverts(cohort.setup.hash, (bundle[name].digest for name in everybody))
    far = next(n for n in everybody if n not in Graph.of(cohort.setup, adverts_hash, everybody).holders(everybody[0]))
    parcels = [Parcel(message=bundle[name]) for name in everybody if name != far]
    invented = claimed(bundle[far].value, COORDINATOR)
    (send,) = p0.give(Delivered(parcels=(*parcels, invented)))
    assert isinstance(send, Send)
    value = send.message
    assert isinstance(value, Shares)
    assert value.adverts_hash == adverts_hash
    shares = [Parcel(message=attested(replace(value, party=name))) for name in everybody if name != far]
    with pytest.raises(ProtocolViolation, match=f"a signature by {far}") as caught:
        p0.give(Delivered(parcels=tuple(shares)))
    assert caught.value.party == COORDINATOR


# --- heads -----------------------------------------------------------------------------------------------------------


def shown_heads(*, invented: bool) -> tuple[Cohort, tuple[Parcel, ...], list[Parcel]]:
    """Everybody but p4 is shown heads, that of p4 invented or true, and consents to them."""
    cohort = Cohort(N, least=4)
    cohort.shared()
    values = [cohort.contribute(name, NUMBERS[name]).message.value for name in names(N)]
    heads = [claimed(value) for value in values]
    if invented:
        assert isinstance(values[-1], Head)
        heads[-1] = claimed(replace(values[-1], chunk_root=b"r" * 32), COORDINATOR)
    consents = []
    for name in names(N)[:-1]:
        intend, send = cohort.parties[name].give(Delivered(parcels=tuple(heads)))
        assert intend == Intend(parties=names(N))
        assert isinstance(send, Send)
        consents.append(Parcel(message=attested(send.message)))
    return cohort, tuple(heads), consents


def test_an_invented_head_of_a_party_that_did_not_consent_is_refused_before_a_share_leaves() -> None:
    cohort, heads, consents = shown_heads(invented=True)
    p0 = cohort.parties["p0"]
    with pytest.raises(ProtocolViolation, match="expected a signature by p4") as caught:
        given(p0, consents)
    assert (caught.value.party, caught.value.phase) == (COORDINATOR, "head")
    assert isinstance(p0.state, party.Consented)
    with pytest.raises(ProtocolViolation, match="my own head unchanged"):
        cohort.parties[LOST].give(Delivered(parcels=heads))  # so p4 does not consent to it


def test_the_planted_fault_of_heads_that_nobody_verifies_gives_shares_for_an_invented_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody_verifies(monkeypatch)
    cohort, _, consents = shown_heads(invented=True)
    assert isinstance(given(cohort.parties["p0"], consents), Unmask)


def test_the_true_head_of_a_party_that_did_not_consent_is_taken() -> None:
    cohort, _, consents = shown_heads(invented=False)
    assert isinstance(given(cohort.parties["p0"], consents), Unmask)


def test_an_invented_head_of_a_party_that_consented_has_no_consent_that_fits() -> None:
    """The relay shows p4 its own head, and p0 an invented one: what p4 consents to is not what p0 consented to."""
    cohort, _, consents = shown_heads(invented=True)
    elsewhere, true, _ = shown_heads(invented=False)
    (_, send) = elsewhere.parties[LOST].give(Delivered(parcels=true))
    assert isinstance(send, Send)
    with pytest.raises(ProtocolViolation, match="one to another list") as caught:
        given(cohort.parties["p0"], [*consents[:3], Parcel(message=attested(send.message))])
    assert caught.value.party == COORDINATOR


# --- who is blamed ---------------------------------------------------------------------------------------------------


def false_adverts() -> dict[str, Advert]:
    """What no honest p1 would say."""
    p0, p1 = (Cohort(N).begin(name).message.value for name in names(2))
    assert isinstance(p0, Advert)
    assert isinstance(p1, Advert)
    return {
        "a copy of p0's key": replace(p1, mask_pk=p0.mask_pk),
        "two keys that are one": replace(p1, mask_pk=p1.enc_pk),
        "a key of low order": replace(p1, mask_pk=LOW_ORDER[1]),
    }


@pytest.mark.parametrize("what", false_adverts())
@pytest.mark.parametrize(("signer", "culprit"), [("p1", "p1"), (COORDINATOR, COORDINATOR)])
def test_a_false_advert_is_its_partys_doing_only_if_it_signed_it(what: str, signer: str, culprit: str) -> None:
    cohort = Cohort(N)
    bundle = {name: claimed(cohort.begin(name).message.value) for name in names(N)}
    bundle["p1"] = claimed(false_adverts()[what], signer)
    with pytest.raises(ProtocolViolation) as caught:
        cohort.parties["p0"].give(Delivered(parcels=tuple(bundle.values())))
    assert (caught.value.party, caught.value.phase) == (culprit, "advert")


@pytest.mark.parametrize("changes", [{"spec_hash": b"x" * 32}, {"length": 7}], ids=["another spec", "another length"])
@pytest.mark.parametrize(("signer", "culprit"), [("p1", "p1"), (COORDINATOR, COORDINATOR)])
def test_a_false_head_is_its_partys_doing_only_if_it_signed_it(
    changes: dict[str, Any], signer: str, culprit: str
) -> None:
    cohort = Cohort(N)
    cohort.shared()
    heads: dict[str, Any] = {name: cohort.contribute(name, NUMBERS[name]).message.value for name in names(N)}
    bundle = {name: claimed(value) for name, value in heads.items()}
    bundle["p1"] = claimed(replace(heads["p1"], **changes), signer)
    with pytest.raises(ProtocolViolation) as caught:
        cohort.parties["p0"].give(Delivered(parcels=tuple(bundle.values())))
    assert (caught.value.party, caught.value.phase) == (culprit, "head")


def test_the_planted_fault_of_believing_the_name_blames_who_never_spoke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "author", lambda message, _relay: message.sender)
    with pytest.raises(AssertionError, match="p1"):
        test_a_false_advert_is_its_partys_doing_only_if_it_signed_it("a key of low order", COORDINATOR, COORDINATOR)


def test_a_malformed_message_is_its_signers_doing_only_if_it_signed_it() -> None:
    later = {Advert.domain}
    for signer, culprit in ((LOST, LOST), (COORDINATOR, COORDINATOR)):
        bad = signed(identity(LOST), Advert.domain, invented_advert())
        body = bad.body[:-1]
        bad = replace(bad, body=body, signature=identity(signer).sign(Advert.domain, body))
        with pytest.raises(ProtocolViolation) as caught:
            opened(bad, roster(*names(N), COORDINATOR), relay=COORDINATOR, later=later)
        assert caught.value.party == culprit


def invented_advert() -> Message:
    return Cohort(N).begin(LOST, salt="of the relay").message.value


# --- over real frames ------------------------------------------------------------------------------------------------


def at(story: Sum, state: type, to: str = "p0") -> Moment:
    return next(moment for moment in story.moments if moment.to == to and isinstance(moment.state, state))


def spoiled(moment: Moment, *senders: str) -> Delivered:
    """The bundle that is due, with the signatures of these senders' messages changed in one bit."""
    messages = [
        (replace(one, signature=bytes([one.signature[0] ^ 1]) + one.signature[1:]) if sender in senders else one, parts)
        for (one, parts), sender in zip(messages_in(moment.frame), sent_by(moment), strict=True)
    ]
    return Delivered(parcels=parcels_of(bundled(messages)))


def sent_by(moment: Moment) -> list[str]:
    return [parcel.message.sender for parcel in parcels_of(moment.frame)]


def due(moment: Moment) -> Delivered:
    return Delivered(parcels=parcels_of(moment.frame))


def test_in_real_frames_an_advert_is_verified_if_its_party_has_dealt_nothing() -> None:
    story = Sum("no shares of p3", lost=("p3", "shares"))
    told, asked = at(story, party.Advertised), at(story, party.Dealt)
    assert sent_by(asked) == ["p0", "p1", "p2"]
    state = told.step(spoiled(told, "p3")).state
    with pytest.raises(ProtocolViolation, match="a signature by p3") as caught:
        replace(asked, state=state).step(due(asked))
    assert caught.value.party == RELAY
    state = told.step(spoiled(told, "p1", "p2")).state  # they have signed shares among these very keys
    assert isinstance(replace(asked, state=state).step(due(asked)).state, party.Shared)


def test_in_real_frames_a_head_is_verified_if_its_party_has_not_consented() -> None:
    story = Sum("four")
    told, asked = at(story, party.Masked), at(story, party.Consented)
    assert sent_by(asked) == ["p0", "p1", "p2"]
    state = told.step(spoiled(told, "p3")).state
    with pytest.raises(ProtocolViolation, match="a signature by p3") as caught:
        replace(asked, state=state).step(due(asked))
    assert caught.value.party == RELAY
    state = told.step(spoiled(told, "p1", "p2")).state
    assert isinstance(replace(asked, state=state).step(due(asked)).state, party.Unmasked)
