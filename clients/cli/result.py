"""`federation result [JOB]`: fetch a job that was handed in before, check it, print it."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.cli.options import ModelOption, OutputOption, ProfileOption, ReceiptOption, application
from clients.cli.output import Format, answer

COLUMNS = ("job", "data set", "purpose", "questions", "hash")

app = application("Fetch and check the result of a job that was handed in before.")


@app.command()
def result(
    job: Annotated[str, typer.Argument(help="Its name or hash, or how one begins; none lists the jobs.")] = "",
    profile: ProfileOption = "",
    receipt: ReceiptOption = None,
    model: ModelOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Follow a job that was handed in from this machine to its end, and print its checked result."""
    from clients.cli.run import follow
    from clients.researcher import job_record, session
    from clients.researcher.profile_config import home

    if not job:
        return listed(output)
    record = job_record.record(job, home())
    with session.connect(profile) as connected:
        return follow(connected.handle(record.job, record.job_hash, record.published), output, receipt, model)


def listed(output: Format) -> int:
    """Write the recorded jobs to stdout, the newest last."""
    from clients.researcher import job_record, rendering
    from clients.researcher.asking import written
    from clients.researcher.profile_config import home

    rows: list[tuple[rendering.Cell, ...]] = [
        (
            each.job.name,
            each.job.dataset,
            each.job.purpose,
            "; ".join(written(asked) for asked in each.job.computations),
            each.job_hash.hex()[:12],
        )
        for each in job_record.records(home())
    ]
    return answer(
        [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        text=rendering.text(COLUMNS, rows) if rows else "no job was handed in from this machine",
        shown=lambda: rendering.for_terminal(COLUMNS, rows),
        output=output,
    )
