"""Keys: what `kpi keygen` makes, and what is no key to sign or to check with, in one line each."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519

from harness.cli.main import main
from harness.core.errors import KpiError
from harness.evidence.attestation.keys import PASSPHRASE, make_keys, read_private, read_public

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
SPKI, OPEN = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.NoEncryption()
ED25519 = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
OTHERS = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "DSA": dsa.generate_private_key(2048),
    "EC secp384r1": ec.generate_private_key(ec.SECP384R1()),
    "EC secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "Ed448": ed448.Ed448PrivateKey.generate(),
    "X25519": x25519.X25519PrivateKey.generate(),
}


def private(*keys: serialization.PrivateFormat | object) -> bytes:
    return b"".join(key.private_bytes(PEM, PKCS8, OPEN) for key in keys)  # type: ignore[attr-defined]


def public(*keys: object) -> bytes:
    return b"".join(key.public_key().public_bytes(PEM, SPKI) for key in keys)  # type: ignore[attr-defined]


def put(folder: Path, content: bytes) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    return path


def test_a_pair_is_made_once_and_the_private_one_is_its_owners_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keygen", str(tmp_path / "k.pem")]) == 0
    said = capsys.readouterr().out
    assert stat.S_IMODE((tmp_path / "k.pem").stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"k.pem", "k.pub"}
    before = (tmp_path / "k.pem").read_bytes()
    assert main(["keygen", str(tmp_path / "k")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/k.pem is there already: a key is never replaced")
    (tmp_path / "k.pem").rename(tmp_path / "other.pem")
    assert main(["keygen", str(tmp_path / "k")]) == 1
    assert not (tmp_path / "k.pem").exists()
    keys = read_private(tmp_path / "other.pem")
    assert (tmp_path / "other.pem").read_bytes() == before
    known = read_public(tmp_path / "k.pub")
    assert (keys.statement.public_key, keys.package.public_key) == (known.statement, known.package)
    assert (known.statement.keytype, known.package.keytype) == ("ed25519", "ecdsa")
    assert known.statement.keyid[:12] in said
    for line in before.splitlines():
        assert line.startswith(b"-----") or line.decode() not in said + repr(keys)


def test_other_tools_read_the_pair(tmp_path: Path) -> None:
    make_keys(tmp_path / "k")
    for arguments in (["-in", "k.pem"], ["-pubin", "-in", "k.pub"]):
        done = subprocess.run(
            ["openssl", "pkey", *arguments, "-noout", "-text"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "prime256v1" in done.stdout  # a tool that reads one key reads the one of Model Signing


def test_a_passphrase_encrypts_and_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSPHRASE, "open sesame")
    make_keys(tmp_path / "k")
    assert (tmp_path / "k.pem").read_bytes().count(b"BEGIN ENCRYPTED PRIVATE KEY") == 2
    assert read_private(tmp_path / "k.pem").package is not None
    assert read_private(put(tmp_path, private(ED25519))).package is None  # the variable may be another key's
    monkeypatch.setenv(PASSPHRASE, "open barley")
    with pytest.raises(KpiError, match=rf"k\.pem can't be opened with the passphrase in {PASSPHRASE}"):
        read_private(tmp_path / "k.pem")
    monkeypatch.delenv(PASSPHRASE)
    with pytest.raises(KpiError, match=rf"k\.pem is protected by a passphrase \(set {PASSPHRASE}\)"):
        read_private(tmp_path / "k.pem")


def test_a_passphrase_may_be_any_bytes_but_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in (b"\xff\xfe", b"x" * 1023):
        monkeypatch.setenv(PASSPHRASE, os.fsdecode(secret))
        make_keys(tmp_path / f"k{len(secret)}")
        assert read_private(tmp_path / f"k{len(secret)}.pem").locked
    monkeypatch.setenv(PASSPHRASE, "x" * 1024)
    for call in (lambda: make_keys(tmp_path / "no"), lambda: read_private(tmp_path / "k2.pem")):
        with pytest.raises(KpiError, match=f"{PASSPHRASE} has 1024 bytes"):
            call()
    assert not (tmp_path / "no.pem").exists()


@pytest.mark.parametrize("name", ["", ".", "/", "..", ".pem", "a/..", "x" * 300])
def test_what_is_no_name_of_a_key_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["keygen", name]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_one_key_is_enough(tmp_path: Path) -> None:
    both = read_public(put(tmp_path, public(P256)))
    assert both.statement is both.package
    alone = read_public(put(tmp_path, public(ED25519)))
    assert (alone.statement.keytype, alone.package) == ("ed25519", None)
    either = [read_public(put(tmp_path, public(*order))) for order in ((P256, ED25519), (ED25519, P256))]
    assert either[0] == either[1]


BAD = {
    "nothing": (b"", "key is not a key"),
    "text": (b"secret", "key is not a key"),
    "binary": (bytes(range(256)) * 10, "key is not a key"),
    "openssh": (ED25519.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
                "key is not a key"),
    "certificate": (b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
                    "key holds a CERTIFICATE: it is not a key"),
    "huge": (public(P256) + b" " * (1 << 17), "key is not a key"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("read", [read_private, read_public])
def test_what_is_no_key_is_one_line(tmp_path: Path, case: str, read: object) -> None:
    content, said = BAD[case]
    with pytest.raises(KpiError, match=said) as raised:
        read(put(tmp_path, content))  # type: ignore[operator]
    assert "\n" not in str(raised.value)
    assert "kpi keygen" in str(raised.value)


@pytest.mark.parametrize("kind", OTHERS)
def test_keys_of_other_kinds_are_named(tmp_path: Path, kind: str) -> None:
    for content, read in ((private(OTHERS[kind]), read_private), (public(OTHERS[kind]), read_public)):
        with pytest.raises(KpiError, match=f"key holds a key of the kind {kind}"):
            read(put(tmp_path, content))


def test_private_and_public_keys_are_not_mixed_up(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="holds a PRIVATE KEY: keep it, and give the public key"):
        read_public(put(tmp_path, private(ED25519)))
    with pytest.raises(KpiError, match="holds a PUBLIC KEY: it can't sign"):
        read_private(put(tmp_path, public(ED25519)))
    with pytest.raises(KpiError, match="holds two Ed25519 keys"):
        read_public(put(tmp_path, public(ED25519) + public(ed25519.Ed25519PrivateKey.generate())))
    broken = public(ED25519).splitlines()
    with pytest.raises(KpiError, match="holds a key that can't be read"):
        read_public(put(tmp_path, b"\n".join([broken[0], broken[1][:8], broken[2]])))
    with pytest.raises(KpiError, match="can't be read: No such file"):
        read_public(tmp_path / "nowhere")
    with pytest.raises(KpiError, match="can't be read: Is a directory"):
        read_private(tmp_path)
