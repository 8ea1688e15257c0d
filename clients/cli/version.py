"""`federation version`: what is installed, for bug reports."""

from __future__ import annotations

import platform

from clients.cli.main import installed_version
from clients.cli.options import OutputOption, application
from clients.cli.output import Format, answer

app = application("What is installed: this software, Python, and the machine's kind.")


@app.command()
def version(output: OutputOption = Format.TABLE) -> int:
    """Print the versions of this software and of Python."""
    data = {
        "federation": installed_version(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    return answer(data, text="\n".join(f"{name} {value}" for name, value in data.items()), output=output)
