"""What became of one request, and what became of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LATE_S = 0.001
"""A request that leaves later than this after it was due counts as sent late."""
LATE_SHARE = 0.01
"""More than this share sent late, and the client itself was too slow for what it was asked to send."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Times in seconds of one clock: when the request was due, was sent, was over; when text came first and last.

    ``first`` counts thoughts before the answer too, ``first_content`` the answer alone.

    ``error`` is the kind of what went wrong, empty for an answer; ``said`` explains it. ``tokens`` is None where
    neither the server counted them nor a stream shows them.
    """

    due: float
    sent: float
    end: float
    first: float | None = None
    last: float | None = None
    tokens: int | None = None
    error: str = ""
    said: str = ""
    first_content: float | None = None

    @property
    def latency(self) -> float:
        """From when it was due, not from when it was sent: what the user waited."""
        return self.end - self.due

    @property
    def ttft(self) -> float | None:
        """From when it was due to the first text; None where the answer was no stream."""
        return None if self.first is None else self.first - self.due

    @property
    def ttft_content(self) -> float | None:
        """The same to the first text of the answer itself; None also where it ended within its thoughts."""
        return None if self.first_content is None else self.first_content - self.due

    @property
    def tpot(self) -> float | None:
        """Seconds for each token after the first; None where there is one or none."""
        if self.first is None or self.last is None or self.tokens is None or self.tokens < 2:  # noqa: PLR2004
            return None
        return (self.last - self.first) / (self.tokens - 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer must keep to count as given in time; seconds, None for what does not matter."""

    latency: float | None = None
    ttft: float | None = None
    tpot: float | None = None

    def kept(self, reply: Reply) -> bool:
        """Whether a request was answered, and within all of them."""
        asked = ((self.latency, reply.latency), (self.ttft, reply.ttft), (self.tpot, reply.tpot))
        return not reply.error and all(limit is None or (v is not None and v <= limit) for limit, v in asked)


def summary(replies: Sequence[Reply], limits: Limits) -> dict[str, Any]:
    """Fields of a process's record: only answers have latencies; what failed is counted by its kind."""
    ordered = sorted(replies, key=lambda reply: reply.due)
    good = [reply for reply in ordered if not reply.error]
    failed = [reply for reply in ordered if reply.error]
    examples = {reply.error: reply.said for reply in reversed(failed)}
    late = sum(reply.sent - reply.due > LATE_S for reply in ordered)
    remarks = []
    if late > LATE_SHARE * len(ordered):
        remarks.append(f"{late} of {len(ordered)} requests left over {1e3 * LATE_S:g} ms late: the client was busy")
    return {
        "samples_s": [reply.latency for reply in good],
        "completed": len(good),
        "elapsed_s": max(reply.end for reply in ordered) - ordered[0].due,
        "batch": 1,
        "series": {
            "ttft_s": [value for reply in good if (value := reply.ttft) is not None],
            "ttft_content_s": [value for reply in good if (value := reply.ttft_content) is not None],
            "tpot_s": [value for reply in good if (value := reply.tpot) is not None],
            "tokens": [float(reply.tokens) for reply in good if reply.tokens is not None],
        },
        "details": {
            "sent": len(ordered),
            "failed": len(failed),
            "errors": dict(Counter(reply.error for reply in failed).most_common()),
            "said": examples,
            "in_time": sum(limits.kept(reply) for reply in ordered),
            "sent_late": late,
            "remarks": remarks,
        },
    }
