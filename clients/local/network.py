"""A coordinator and its jurisdictions in one process: the same drivers and the same signed bytes, no socket between.

Frames are delivered one by one in the order in which they were sent, so a run is deterministic but for the entropy. A
`link` may look at, change or lose frames: that is how tests plant a malicious coordinator or a broken line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from clients.jurisdiction.driver import Driver as Jurisdiction
from federation.coordinator.driver import Driver as Coordinator
from federation.coordinator.run import Outgoing
from federation.wire import messages as m

# (direction "in" to or "out" of the coordinator, party, frame) -> the frame that arrives, or None if it is lost
Link: TypeAlias = Callable[[str, str, m.Frame], m.Frame | None]


def honest(_direction: str, _party: str, frame: m.Frame) -> m.Frame | None:
    """Deliver what was sent."""
    return frame


class Network:
    """Delivers frames between one coordinator and its jurisdictions until nobody has anything to send."""

    def __init__(
        self, coordinator: Coordinator, jurisdictions: Mapping[str, Jurisdiction], link: Link = honest
    ) -> None:
        self.coordinator, self.jurisdictions, self.link = coordinator, dict(jurisdictions), link
        self._waiting: deque[tuple[str, str, m.Frame]] = deque()

    def connect(self, party: str) -> None:
        """Let a jurisdiction attend, and deliver what follows."""
        self.sent(self.coordinator.attend(party, self.jurisdictions[party].hello()))
        self.settle()

    def sent(self, outgoing: Sequence[Outgoing]) -> None:
        """Take what the coordinator sends."""
        self._waiting.extend(("out", item.to, item.frame) for item in outgoing)

    def settle(self) -> None:
        """Deliver until nothing is on its way."""
        while self._waiting:
            direction, party, sent = self._waiting.popleft()
            frame = self.link(direction, party, sent)
            if frame is None or party not in self.coordinator.connected:
                continue
            if direction == "out":
                self._waiting.extend(("in", party, answer) for answer in self.jurisdictions[party].receive(frame))
            else:
                self.sent(self.coordinator.receive(party, frame))
