"""Envelopes: one signature of one key over all that counts, read by others, and nothing in the file beyond it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError

from harness.core.errors import KpiError
from harness.core.strict_json import canonical, parsed
from harness.evidence.attestation.envelope import PAYLOAD_TYPE, opened, signed
from harness.evidence.attestation.keys import PublicKeys, SigningKeys, make_keys, read_private, read_public

PAYLOAD = b'{"_type":"it"}'


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[SigningKeys, PublicKeys, PublicKeys]:
    """A pair, and the public keys of another."""
    folder: Path = tmp_path_factory.mktemp("keys")
    make_keys(folder / "k")
    make_keys(folder / "other")
    return read_private(folder / "k.pem"), read_public(folder / "k.pub"), read_public(folder / "other.pub")


def test_what_was_signed_is_what_another_library_verifies(
    keys: tuple[SigningKeys, PublicKeys, PublicKeys],
) -> None:
    private, public, other = keys
    for signer, key in ((private.statement, public.statement), (private.package, public.package)):
        text = signed(PAYLOAD, signer)
        assert opened("it", text, key) == PAYLOAD
        envelope = Envelope.from_dict(json.loads(text))
        assert (envelope.payload, envelope.payload_type) == (PAYLOAD, PAYLOAD_TYPE)
        assert envelope.verify([key], 1).keys() == {key.keyid}
        with pytest.raises((VerificationError, UnverifiedSignatureError)):
            envelope.verify([other.statement, other.package], 1)


def other_spelling(signature: bytes) -> bytes:
    """A signature of ECDSA that is as valid: with the order of the curve minus s."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 - s)


def test_a_signature_has_one_spelling(keys: tuple[SigningKeys, PublicKeys, PublicKeys]) -> None:
    private, public, _ = keys
    for _ in range(8):  # of two signatures one would be written with the larger s
        data = json.loads(signed(PAYLOAD, private.package))
        assert opened("it", canonical(data), public.package) == PAYLOAD
        (signature,) = data["signatures"]
        signature["sig"] = base64.b64encode(other_spelling(base64.b64decode(signature["sig"]))).decode()
        assert Envelope.from_dict(json.loads(canonical(data))).verify([public.package], 1)
        with pytest.raises(KpiError, match="its signature is not written as it was signed"):
            opened("it", canonical(data), public.package)
    data = json.loads(signed(PAYLOAD, private.statement))
    for keyid in (None, ""):
        data["signatures"][0]["keyid"] = keyid
        with pytest.raises(KpiError, match="was signed with another key"):
            opened("it", canonical(data), public.statement)


def edited(text: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    data = json.loads(text)
    change(data)
    return canonical(data)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no signature": (lambda d: d.update(signatures=[]), "it carries no signature"),
    "no word of any": (lambda d: d.pop("signatures"), "it carries no signature"),
    "two": (lambda d: d["signatures"].append(dict(d["signatures"][0])), "it carries 2 signatures, expected is one"),
    "another payload": (
        lambda d: d.update(payload=base64.b64encode(b'{"_type":"no"}').decode()),
        "it was signed with another key, or changed after it was signed",
    ),
    "another type": (lambda d: d.update(payloadType="text/plain"), "it holds 'text/plain', expected is"),
    "no name of a key": (lambda d: d["signatures"][0].pop("keyid"), "it was signed with another key"),
    "another name of a key": (lambda d: d["signatures"][0].update(keyid="0" * 64), r"another key \(000000000000\)"),
    "more": (lambda d: d.update(note="trust me"), "says more than an envelope may"),
    "more of the signature": (lambda d: d["signatures"][0].update(cert="x"), "says more than an envelope may"),
    "no payload": (lambda d: d.update(payload=""), "a part of it is not base64"),
    "not base64": (lambda d: d["signatures"][0].update(sig="!"), "a part of it is not base64"),
    "not text": (lambda d: d["signatures"][0].update(sig=5), "a part of it is not base64"),
    "not an envelope": (lambda d: d.clear(), "it is not an envelope"),
}


@pytest.mark.parametrize("case", WRONG)
def test_anything_else_is_one_line(keys: tuple[SigningKeys, PublicKeys, PublicKeys], case: str) -> None:
    change, said = WRONG[case]
    text = edited(signed(PAYLOAD, keys[0].statement), change)
    with pytest.raises(KpiError, match=said) as raised:
        opened("it", text, keys[1].statement)
    assert "\n" not in str(raised.value)


def test_a_key_of_the_other_kind_does_not_count(keys: tuple[SigningKeys, PublicKeys, PublicKeys]) -> None:
    private, public, other = keys
    for key in (public.package, other.statement, other.package):
        with pytest.raises(KpiError, match="it was signed with another key"):
            opened("it", signed(PAYLOAD, private.statement), key)
    # Nor does the right one, under the name of the other.
    named = edited(signed(PAYLOAD, private.statement), lambda d: d["signatures"][0].update(keyid=other.statement.keyid))
    with pytest.raises(KpiError, match="another key, or changed after"):
        opened("it", named, other.statement)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"\xff", b"{", b"[" * 100_000, b"9" * 5000, b'{"payload": NaN}'],
    ids=["empty", "list", "null", "not UTF-8", "cut off", "deep", "long", "nan"],
)
def test_what_is_no_envelope_is_one_line(keys: tuple[SigningKeys, PublicKeys, PublicKeys], text: bytes) -> None:
    with pytest.raises(KpiError, match="it is not a signed statement") as raised:
        opened("it", text, keys[1].statement)
    assert "\n" not in str(raised.value)


def test_every_byte_counts(keys: tuple[SigningKeys, PublicKeys, PublicKeys]) -> None:
    text = signed(b'{"a":1}', keys[0].statement)
    for at in range(len(text)):
        for other in {text[at] ^ 1, text[at] ^ 0x20, 0x20} - {text[at]}:
            changed = text[:at] + bytes([other]) + text[at + 1 :]
            with pytest.raises(KpiError):
                opened("it", changed, keys[1].statement)
    for longer in (text + b" ", text + b"\n", b" " + text, text.replace(b",", b", ", 1), text[:-1]):
        with pytest.raises(KpiError, match="it is not written as it was signed"):
            opened("it", longer, keys[1].statement)


def test_a_key_that_is_there_twice_is_refused(keys: tuple[SigningKeys, PublicKeys, PublicKeys]) -> None:
    text = signed(PAYLOAD, keys[0].statement)
    with pytest.raises(KpiError, match="the key 'payload' is there twice"):
        opened("it", b'{"payload":"e30=",' + text[1:], keys[1].statement)
    assert parsed('{"a": [1, {"b": 2.5}]}') == {"a": [1, {"b": 2.5}]}
