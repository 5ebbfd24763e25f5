"""Key pairs to sign with: Ed25519 for statements, ECDSA P-256 for OpenSSF Model Signing, in one PEM file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError, Unavailable
from harness.core.libraries import require

PASSPHRASE = "KPI_KEY_PASSPHRASE"
"""The environment variable that may hold the passphrase of a private key; it is never written anywhere."""
PRIVATE, PUBLIC = ".pem", ".pub"
_ED25519, _P256 = "Ed25519", "P-256"
_WANTED = "an Ed25519 or a P-256 key is needed; `kpi keygen` makes a pair"
_LARGEST = 1 << 16
_LONGEST_PASSPHRASE = 1023  # bytes that OpenSSL takes
_INSTALL = "'securesystemslib[crypto]'"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Private keys in memory: ``statement`` signs statements, ``package`` packages, as `securesystemslib` signers.

    The second is None where ``file`` does not begin with a P-256 key: OpenSSF Model Signing reads the file itself, and
    the first key of it alone. ``locked`` says whether that one is encrypted.
    """

    statement: Any
    package: Any
    file: Path
    locked: bool

    def __repr__(self) -> str:
        return f"SigningKeys({self.statement.public_key.keyid})"  # what is private never gets into a log


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What is checked with: ``securesystemslib`` keys; ``package`` is None where the file has no P-256 key."""

    statement: Any
    package: Any


def make_keys(out: Path) -> tuple[Path, Path, str, bool]:
    """Writes ``out.pem`` (private, for its owner alone) and ``out.pub``; both, the key's id, if the first is encrypted.

    It is where the passphrase's variable is set. KpiError where one is there already: it is never replaced.
    """
    crypto = _crypto()
    if out.name.removesuffix(PRIVATE) in ("", ".."):
        raise KpiError(f'"{out}" can not name a key', "give the name of a file: kpi keygen release")
    base = out.with_name(out.name.removesuffix(PRIVATE))
    private, public = base.with_name(base.name + PRIVATE), base.with_name(base.name + PUBLIC)
    # P-256 first: other tools read the first key of a file, and model_signing knows no Ed25519.
    keys = [crypto.ec.generate_private_key(crypto.ec.SECP256R1()), crypto.ed25519.Ed25519PrivateKey.generate()]
    form = crypto.serialization
    secret = passphrase()
    locked = form.BestAvailableEncryption(secret) if secret else form.NoEncryption()
    for path in (private, public):
        if os.path.lexists(path):
            raise KpiError(f"{path} is there already: a key is never replaced", "give another name")
    encoded = [k.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked) for k in keys]
    _write_new(private, 0o600, encoded)
    spki = form.PublicFormat.SubjectPublicKeyInfo
    _write_new(public, 0o644, [k.public_key().public_bytes(form.Encoding.PEM, spki) for k in keys])
    return private, public, str(read_public(public).statement.keyid), secret is not None


def read_private(path: Path) -> SigningKeys:
    """The private keys in a file; KpiError in one line when it holds none that can sign."""
    crypto, signer = _crypto(), require("securesystemslib.signer", _INSTALL)
    secret = passphrase()

    def load(block: bytes) -> Any:
        try:
            return crypto.serialization.load_pem_private_key(block, secret)
        except TypeError:
            if secret is None:
                raise KpiError(f"{path} is protected by a passphrase", f"set {PASSPHRASE}") from None
            # Not protected at all: the variable is for another key.
            return crypto.serialization.load_pem_private_key(block, None)
        except ValueError as error:
            if secret is not None and b"ENCRYPTED" in block:
                raise KpiError(f"{path} can't be opened with the passphrase in {PASSPHRASE}") from None
            raise KpiError(f"{path} holds a key that can't be read: {_first(error)}", _WANTED) from None

    found = _read(path, "PRIVATE KEY", load)
    made = {kind: _made(signer.CryptoSigner, key) for kind, key in found.items()}
    first = next(iter(made))
    locked = b"ENCRYPTED" in _blocks(path)[0][1]
    return SigningKeys(made.get(_ED25519) or made[_P256], made[_P256] if first == _P256 else None, path, locked)


def read_public(path: Path) -> PublicKeys:
    """The public keys in a file; KpiError in one line when it holds none that can be checked with."""
    crypto, signer = _crypto(), require("securesystemslib.signer", _INSTALL)

    def load(block: bytes) -> Any:
        try:
            return crypto.serialization.load_pem_public_key(block)
        except ValueError as error:
            raise KpiError(f"{path} holds a key that can't be read: {_first(error)}", _WANTED) from None

    found = {kind: _made(signer.SSlibKey.from_crypto, key) for kind, key in _read(path, "PUBLIC KEY", load).items()}
    return PublicKeys(found.get(_ED25519) or found[_P256], found.get(_P256))


def _read(path: Path, wanted: str, load: Callable[[bytes], Any]) -> dict[str, Any]:
    """The keys of a file by kind, in its order: one of a kind, at least one."""
    found: dict[str, Any] = {}
    for label, block in _blocks(path):
        if not label.endswith(wanted):
            article = "an" if label[0] in "AEIOR" else "a"  # an RSA key, an OPENSSH key
            raise KpiError(f"{path} holds {article} {label}: {_mixed_up(label, wanted)}", _WANTED)
        key = _loaded(path, load, block)
        kind = _kind(key)
        if kind not in (_ED25519, _P256):
            raise KpiError(f"{path} holds a key of the kind {kind}", _WANTED)
        if kind in found:
            raise KpiError(f"{path} holds two {kind} keys", "give a file with one of them")
        found[kind] = key
    return found


def _loaded(path: Path, load: Callable[[bytes], Any], block: bytes) -> Any:
    unsupported = require("cryptography.exceptions", "cryptography").UnsupportedAlgorithm
    try:
        return load(block)
    except unsupported:
        raise KpiError(f"{path} holds a key of a kind that is not known here", _WANTED) from None


def _made(kind: Callable[[Any], Any], key: Any) -> Any:
    """What `securesystemslib` makes of a key; Unavailable where its version wants a later one of `cryptography`."""
    unsupported = require("securesystemslib.exceptions", _INSTALL).UnsupportedLibraryError
    try:
        return kind(key)
    except unsupported as error:
        raise Unavailable(f"keys can't be used: {error}", f"pip install --upgrade {_INSTALL}") from None


def _mixed_up(label: str, wanted: str) -> str:
    if label.endswith("PRIVATE KEY"):
        return "keep it, and give the public key"
    return "it can't sign" if wanted == "PRIVATE KEY" and label.endswith("PUBLIC KEY") else "it is not a key"


def _blocks(path: Path) -> list[tuple[str, bytes]]:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise KpiError(f"{path} can't be read: {error.strerror}", "name the file of a key") from None
    found = [(match[1].decode(), match[0] + b"\n") for match in _BLOCK.finditer(text)]
    if not found or len(text) > _LARGEST:
        raise KpiError(f"{path} is not a key: it holds none in PEM (-----BEGIN ...)", _WANTED)
    return found


def _kind(key: Any) -> str:
    name = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").lstrip("_")
    curve = getattr(getattr(key, "curve", None), "name", "")
    return _P256 if curve == "secp256r1" else f"{name} {curve}".strip()


def _write_new(path: Path, mode: int, texts: Iterable[bytes]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(texts)
    except FileExistsError:
        raise KpiError(f"{path} is there already: a key is never replaced", "give another name") from None
    except OSError as error:
        raise KpiError(f"{path} can't be written: {error.strerror}", "give another place") from None


def passphrase() -> bytes | None:
    """What encrypts private keys, in whatever encoding; None where nothing does, KpiError where it is too long."""
    found = os.fsencode(os.environ.get(PASSPHRASE, ""))
    if len(found) > _LONGEST_PASSPHRASE:
        raise KpiError(f"{PASSPHRASE} has {len(found)} bytes", f"at most {_LONGEST_PASSPHRASE} are possible")
    return found or None


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]


@dataclass(frozen=True, slots=True)
class _Crypto:
    """The parts of ``cryptography`` that are used."""

    serialization: Any
    ec: Any
    ed25519: Any


def _crypto() -> _Crypto:
    primitives = "cryptography.hazmat.primitives"
    names = ("serialization", "asymmetric.ec", "asymmetric.ed25519")
    return _Crypto(*(require(f"{primitives}.{name}", "cryptography") for name in names))
