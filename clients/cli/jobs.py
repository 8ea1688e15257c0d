"""`federation get | describe | logs | cancel`: one's own jobs at the coordinator, and who attends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from clients.cli.options import OutputOption, ProfileOption, application
from clients.cli.output import Format, Plain, answer, event, say
from federation.domain.job import Blame, LogLine, Summary

JobArgument = Annotated[
    str, typer.Argument(help="Its name or hash, or how one begins; `federation get jobs` lists them.")
]
JOB_COLUMNS = ("job", "state", "data set", "purpose", "sums", "submitted", "hash")

get_app = application("List your jobs, the jurisdictions, or the data sets.")
describe_app = application("Show one job: what was asked, where it stands, who did what.")
logs_app = application("Read what happened to a job.")
cancel_app = application("End a job of yours.")


class Listed(StrEnum):
    """What `get` lists."""

    JOBS = "jobs"
    PARTIES = "parties"
    DATASETS = "datasets"


@get_app.command()
def get(
    what: Annotated[Listed, typer.Argument(help="What to list.")] = Listed.JOBS,
    profile: ProfileOption = "",
    output: OutputOption = Format.TABLE,
) -> int:
    """List your jobs (newest last), who attends, or what is published."""
    from clients.researcher import rendering, session

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    with session.connect(profile) as connected:
        match what:
            case Listed.JOBS:
                columns, rows = JOB_COLUMNS, [_row(each) for each in connected.jobs()]
            case Listed.PARTIES:
                columns = ("jurisdiction", "attends", "software")
                rows = [(p.party, "yes" if p.connected else "no", p.software) for p in connected.attendance()]
            case Listed.DATASETS:
                columns = ("data set", "parties")
                rows = [(table.name, ", ".join(table.parties)) for table in connected.tables()]
    data: list[Plain] = [dict(zip(columns, row, strict=True)) for row in rows]
    nothing = {
        Listed.JOBS: "you have no jobs here",
        Listed.PARTIES: "no jurisdiction",
        Listed.DATASETS: "nothing is published",
    }
    text = rendering.text(columns, rows) if rows else nothing[what]
    return answer(
        data, text=text, shown=(lambda: rendering.for_terminal(columns, rows)) if rows else None, output=output
    )


@describe_app.command()
def describe(job: JobArgument, profile: ProfileOption = "", output: OutputOption = Format.TABLE) -> int:
    """Show one job: its questions, its frame, every party's last step, and why it ended."""
    from clients.researcher import session
    from clients.researcher.asking import written

    with session.connect(profile) as connected:
        found = connected.job(job)
        standing = connected.standing(found)
    asked = found.job
    lines = [
        f"{asked.name}  {standing.state.value}",
        f"  asks        {'; '.join(written(c) for c in asked.computations)}",
        f"  of          {asked.dataset}{f' where {asked.where}' if asked.where else ''}",
        f"  purpose     {asked.purpose or 'none given'}",
        f"  protection  {asked.protection}, {standing.round_index} of at most {asked.max_rounds} secure sums open",
        f"  submitted   {_time(found.submitted_ms)}",
        f"  deadline    {_time(asked.deadline_ms)}",
        f"  hash        {found.job_hash.hex()}",
    ]
    lines += [
        f"  {p.party:<12}{p.step}{'' if p.connected else ' (offline)'}, {p.sent_bytes} bytes" for p in standing.parties
    ]
    lines += [f"  because     {blame.message}{f' ({blame.hint})' if blame.hint else ''}" for blame in standing.blames]
    data: dict[str, Plain] = {
        "job": asked.name,
        "job_hash": found.job_hash,
        "state": standing.state.value,
        "questions": [written(c) for c in asked.computations],
        "dataset": asked.dataset,
        "where": asked.where,
        "purpose": asked.purpose,
        "protection": asked.protection,
        "rounds": standing.round_index,
        "max_rounds": asked.max_rounds,
        "submitted_ms": found.submitted_ms,
        "deadline_ms": asked.deadline_ms,
        "parties": [
            {"party": p.party, "step": p.step, "connected": p.connected, "sent_bytes": p.sent_bytes}
            for p in standing.parties
        ],
        "blames": [_blame(blame) for blame in standing.blames],
    }
    return answer(data, text="\n".join(lines), output=output)


@logs_app.command()
def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    party: Annotated[str, typer.Option("--party", help="Only what this member did.")] = "",
    profile: ProfileOption = "",
    output: OutputOption = Format.TABLE,
) -> int:
    """Read what happened to a job, line by line; no line holds a data value."""
    from clients.cli.output import line as written_line
    from clients.researcher import session

    lines: list[Plain] = []
    with session.connect(profile) as connected:
        for each in connected.log(connected.job(job), follow=follow):
            if party and each.party != party:
                continue
            lines.append(_logged(each))
            if output is Format.TABLE:
                written_line(f"{_time(each.at_ms)}  {each.party:<16}{each.text}")
            else:
                event(_logged(each), output=output)
    return 0 if output is Format.TABLE else answer(lines, text="", output=output)


@cancel_app.command()
def cancel(job: JobArgument, profile: ProfileOption = "", output: OutputOption = Format.TABLE) -> int:
    """End a job of yours; every party is told and forgets its secrets of it."""
    from clients.researcher import session

    with session.connect(profile) as connected:
        found = connected.job(job)
        if found.state.ended:
            say(f"note: {found.job.name} had ended before")
        state = connected.cancel(found)
    data: dict[str, Plain] = {"job": found.job.name, "job_hash": found.job_hash, "state": state.value}
    return answer(data, text=f"{found.job.name} {state.value}", output=output)


def _row(each: Summary) -> tuple[str, ...]:
    job = each.job
    sums = f"{each.round_index}/{job.max_rounds}"
    return (
        job.name,
        each.state.value,
        job.dataset,
        job.purpose,
        sums,
        _time(each.submitted_ms),
        each.job_hash.hex()[:12],
    )


def _time(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at_ms else "-"


def _logged(line: LogLine) -> dict[str, Plain]:
    return {"at_ms": line.at_ms, "party": line.party, "text": line.text}


def _blame(blame: Blame) -> dict[str, Plain]:
    return {"party": blame.party, "code": blame.code, "rule": blame.rule, "message": blame.message, "hint": blame.hint}
