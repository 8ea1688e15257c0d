"""`federation plan JOB.toml`: what a job would open, and to whom; nobody is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.cli.options import JobFileArgument, OutputOption, ProfileOption, ProtectionOption, application
from clients.cli.output import Format, answer

if TYPE_CHECKING:
    from clients.researcher.forecast import Forecast

app = application("What a job would open, and to whom.")


@app.command()
def plan(
    job: JobFileArgument,
    profile: ProfileOption = "",
    protection: ProtectionOption = "",
    output: OutputOption = Format.TABLE,
) -> int:
    """Show what a job would open, to whom, and under which promise. It reads the catalogue and asks nobody."""
    from clients.cli.run import protected
    from clients.researcher import session
    from clients.researcher.job_config import job_file

    asked = protected(job_file(job), protection)
    with session.connect(profile) as connected:
        return show(connected.plan(asked.computations, data=connected.table_of(asked)), output)


def show(forecast: Forecast, output: Format) -> int:
    """Write a forecast to stdout; return 2 if one of its questions cannot be asked."""
    return answer(
        forecast.to_dict(),
        text=forecast.summary(),
        shown=forecast.for_terminal,
        output=output,
        exit_code=2 if forecast.failures else 0,
    )
