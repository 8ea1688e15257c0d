"""`federation coordinator start|stop|status`: the relay, for the one who runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli import daemons, memory
from clients.cli.main import installed_version
from clients.cli.options import OutputOption, application
from clients.cli.output import Format, Plain, answer, say
from federation.identity import control

app = application(
    "The relay: forwards what the jurisdictions sign, and is trusted with nothing but being there.\n\n"
    "It needs one TOML file:\n\n"
    "  [coordinator]\n  listen = '127.0.0.1:7443'\n  keys = 'keys/coordinator'\n"
    "  roster = 'roster.json'\n  state = 'state/coordinator'\n\n"
    "Keys and roster come from `federation roster join` and `federation roster sign`."
)
ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The coordinator's TOML file.", metavar="FILE")]


@app.command()
def start(
    config: ConfigOption = Path("coordinator.toml"),
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it listens; it runs on.")] = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Run the coordinator, here until Ctrl-C or detached; both resume what the store holds."""
    from federation.coordinator.config import load

    loaded = load(config)
    if detach:
        process = daemons.launched(["coordinator", "start", "--config", str(config)], loaded.state)
        status = daemons.ready(process, loaded.state, "address")
        text = f"the coordinator listens on {status['address']} (process {status['pid']})"
        return answer({"address": str(status["address"]), "pid": int(str(status["pid"]))}, text=text, output=output)
    import asyncio

    from federation.coordinator.app import serve

    memory.keep()
    daemons.configured_log(loaded.log)
    asyncio.run(serve(loaded, installed_version(), lambda address: say(f"listening on {address}; Ctrl-C ends it")))
    return 0


@app.command()
def stop(config: ConfigOption = Path("coordinator.toml"), output: OutputOption = Format.TABLE) -> int:
    """End the coordinator and return when its process is gone and its port is free."""
    from federation.coordinator.config import load

    pid = daemons.stopped(load(config).state)
    return answer({"pid": pid}, text=f"the coordinator has ended (process {pid})", output=output)


@app.command()
def status(config: ConfigOption = Path("coordinator.toml"), output: OutputOption = Format.TABLE) -> int:
    """Show where it listens, who attends and what runs."""
    from federation.coordinator.config import load

    found = control.ask(load(config).state, "status")
    parties = found["parties"]
    attending = {str(name): bool(here) for name, here in parties.items()} if isinstance(parties, dict) else {}
    lines = [f"listens on {found['address']}, process {found['pid']}"]
    lines += [f"  {name:<20} {'attends' if here else 'not connected'}" for name, here in attending.items()]
    lines.append(f"jobs: {found['running']} running, {found['stored']} stored")
    data: dict[str, Plain] = {
        "address": str(found["address"]),
        "pid": int(str(found["pid"])),
        "parties": attending,
        "running": int(str(found["running"])),
        "stored": int(str(found["stored"])),
    }
    return answer(data, text="\n".join(lines), output=output)
