"""Evidence of jobs that were really run, in one process: with everybody, with somebody lost, withdrawn, refused, ended.

The keys of all members are at hand, so that a test can be a coordinator, or a party, that signs something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from clients.local.federation import COORDINATOR, RESEARCHER, LocalTransport, federation_of
from clients.local.network import Link, honest
from clients.researcher.audit import audited
from clients.researcher.findings import Report
from clients.researcher.receipt import Receipt
from clients.researcher.session import Session
from clients.researcher.table import Table
from federation.domain.job import Computation
from federation.domain.roster import Roster
from federation.errors import FederationError
from federation.ledger import merkle
from federation.policy.rule import Settings
from federation.protocols.masked_sum import masks
from federation.protocols.masked_sum.masks import Binding, Side
from federation.protocols.masked_sum.messages import Consent, Head
from federation.wire import messages as m
from federation.wire.convert import BODIES
from federation.wire.envelope import Signer, signed
from federation.wire.evidence import Evidence, OpenedSum, encoded

PARTIES = ("guangdong", "hongkong", "macao", "shenzhen", "zhuhai")


@dataclass(frozen=True, kw_only=True)
class Story:
    """A job that has ended, and its evidence.

    Attributes:
        signers: everybody's keys.
        answers: what the researcher got, question by question, as tables; () if there was no result.
        receipt: likewise; None.
    """

    evidence: Evidence
    job_hash: bytes
    roster: Roster
    signers: Mapping[str, Signer]
    answers: tuple[Any, ...]
    receipt: Receipt | None = None
    transport: LocalTransport

    @property
    def content(self) -> bytes:
        """The honest file."""
        return encoded(self.evidence)

    def audited(self, evidence: Evidence | None = None, **more: Any) -> Report:
        """Audit this evidence, or another in its place."""
        content = self.content if evidence is None else encoded(evidence)
        return audited(content, self.roster, job_hash=more.pop("job_hash", self.job_hash), **more)

    # --- forging ----------------------------------------------------------------------------------------------------

    def said(self, name: str, value: Any, domain: str = "") -> m.Signed:
        """A value that a member signs now."""
        return signed(self.signers[name], domain or value.domain, value)

    def who(self, message: m.Signed) -> str:
        """Whose key a message names."""
        member = self.roster.by_key_id(message.key_id)
        assert member is not None
        return member.name

    def of(self, name: str, messages: Iterable[m.Signed]) -> m.Signed:
        """The one message of a member."""
        (found,) = [message for message in messages if self.who(message) == name]
        return found

    def without(self, name: str, messages: Iterable[m.Signed]) -> tuple[m.Signed, ...]:
        """All messages but those of a member."""
        return tuple(message for message in messages if self.who(message) != name)

    def with_sum(self, index: int, **changes: Any) -> Evidence:
        """The evidence with one sum changed."""
        sums = list(self.evidence.sums)
        sums[index] = replace(sums[index], **changes)
        return replace(self.evidence, sums=tuple(sums))

    def opening(self, index: int, **changes: Any) -> m.Signed:
        """What the coordinator opened, changed and signed anew by the coordinator."""
        value: Any = value_of(self.evidence.sums[index].opening)
        return self.said(COORDINATOR, replace(value, **changes))

    def total_leaves(self, of: OpenedSum) -> tuple[bytes, ...]:
        """Leaf hashes of what the vectors of a sum add up to without the masks that its opening takes off."""
        said = value_of(of.opening)
        vectors = {self.who(one.head): one.chunks for one in of.contributions}
        adverts = [value_of(one) for one in of.adverts]
        absent = sorted({self.who(one) for one in of.shares} - vectors.keys())
        streams = masks.streams_off(
            dict(zip(sorted(vectors), said.seeds, strict=False)),
            dict(zip(absent, said.keys, strict=False)),
            {one.party: Side(party=one.party, enc_pk=one.enc_pk, mask_pk=one.mask_pk) for one in adverts},
            Binding(
                spec_hash=said.spec_hash,
                adverts_hash=value_of(of.shares[0]).adverts_hash,
                u2_hash=value_of(of.contributions[0].head).u2_hash,
            ),
        )
        return masks.summed([vectors[party] for party in sorted(vectors)], "z2^128", streams)[1]

    def opened_anew(self, evidence: Evidence, index: int = 0) -> Evidence:
        """The evidence with the total of one sum made and signed again by the coordinator, whatever is in it now."""
        of = evidence.sums[index]
        leaves = self.total_leaves(of)
        said = replace(value_of(of.opening), total_root=merkle.root(leaves))
        sums = list(evidence.sums)
        sums[index] = replace(of, opening=self.said(COORDINATOR, said), total_leaves=leaves)
        return replace(evidence, sums=tuple(sums))


def value_of(message: m.Signed) -> Any:
    """What a message says."""
    return BODIES[message.domain].decode(message.body)


def parties_of(story: Story, of: OpenedSum) -> list[str]:
    """Whose vectors are in a sum."""
    return sorted(story.who(one.head) for one in of.contributions)


def frames(parties: Iterable[str], rows: int = 40) -> dict[str, pd.DataFrame]:
    """Rows of each party, always the same."""
    made = {}
    for party in parties:
        draw = np.random.default_rng(sum(party.encode()))
        made[party] = pd.DataFrame({"x": draw.integers(-50, 50, rows), "s": draw.choice(["a", "b"], rows)})
    return made


Asking = Callable[[Table], list[Computation]]


def told(
    asking: Asking,
    *,
    n: int = 3,
    link: Link = honest,
    minimum_parties: int | None = None,
    k: int = 1,
    own_figures: bool = True,
    policy: Settings | None = None,
    key_bits: int | None = None,
) -> Story:
    """Run one job to its end, whatever that is; under a development key if it is to have so many bits."""
    transport = federation_of(
        frames(PARTIES[:n]), link=link, k=k, own_figures=own_figures, policy=policy, key_bits=key_bits
    )
    session = Session(transport, protection="masks" if key_bits is None else "paillier")
    table = session.table("data", minimum_parties=minimum_parties, purpose="study")
    answers: tuple[Any, ...] = ()
    receipt = None
    with suppress(FederationError):
        results = session.run(asking(table), data=table)
        answers, receipt = tuple(each.table() for each in results), results.receipt
    coordinator, jurisdictions = transport.network.coordinator, transport.network.jurisdictions
    (job_hash,) = coordinator._order
    signers: dict[str, Signer] = {COORDINATOR: coordinator._me, RESEARCHER: transport._me}
    signers |= {party: one._desk.me for party, one in jurisdictions.items()}
    return Story(
        evidence=coordinator.evidence(job_hash, RESEARCHER)(),
        job_hash=job_hash,
        roster=transport.roster,
        signers=signers,
        answers=answers,
        receipt=receipt,
        transport=transport,
    )


def lost(*gone: tuple[str, str], attempts: Iterable[int] = range(9)) -> Link:
    """The line that loses what these parties send under these domains, in these attempts at sums."""
    attempts = frozenset(attempts)

    def link(way: str, party: str, frame: m.Frame) -> m.Frame | None:
        return None if way == "in" and (party, frame.signed.domain) in gone and frame.attempt in attempts else frame

    return link


@cache
def small() -> Story:
    """Three parties, one count, one sum."""
    return told(lambda table: [table.ask.count()])


@cache
def walked() -> Story:
    """Three parties, k = 2: rounds of support and of sums, and a quantile that is searched for."""
    return told(lambda t: [t.ask.mean("x", by="s"), t.ask.quantile("x", [0.5])], k=2, own_figures=False)


@cache
def bereft() -> Story:
    """Five parties; one is lost before its vector, and one before its signature under the transcript."""
    link = lost(("macao", Head.domain), ("zhuhai", m.ATTESTATION))
    return told(lambda t: [t.ask.mean("x", by="s")], n=5, link=link, minimum_parties=4, k=2, own_figures=False)


@cache
def large() -> Story:
    """Three parties, a vector of several chunks."""
    return told(lambda t: [t.ask.histogram("x", bins=4000, by="s"), t.ask.histogram("x", bins=3900, by="s")])


@cache
def tried_again() -> Story:
    """Five parties; in the first attempt too few consents came, so it was withdrawn."""
    link = lost(("macao", Consent.domain), ("zhuhai", Consent.domain), attempts=[0])
    return told(lambda t: [t.ask.count()], n=5, link=link, minimum_parties=4)


@cache
def refused() -> Story:
    """Every party's policy knows another purpose."""
    return told(lambda t: [t.ask.count()], policy=Settings(purposes=("health",)))


