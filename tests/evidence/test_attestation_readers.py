"""What was signed is read by the libraries of those whose formats these are, not by our own code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import model_signing
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from jsonschema import Draft202012Validator
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from harness.evidence.attestation.keys import make_keys
from tests.support.packages import PROVEN, kpi
from tests.support.project import Project

pytestmark = pytest.mark.suite  # each starts from a run that proved a KPI

MARK = "-----END PUBLIC KEY-----\n"


def signed(here: Project) -> Path:
    make_keys(here.folder / "k")
    done = kpi(here, "package", PROVEN, "--out", "p", "--key", "k.pem")
    assert done.returncode == 0, done.stderr
    return here.folder / "p"


def test_the_statement_is_one_of_in_toto_in_an_envelope_of_dsse(here: Project) -> None:
    package = signed(here)
    (line,) = (package / "attestation.intoto.jsonl").read_text(encoding="utf-8").splitlines()
    envelope = Envelope.from_dict(json.loads(line))
    # The file's second key, as any reader of PEM would load it.
    block = (here.folder / "k.pub").read_text().split(MARK)[1] + MARK
    key = SSlibKey.from_crypto(load_pem_public_key(block.encode()))
    assert key.keytype == "ed25519"
    envelope.verify([key], 1)
    assert envelope.payload_type == "application/vnd.in-toto+json"
    made = json_format.Parse(envelope.payload, statement_pb2.Statement())
    Statement.copy_from_pb(made).validate()
    assert made.type == "https://in-toto.io/Statement/v1"
    assert made.predicate_type == "https://kpi-tests/verdicts/v1"
    (subject,) = made.subject
    assert len(subject.digest["sha256"]) == 64
    assert {verdict["verdict"] for verdict in made.predicate["verdicts"]} == {"PASS"}
    done = kpi(here, "schema", "--attestation")
    Draft202012Validator(json.loads(done.stdout)).validate(json.loads(envelope.payload)["predicate"])
    envelope.payload = envelope.payload.replace(b"PASS", b"FAIL", 1)
    with pytest.raises(VerificationError):
        envelope.verify([key], 1)


def test_the_package_is_signed_as_model_signing_has_it(here: Project, tmp_path: Path) -> None:
    package = signed(here)
    shutil.move(package / "model.sig", tmp_path / "model.sig")
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=here.folder / "k.pub")
    config.verify(package, tmp_path / "model.sig")
    (package / "README.md").write_text("# good", encoding="utf-8")
    with pytest.raises(ValueError, match="mismatch"):
        model_signing.verifying.Config().use_elliptic_key_verifier(public_key=here.folder / "k.pub").verify(
            package, tmp_path / "model.sig"
        )
