"""Jobs, verdicts, states and blames as bytes: plain values only, there is no field for code."""

from __future__ import annotations

from federation.domain.job import Blame, Computation, Job, LogLine, State, Value
from federation.domain.verdict import Reason, Verdict
from federation.wire.fields import (
    DEEPEST_VALUE,
    HASH_BYTES,
    LONGEST_NAME,
    TOKEN_BYTES,
    Malformed,
    canonical,
    exactly,
    few,
    name,
    parsed,
    text,
)
from federation.wire.v1 import coordinator_service_pb2, job_pb2


def value_to(value: Value) -> job_pb2.Value:
    """Return a parameter's value as its message. Raises TypeError for what is no plain value."""
    match value:
        case None:
            return job_pb2.Value()
        case bool():
            return job_pb2.Value(flag=value)
        case int():
            return job_pb2.Value(integer=value)
        case float():
            return job_pb2.Value(real=value)
        case str():
            return job_pb2.Value(text=value)
        case tuple():
            return job_pb2.Value(items=job_pb2.Values(items=[value_to(item) for item in value]))
    raise TypeError(f"a parameter cannot be a {type(value).__name__}")


def value_from(message: job_pb2.Value, depth: int = 0) -> Value:
    """Return a parameter's value, nested at most DEEPEST_VALUE deep. Raises Malformed."""
    if depth > DEEPEST_VALUE:
        raise Malformed("a parameter nested too deep")
    match message.WhichOneof("value"):
        case None:
            return None
        case "items":
            return tuple(value_from(item, depth + 1) for item in few(message.items.items, "values"))
        case "text":
            return text(message.text, "a parameter")
        case which:
            value: Value = getattr(message, which)
            return value


def job_to(job: Job) -> bytes:
    """Return the body of a job."""
    return canonical(
        job_pb2.Job(
            name=job.name,
            researcher=job.researcher,
            project=job.project,
            purpose=job.purpose,
            dataset=job.dataset,
            where=job.where,
            computations=[
                job_pb2.Computation(
                    name=c.name,
                    version=c.version,
                    parameters=[job_pb2.Parameter(name=name, value=value_to(value)) for name, value in c.parameters],
                )
                for c in job.computations
            ],
            protection=job.protection,
            parties=job.parties,
            publications=[job_pb2.PublicationPin(party=p, digest=d) for p, d in job.publications],
            minimum_parties=job.minimum_parties,
            deadline_ms=job.deadline_ms,
            max_rounds=job.max_rounds,
            roster_hash=job.roster_hash,
            token=job.token,
            key=job.key,
        )
    )


def _computation_from(message: job_pb2.Computation) -> Computation:
    names = [p.name for p in few(message.parameters, "parameters", 100)]
    if names != sorted(set(names)):
        raise Malformed("parameters that are not sorted by name")
    if not all(p.HasField("value") for p in message.parameters):
        raise Malformed("a parameter without a value")
    return Computation(
        name=text(message.name, "a statistic's name", LONGEST_NAME),
        version=message.version,
        parameters=tuple(
            (text(p.name, "a parameter's name", LONGEST_NAME), value_from(p.value)) for p in message.parameters
        ),
    )


def job_of(body: bytes) -> Job:
    """Return the job that a body says, from the wire or from a store. Raises Malformed."""
    j = parsed(job_pb2.Job, body)
    parties = tuple(name(p, "a party") for p in few(j.parties, "parties", 100))
    if parties != tuple(sorted(set(parties))) or tuple(p.party for p in j.publications) != parties:
        raise Malformed("parties that are not sorted, or publications of others")
    if not j.computations:
        raise Malformed("a job without computations")
    return Job(
        name=text(j.name, "a job's name", LONGEST_NAME),
        researcher=name(j.researcher, "a researcher"),
        project=text(j.project, "a project", LONGEST_NAME),
        purpose=text(j.purpose, "a purpose", LONGEST_NAME),
        dataset=text(j.dataset, "a data set's name", LONGEST_NAME),
        where=text(j.where, "a predicate"),
        computations=tuple(_computation_from(c) for c in few(j.computations, "computations", 1000)),
        protection=text(j.protection, "a protection", LONGEST_NAME),
        parties=parties,
        publications=tuple((p.party, exactly(p.digest, HASH_BYTES, "a publication digest")) for p in j.publications),
        minimum_parties=j.minimum_parties,
        deadline_ms=j.deadline_ms,
        max_rounds=j.max_rounds,
        roster_hash=exactly(j.roster_hash, HASH_BYTES, "a roster hash"),
        token=exactly(j.token, TOKEN_BYTES, "a token"),
        key=exactly(j.key, HASH_BYTES, "a joint key's digest") if j.key else b"",
    )


def verdict_to(value: Verdict) -> bytes:
    """Return the body of a verdict."""
    reasons = [job_pb2.Reason(rule=r.rule, clause=r.clause, remedy=r.remedy) for r in value.reasons]
    return canonical(job_pb2.Verdict(party=value.party, job_hash=value.job_hash, reasons=reasons))


def verdict_from(body: bytes) -> Verdict:
    """Return the verdict in a body. Raises Malformed."""
    v = parsed(job_pb2.Verdict, body)
    return Verdict(
        party=v.party,
        job_hash=exactly(v.job_hash, HASH_BYTES, "a job hash"),
        reasons=tuple(
            Reason(
                rule=text(r.rule, "a rule", LONGEST_NAME),
                clause=text(r.clause, "a clause"),
                remedy=text(r.remedy, "a remedy"),
            )
            for r in few(v.reasons, "reasons", 100)
        ),
    )


STATES = {
    State.SUBMITTED: job_pb2.STATE_SUBMITTED,
    State.UNDER_REVIEW: job_pb2.STATE_UNDER_REVIEW,
    State.RUNNING: job_pb2.STATE_RUNNING,
    State.RELEASED: job_pb2.STATE_RELEASED,
    State.REFUSED: job_pb2.STATE_REFUSED,
    State.ABORTED: job_pb2.STATE_ABORTED,
}


def state_to(state: State) -> job_pb2.State:
    """Return the enum's number on the wire."""
    return STATES[state]


def state_from(number: int) -> State:
    """Return the state. Raises Malformed for a number that is none."""
    for state, value in STATES.items():
        if value == number:
            return state
    raise Malformed("an unknown state")


def log_line_bytes(line: LogLine) -> bytes:
    """Return a line of a job's log as bytes, for the store."""
    return canonical(coordinator_service_pb2.ReadLogResponse(at_ms=line.at_ms, party=line.party, text=line.text))


def log_line_of(body: bytes) -> LogLine:
    """Return the line in a body. Raises Malformed."""
    line = parsed(coordinator_service_pb2.ReadLogResponse, body)
    return LogLine(at_ms=line.at_ms, party=text(line.party, "a party", LONGEST_NAME), text=text(line.text, "a line"))


def blame_to(blame: Blame) -> job_pb2.Blame:
    """Return the blame's message."""
    return job_pb2.Blame(party=blame.party, code=blame.code, message=blame.message, hint=blame.hint, rule=blame.rule)


def blame_from(message: job_pb2.Blame) -> Blame:
    """Return the blame's value. Raises Malformed for texts that are too long."""
    return Blame(
        party=text(message.party, "a party", LONGEST_NAME),
        code=text(message.code, "a code", LONGEST_NAME),
        message=text(message.message, "a message"),
        hint=text(message.hint, "a hint"),
        rule=text(message.rule, "a rule", LONGEST_NAME),
    )
