"""Members of a small federation, and one honest message of every domain."""

from __future__ import annotations

from functools import cache
from typing import Any

from federation.domain.catalogue import Column, Dataset, Kind, Outside
from federation.domain.job import Blame, Computation, Job, State
from federation.domain.roster import Role, Roster
from federation.domain.verdict import Reason, Verdict
from federation.identity import keys, roster_file
from federation.identity.keys import Credentials
from federation.protocols.key_ceremony.messages import What, Word
from federation.protocols.masked_sum.messages import (
    Advert,
    Challenge,
    Consent,
    Head,
    Opening,
    Shares,
    Unmask,
)
from federation.protocols.paillier_sum.messages import Cipher, Partial, Ready
from federation.protocols.plain_sum.messages import Present, Total, Vector
from federation.protocols.withdrawal import Withdrawal
from federation.wire import messages as m
from federation.wire.envelope import signed

RELAY = "relay"
ROLES = {
    RELAY: Role.COORDINATOR,
    "ana": Role.RESEARCHER,
    "ben": Role.RESEARCHER,
    "guangdong": Role.JURISDICTION,
    "hongkong": Role.JURISDICTION,
    "macao": Role.JURISDICTION,
}
SPEAKER = {Role.COORDINATOR: RELAY, Role.RESEARCHER: "ana", Role.JURISDICTION: "guangdong"}


@cache
def people() -> dict[str, Credentials]:
    return {name: keys.made(name, role) for name, role in ROLES.items()}


@cache
def roster() -> Roster:
    return roster_file.convened("gba", [one.member for one in people().values()])


def publication(party: str = "guangdong") -> m.Publication:
    columns = (
        Column(name="age", kind=Kind.INTEGER, unit="years", low=0, high=120, missing=(("-9", "refused"),)),
        Column(name="pay", kind=Kind.REAL, low=-0.5, high=1e6, outside=Outside.REFUSE),
        Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m")),
        Column(name="who", kind=Kind.IDENTIFIER),
    )
    return m.Publication(
        party=party,
        dataset=Dataset(name="people", title="People, 人", unit="person", columns=columns, k=5, version="ab"),
    )


def job() -> Job:
    return Job(
        name="mean-age",
        researcher="ana",
        purpose="health",
        dataset="people",
        where="age > 3",
        computations=(
            Computation(name="histogram", version=1, parameters=(("bins", 5), ("column", "age"), ("range", (0, 1.5)))),
            Computation(name="mean", version=1, parameters=(("by", None), ("column", "age"), ("exact", True))),
        ),
        parties=("guangdong", "hongkong", "macao"),
        publications=tuple((party, b"p" * 32) for party in ("guangdong", "hongkong", "macao")),
        deadline_ms=1_700_000_000_000,
        max_rounds=2,
        roster_hash=roster().hash,
        token=b"t" * 16,
        key=b"k" * 32,
    )


@cache
def sums() -> dict[str, object]:
    """One value of every domain of a secure sum."""
    of_setup: dict[str, Any] = {"setup_hash": b"s" * 32, "party": "guangdong"}
    of_u3: dict[str, Any] = {"spec_hash": b"s" * 32, "u3_hash": b"u" * 32}
    of_key: dict[str, Any] = {"spec_hash": b"s" * 32, "party": "guangdong", "chunk_root": b"r" * 32}
    return {
        Advert.domain: Advert(**of_setup, enc_pk=b"e" * 32, mask_pk=b"k" * 32),
        Shares.domain: Shares(**of_setup, adverts_hash=b"a" * 32, commitment=b"c" * 32, boxes_root=b"b" * 32),
        Head.domain: Head(
            spec_hash=b"s" * 32, u2_hash=b"u" * 32, party="guangdong", chunk_root=b"r" * 32, length=9, number=7
        ),
        Consent.domain: Consent(**of_u3, party="guangdong"),
        Unmask.domain: Unmask(**of_u3, party="guangdong", self_shares=(b"1" * 33, b"2" * 33), key_shares=(b"3" * 33,)),
        Opening.domain: Opening(**of_u3, seeds=(b"1" * 32, b"2" * 32), keys=(b"3" * 32,), total_root=b"t" * 32),
        Challenge.domain: Challenge(**of_u3, party="guangdong", places=(0, 7, 300)),
        Withdrawal.domain: Withdrawal(**of_setup),
        Ready.domain: Ready(**of_setup),
        Present.domain: Present(**of_setup),
        Vector.domain: Vector(spec_hash=b"p" * 32, party="guangdong", chunk_root=b"c" * 32, number=7),
        Total.domain: Total(spec_hash=b"p" * 32, list_hash=b"l" * 32, total_root=b"t" * 32),
        Cipher.domain: Cipher(**of_key, header=b"h" * 28, number=7, proof=b"proof"),
        Partial.domain: Partial(**of_key, set_hash=b"t" * 32, proof=b"proof"),
    }


