"""`federation run JOB.toml`: hand in a job, follow it, print its checked result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.options import (
    JobFileArgument,
    ModelOption,
    OutputOption,
    ProfileOption,
    ProtectionOption,
    ReceiptOption,
    application,
)
from clients.cli.output import Format, Plain, answer, say
from clients.cli.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from clients.researcher.asking import Asked
    from clients.researcher.handle import Handle
    from federation.domain.job import Job

# \b: typer keeps these lines as they are
EXAMPLE = """\b
A job file:
\b
  purpose = "tuberculosis-2026"
  data = "tb"
  where = "year >= 2000"
\b
  [[statistic]]
  name = "mean"
  column = "age"
  by = "sex"
\b
Or a model instead of statistics (docs/training.md):
\b
  [train]
  model = "mlp"
  target = "ill"
  strategy = { name = "fedavg", rounds = 20 }
"""

app = application("Run a job and follow it.")


@app.command(epilog=EXAMPLE)
def run(
    file: JobFileArgument,
    profile: ProfileOption = "",
    wait: Annotated[bool, typer.Option(help="Follow the job to its end, or hand it in and return at once.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what it would open, and ask nobody.")] = False,
    token: Annotated[
        str, typer.Option("--token", help="Any text: running again with it is the same job, not another one.")
    ] = "",
    protection: ProtectionOption = "",
    receipt: ReceiptOption = None,
    model: ModelOption = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Hand in a job, follow it, and print its result, checked here against what every party signed.

    The result goes to stdout, progress to stderr. Ctrl-C stops following; the job goes on: `federation result`.
    """
    from clients.cli.plan import show
    from clients.researcher import job_record, session
    from clients.researcher.job_config import job_file
    from clients.researcher.profile_config import home

    asked = protected(job_file(file), protection)
    with session.connect(profile) as connected:
        table = connected.table_of(asked)
        if dry_run:
            return show(connected.plan(asked.computations, data=table), output)
        record = job_record.with_token(token, home()) if token else None
        if record is None:
            drawn = job_record.token_of(token) if token else None
            job = connected.prepared(asked.computations, data=table, token=drawn)
            check_model(job, model)
            record = job_record.record_of(job, table.publications)
            job_record.save(record, home())  # before it leaves: what follows may be cut off
        handle = connected.hand_in(record.job, record.published)
        if not wait:
            return handed_in(handle, output)
        return follow(handle, output, receipt, model)


def protected(asked: Asked, protection: str) -> Asked:
    """Return what a job file asks, protected as the command line says if it does."""
    import dataclasses

    if not protection:
        return asked
    return dataclasses.replace(asked, frame=dataclasses.replace(asked.frame, protection=protection))


def check_model(job: Job, model: Path | None) -> None:
    """Raise Misuse if the job trains nothing that could be written to `model`, or something is there already."""
    from federation.errors import Misuse
    from federation.jobs.training import is_training

    if model is None:
        return
    if not is_training(job):
        raise Misuse(f"job {job.name} asks statistics: there is no model to write", hint="leave --model out")
    if model.exists():
        raise Misuse(f"{model} is there already", hint="a checkpoint is never overwritten: name another file")


def follow(handle: Handle, output: Format, receipt: Path | None = None, model: Path | None = None) -> int:
    """Follow a job on stderr, write its results to stdout; return 1 if one of its questions failed."""
    import dataclasses

    from federation.jobs.training import is_training

    check_model(handle.job, model)
    if is_training(handle.job):
        from clients.cli import training

        return training.follow(handle, output, receipt, model)
    try:
        with Progress(handle.name, output=output) as progress:
            results = dataclasses.replace(handle, on_update=progress.show).results()
    except KeyboardInterrupt:
        say(f"hint: the job goes on without us: federation result {handle.name}")
        raise
    if receipt is not None:
        results.receipt.save(receipt)
        say(f"receipt: {receipt}")
    data: dict[str, Plain] = {"job": handle.name, "job_hash": handle.job_hash, **results.to_dict()}
    return answer(
        data,
        text=results.summary(),
        shown=results.for_terminal,
        output=output,
        exit_code=1 if results.failures else 0,
    )


def handed_in(handle: Handle, output: Format) -> int:
    """Say which job was handed in, and how to ask for its result."""
    say(f"hint: federation result {handle.name}")
    data: dict[str, Plain] = {"job": handle.name, "job_hash": handle.job_hash, "state": "submitted"}
    return answer(data, text=handle.name, output=output)
