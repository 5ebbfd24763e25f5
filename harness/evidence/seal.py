"""A digest over the evidence's own bytes, so that an edited file is noticed; with a key also a proof of origin."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.core.codec import encode
from harness.evidence.model import Seal

KEY_VARIABLE = "KPI_SEAL_KEY"
"""The environment variable that may hold a secret; it is never written anywhere."""
ALGORITHM = "sha256-bytes"
MARK = b'"seal":'
"""The line that ends the file; what is before it is sealed."""
END = b"}\n"
"""What follows the seal, and nothing else."""
_START = b"kpi evidence, schema 1"


def sealed(digest: str, key: str | None) -> Seal:
    """The seal of a file whose bytes before it have this digest.

    With a ``key`` it also holds ``hmac``, which only those who have the key can make.
    """
    return Seal(ALGORITHM, digest, _sign(digest, key) if key else None)


def broken(text: bytes, seal: Seal | None, key: str | None) -> str:
    """Why the seal of a file does not hold; empty when it does.

    With a ``key`` a seal without a signature does not hold.
    """
    if seal is None:
        return "it carries no seal"
    before, mark, after = text.rpartition(MARK)
    # What follows the seal is not sealed: a second "targets" there would be read in place of the first.
    if not mark or after != encode(seal) + END:
        return "it was changed after it was sealed"
    return _wrong(hashlib.sha256(before).hexdigest(), seal.digest, seal.hmac, key)


def sealed_record(record: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    """A small record, such as a package's, with a seal over what it says, however it is written."""
    digest = _chain(record)
    mark = {"algorithm": "sha256-chain", "digest": digest}
    if key:
        mark["hmac"] = _sign(digest, key)
    return {**record, "seal": mark}


def broken_record(record: Mapping[str, Any], key: str | None) -> str:
    """Why the seal of a record does not hold; empty when it does. Evidence of schema 1 is sealed so, too."""
    mark = record.get("seal")
    if not isinstance(mark, Mapping) or "digest" not in mark:
        return "it carries no seal"
    return _wrong(_chain(record), str(mark["digest"]), mark.get("hmac"), key)


def _chain(record: Mapping[str, Any]) -> str:
    link = hashlib.sha256(_START).digest()
    for part in _parts(record):
        link = hashlib.sha256(link + json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).digest()
    return link.hex()


def _wrong(found: str, stated: str, signature: object, key: str | None) -> str:
    if found != stated:
        return "it was changed after it was sealed"
    if key and not hmac.compare_digest(str(signature or ""), _sign(stated, key)):
        return f"it was not sealed with the key in {KEY_VARIABLE}"
    return ""


def _parts(record: Mapping[str, Any]) -> Iterator[Any]:
    yield from record.get("measurements", [])
    yield from record.get("targets", [])
    yield {k: v for k, v in record.items() if k not in ("measurements", "targets", "seal")}


def _sign(digest: str, key: str) -> str:
    return hmac.new(key.encode(), digest.encode(), hashlib.sha256).hexdigest()
