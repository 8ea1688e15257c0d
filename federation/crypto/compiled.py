"""What compiled code has in common, wherever there is some: it can be left out, for comparisons."""

from __future__ import annotations


class LeftOut:
    """Within it nothing goes through compiled code of ours. Of the whole process, not of a thread."""

    depth = 0

    def __enter__(self) -> None:
        LeftOut.depth += 1

    def __exit__(self, *_: object) -> None:
        LeftOut.depth -= 1
