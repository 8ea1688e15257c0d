"""What a stretch of work took, of the processor and on the clock, stage by stage."""

from __future__ import annotations

import time


class Meter:
    """Processor time and time on the clock since it was made or read."""

    def __init__(self) -> None:
        self.found: dict[str, object] = {"cpu_s": 0.0, "wall_s": 0.0, "stage_cpu_s": {}}
        self._at = time.process_time(), time.perf_counter()

    def lap(self, stage: str) -> Meter:
        """Add what passed to this stage and to the whole."""
        now = time.process_time(), time.perf_counter()
        used, spent = (after - before for after, before in zip(now, self._at, strict=True))
        self.found["cpu_s"] += used
        self.found["wall_s"] += spent
        self.found["stage_cpu_s"][stage] = used
        self._at = time.process_time(), time.perf_counter()
        return self
