"""Signed envelopes (DSSE): what is signed with one key, and nothing in the file that the key does not vouch for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.core.strict_json import canonical, parsed
from harness.core.text import plain

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_FIELDS = {"payload", "payloadType", "signatures"}
_SHOWN = 12
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of P-256 (FIPS 186-5): with a signature (r, s) also (r, order - s) is valid."""


def signed(payload: bytes, signer: Any) -> bytes:
    """The line of an envelope: ``payload`` with the signature of a ``securesystemslib`` signer."""
    made = _dsse().Envelope(payload, PAYLOAD_TYPE, {})
    made.sign(signer)
    data = made.to_dict()
    for signature in data["signatures"]:
        signature["sig"] = base64.b64encode(_lowest(signer.public_key, decoded("it", signature["sig"]))).decode()
    return canonical(data)


def opened(name: str, text: bytes, key: Any) -> bytes:
    """What an envelope holds, once its signature was checked with a ``securesystemslib`` key; else KpiError.

    Each byte of ``text`` counts: it must be written as :func:`signed` writes it.
    """
    data = read(name, text)
    unchanged(name, text, data)
    return checked(name, data, key, data["signatures"][0].get("keyid") or "")


def read(name: str, text: bytes) -> dict[str, Any]:
    """The fields of an envelope with exactly one signature, none of them checked."""
    try:
        data = parsed(text)
    except ValueError as error:
        raise KpiError(f"{name} is not a signed statement: {error}", "was it cut off?") from None
    return shaped(name, data)


def shaped(name: str, data: Any) -> dict[str, Any]:
    """The same of an envelope that is a part of another file."""
    if not isinstance(data, dict) or not _FIELDS - {"signatures"} <= set(data):
        raise KpiError(f"{name} is not a signed statement: it is not an envelope (DSSE)")
    found = data.get("signatures")
    if not isinstance(found, list) or not found:
        raise KpiError(f"{name} carries no signature", "ask for the signed one")
    if len(found) > 1:
        raise KpiError(f"{name} carries {len(found)} signatures, expected is one")
    if set(data) != _FIELDS or not isinstance(found[0], dict) or not set(found[0]) <= {"keyid", "sig"}:
        raise KpiError(f"{name} says more than an envelope may, which no signature covers")
    if data["payloadType"] != PAYLOAD_TYPE:
        raise KpiError(f"{name} holds {data['payloadType']!r:.60}, expected is {PAYLOAD_TYPE}")
    decoded(name, data["payload"])
    decoded(name, found[0].get("sig"))
    return data


def unchanged(name: str, text: bytes, data: Any) -> None:
    """KpiError where a file is not written as it was signed, though it may say the same."""
    if text != canonical(data):
        raise KpiError(f"{name} was changed: it is not written as it was signed")


def checked(name: str, data: Mapping[str, Any], key: Any, keyid: object) -> bytes:
    """The payload of a well-formed envelope; KpiError where its signature is not ``key``'s."""
    signer = require("securesystemslib.signer", "securesystemslib")
    wrong = require("securesystemslib.exceptions", "securesystemslib").UnverifiedSignatureError
    if keyid not in (key.keyid, None):
        by = plain(f"{keyid!s:.{_SHOWN}}")
        raise KpiError(f"{name} was signed with another key ({by}), not with {key.keyid:.{_SHOWN}}")
    payload = decoded(name, data["payload"])
    raw = decoded(name, data["signatures"][0]["sig"])
    envelope = _dsse().Envelope(payload, data["payloadType"], {})
    try:
        key.verify_signature(signer.Signature(key.keyid, raw.hex()), envelope.pae())
    except wrong:
        raise KpiError(f"{name} was signed with another key, or changed after it was signed") from None
    if raw != _lowest(key, raw):
        raise KpiError(f"{name} was changed: its signature is not written as it was signed")
    return payload


def lower(signature: bytes) -> bytes:
    """The one of the two spellings of a signature of ECDSA P-256 that is written here: that with the smaller s."""
    utils = require("cryptography.hazmat.primitives.asymmetric.utils", "cryptography")
    r, s = utils.decode_dss_signature(signature)
    made: bytes = utils.encode_dss_signature(r, min(s, _ORDER - s))
    return made


def _lowest(key: Any, signature: bytes) -> bytes:
    """The same of any key's; of an Ed25519 signature there is one spelling alone."""
    return lower(signature) if key.keytype == "ecdsa" else signature


def decoded(name: str, text: object) -> bytes:
    """The bytes of base64 as it must be written; KpiError for any other spelling of them."""
    try:
        found = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not found or base64.b64encode(found).decode() != text:
        raise KpiError(f"{name} was changed: a part of it is not base64")
    return found


def _dsse() -> Any:
    return require("securesystemslib.dsse", "securesystemslib")
