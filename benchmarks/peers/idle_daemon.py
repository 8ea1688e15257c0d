"""The command `federation` with one strategy more: `idle`, which trains nothing.

For `training_rounds.py` beside it; whoever imports this knows that strategy too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from federation.training import strategies

strategies.__path__.append(str(Path(__file__).parent / "idle"))

if __name__ == "__main__":
    from clients.cli.main import main

    sys.exit(main())
