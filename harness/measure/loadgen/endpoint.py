"""Where a served language model is reached, in which protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.measure.loadgen.dialects import Dialect, Wish


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``url``: scheme, host, port and perhaps a path, without a slash at the end; ``timeout_s`` for one request.

    ``token`` goes into the Authorization header and nowhere else. ``extra`` is added to every request's JSON.
    """

    url: str
    dialect: type[Dialect]
    model: str
    timeout_s: float
    token: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def target(self, wish: Wish) -> str:
        """The URL that requests are posted to."""
        return self.url + self.dialect.path(self.model, wish)

    def body(self, prompt: str, wish: Wish) -> bytes:
        """A request as it goes over the wire."""
        return json.dumps({**self.dialect.body(self.model, prompt, wish), **self.extra}).encode()

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}