@cache
def joint_keys() -> dict[str, object]:
    """One value of every domain of a key ceremony."""
    here = people()["guangdong"]
    proposal = m.KeyProposal(
        proposer="guangdong",
        holders=("guangdong", "hongkong", "macao"),
        bits=3072,
        made_ms=1_700_000_000_000,
        deadline_ms=1_700_000_600_000,
        roster_hash=roster().hash,
        token=b"t" * 16,
    )
    join = m.KeyJoin(party="guangdong", ceremony=b"c" * 32, box_key=b"k" * 32)
    certificate = m.KeyCertificate(joint_key=b"key", transcript=b"t" * 32, made_ms=1, expires_ms=2)
    return {
        m.KEY_PROPOSAL: proposal,
        m.KEY_JOIN: join,
        Word.domain: Word(
            ceremony=b"c" * 32,
            party="guangdong",
            place=7,
            what=What.MULTIPLY,
            seen=b"s" * 32,
            boxes=(b"b" * 32, b""),
            body=b"what all get",
        ),
        m.KEY_ASK: m.KeyAsk(party="guangdong", ceremony=b"c" * 32, place=7, answers=True),
        m.KEY_CERTIFICATE: certificate,
        m.KEY_NEWS: m.KeyNews(
            proposal=signed(here, m.KEY_PROPOSAL, proposal),
            joins=(signed(here, m.KEY_JOIN, join),),
            certificates=(signed(here, m.KEY_CERTIFICATE, certificate),),
        ),
    }


@cache
def honest() -> dict[str, object]:
    """One value of every domain."""
    here = people()
    blame = Blame(party="macao", code="refused", message="macao refuses by rule k", hint="ask wider", rule="k")
    published = signed(here["guangdong"], m.PUBLICATION, publication())
    return {
        m.HELLO: m.Hello(
            party="guangdong",
            roster_hash=roster().hash,
            software="0.1",
            publications=(published,),
            open_jobs=(b"j" * 32,),
        ),
        m.PUBLICATION: publication(),
        m.JOB: job(),
        m.OFFER: m.Offer(job=signed(here["ana"], m.JOB, job()), publications=(published,)),
        m.VERDICT: Verdict(party="guangdong", job_hash=b"j" * 32, reasons=(Reason(rule="k", clause="k is 5"),)),
        m.BUNDLE: m.Bundle(
            job_hash=b"j" * 32,
            round_index=1,
            attempt=2,
            round_digest=b"d" * 32,
            total_digest=b"",
            messages=(signed(here["guangdong"], Advert.domain, sums()[Advert.domain]),),
            chunk_counts=(0,),
        ),
        m.RECALL: m.Recall(job_hash=b"j" * 32, round_index=1, attempt=2),
        m.ATTESTATION: m.Attestation(party="guangdong", job_hash=b"j" * 32, transcript=b"t" * 32),
        m.OBJECTION: m.Objection(party="guangdong", job_hash=b"j" * 32, blame=blame),
        m.ENDED: m.Ended(job_hash=b"j" * 32, state=State.ABORTED, blames=(blame,)),
        **sums(),
        **joint_keys(),
    }
