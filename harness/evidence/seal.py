"""A digest chain over the evidence, so that an edited file is noticed; with a key also a proof of origin."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any

KEY_VARIABLE = "KPI_SEAL_KEY"
"""The environment variable that may hold a secret; it is never written anywhere."""
_START = b"kpi evidence, schema 1"


def seal(evidence: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    """The evidence with its seal: ``digest`` ends a SHA-256 chain over measurements, targets and the rest.

    With a ``key`` the seal also holds ``hmac``, which only those who have the key can make.
    """
    digest = _chain(evidence)
    mark = {"algorithm": "sha256-chain", "digest": digest}
    if key:
        mark["hmac"] = _sign(digest, key)
    return {**evidence, "seal": mark}


def broken(evidence: Mapping[str, Any], key: str | None) -> str:
    """Why the seal does not hold; empty when it does. With a ``key`` a seal without a signature does not hold."""
    mark = evidence.get("seal")
    if not isinstance(mark, Mapping) or "digest" not in mark:
        return "it carries no seal"
    if _chain(evidence) != mark["digest"]:
        return "it was changed after it was sealed"
    if key and not hmac.compare_digest(str(mark.get("hmac", "")), _sign(mark["digest"], key)):
        return f"it was not sealed with the key in {KEY_VARIABLE}"
    return ""


def _chain(evidence: Mapping[str, Any]) -> str:
    link = hashlib.sha256(_START).digest()
    for part in _parts(evidence):
        link = hashlib.sha256(link + json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).digest()
    return link.hex()


def _parts(evidence: Mapping[str, Any]) -> Iterator[Any]:
    yield from evidence.get("measurements", [])
    yield from evidence.get("targets", [])
    yield {k: v for k, v in evidence.items() if k not in ("measurements", "targets", "seal")}


def _sign(digest: str, key: str) -> str:
    return hmac.new(key.encode(), digest.encode(), hashlib.sha256).hexdigest()
