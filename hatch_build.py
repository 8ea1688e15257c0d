"""Build hook: in an editable installation `federation_examples` is the folder examples/ itself, not a copy of it.

The wheel gets the folder by force-include. In an editable installation that would be a snapshot, stale with the first
edit; there the package is one line that points home.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExamplesInPlace(BuildHookInterface):  # type: ignore[type-arg]
    """Replaces the copy of examples/ by a package whose path is examples/."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the one line, for editable builds only."""
        if version == "editable":
            pointer = Path(mkdtemp()) / "__init__.py"
            folder = str(Path(self.root) / "examples")
            pointer.write_text(f'"""The folder examples/ of the checkout."""\n\n__path__ = [{folder!r}]\n', "utf-8")
            build_data["force_include_editable"] = {str(pointer): "federation_examples/__init__.py"}
