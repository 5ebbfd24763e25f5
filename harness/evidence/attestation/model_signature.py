"""The signature of a whole package (OpenSSF Model Signing): a digest of every file, signed with a P-256 key."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, reason
from harness.core.libraries import require
from harness.core.strict_json import canonical, parsed
from harness.evidence.attestation.envelope import checked, lower, shaped, unchanged
from harness.evidence.attestation.keys import PublicKeys, SigningKeys, passphrase

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE = "https://model_signing/signature/v1.0"
_SERIALIZATION = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


def sign_folder(folder: Path, keys: SigningKeys) -> bytes:
    """Has ``model_signing`` sign all that is in a folder with the P-256 key; the bytes of the signature."""
    model_signing = require("model_signing", "model-signing")
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False)
    out = folder.with_name(f"{folder.name}.sig")
    try:
        signing = model_signing.signing.Config().set_hashing_config(hashing)
        secret = passphrase() if keys.locked else None  # set for another key, it would be refused
        signing.use_elliptic_key_signer(private_key=keys.file, password=secret).sign(folder, out)
        made = parsed(out.read_bytes())
        (signature,) = made["dsseEnvelope"]["signatures"]
        signature["sig"] = base64.b64encode(lower(base64.b64decode(signature["sig"]))).decode()
        signature["keyid"] = ""
        made["verificationMaterial"]["tlogEntries"] = []
        # As one line, so that every byte of it is held against what it says.
        return canonical(made)
    except (ValueError, TypeError, OSError) as error:
        raise KpiError(f"the package can't be signed: {reason(error)}") from error


def signed_files(name: str, text: bytes, keys: PublicKeys) -> dict[str, str]:
    """The SHA-256 of each file that was signed, by its name; KpiError where the signature is not the key's."""
    if keys.package is None:
        raise KpiError(
            "the public key holds no P-256 key, which OpenSSF Model Signing needs",
            "ask for the whole file that `kpi keygen` wrote",
        )
    try:
        data = parsed(text)
        envelope = shaped(name, data["dsseEnvelope"])
        wanted = {"mediaType": MEDIA_TYPE, "verificationMaterial": _material(keys), "dsseEnvelope": envelope}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KpiError(f"{name} is not a signature of OpenSSF Model Signing: {error}", "was it cut off?") from None
    unchanged(name, text, data)
    found = checked(name, envelope, keys.package, None)
    if data != wanted or envelope["signatures"][0].get("keyid") != "":
        raise KpiError(f"{name} was signed with another key, or changed after it was signed")
    return _resources(name, found)


def _material(keys: PublicKeys) -> dict[str, Any]:
    """What a bundle must say of its key: a digest of the public one; of a log of signatures nothing."""
    pem = keys.package.keyval["public"]
    return {"publicKey": {"hint": hashlib.sha256(pem.encode()).hexdigest()}, "tlogEntries": []}


def _resources(name: str, payload: bytes) -> dict[str, str]:
    try:
        statement = parsed(payload)
        if statement["predicateType"] != PREDICATE:
            raise ValueError(f"it signs {statement['predicateType']!r:.80}")
        predicate = statement["predicate"]
        serialization = {k: v for k, v in predicate["serialization"].items() if k != "ignore_paths"}
        if serialization != _SERIALIZATION or predicate["serialization"].get("ignore_paths"):
            raise ValueError("it does not sign each file by its SHA-256")
        resources = predicate["resources"]
        found = {str(each["name"]): str(each["digest"]) for each in resources}
        if len(found) != len(resources) or {each["algorithm"] for each in resources} != {"sha256"}:
            raise ValueError("it signs a file twice, or not by its SHA-256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KpiError(f"{name} is not a signature of files: {error}") from None
    return found