@cache
def stopped() -> Story:
    """A relay swaps two vectors when it hands the total out: a party objects, and the job ends."""

    def link(way: str, party: str, frame: m.Frame) -> m.Frame:
        if (way, party, frame.signed.domain) == ("out", "macao", m.BUNDLE) and len(frame.parts) == 3:
            first, second, third = frame.parts
            if len(first) > 200:  # vectors, and not boxes
                return replace(frame, parts=(second, first, third))
        return frame

    return told(lambda t: [t.ask.histogram("x", bins=20)], link=link)


@cache
def keyed() -> Story:
    """Three parties under a joint key: a mean and a histogram, one sum of two ciphertexts."""
    return told(lambda t: [t.ask.mean("x", by="s"), t.ask.histogram("x", bins=12)], key_bits=512)


@cache
def keyed_walked() -> Story:
    """Three parties under a joint key, k = 2: rounds of support and of sums, and a quantile that is searched for."""
    asking: Asking = lambda t: [t.ask.mean("x", by="s"), t.ask.quantile("x", [0.5])]  # noqa: E731 - as its masked twin
    return told(asking, k=2, own_figures=False, key_bits=512)


STORIES: dict[str, Callable[[], Story]] = {
    "small": small,
    "walked": walked,
    "bereft": bereft,
    "large": large,
    "tried again": tried_again,
}
