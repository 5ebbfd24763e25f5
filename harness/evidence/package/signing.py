"""Signs what was gathered of a KPI: its statement, and the package as a whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.evidence.attestation import statement
from harness.evidence.attestation.envelope import signed
from harness.evidence.attestation.keys import PublicKeys, SigningKeys
from harness.evidence.attestation.model_signature import sign_folder, signed_files
from harness.evidence.model import Evidence
from harness.evidence.package.contents import CRITERIA, SIGNATURE, STATEMENT, Attest, Contents, Gathered
from harness.evidence.package.writing import refused
from harness.spec.model import joined
from harness.spec.sources import files_of

SUFFIX = ".intoto.jsonl"
"""What the name of a file with a statement ends in."""


def signed_statement(gathered: Gathered, keys: SigningKeys) -> bytes:
    """The line of a signed statement about what was gathered."""
    files = gathered.artifact.files
    made = statement.payload(gathered.kpi, gathered.raw, gathered.evidence, files, unproven=gathered.binding)
    return signed(made, keys.statement)


def attestation(keys: SigningKeys, kpis: Path) -> Attest:
    """What adds the statement, and ``kpis.toml`` as it was before the run, to a package.

    KpiError where the package could not be signed afterwards.
    """
    if keys.package is None:
        raise KpiError(
            f"{keys.file} does not begin with a P-256 key, which OpenSSF Model Signing needs", "`kpi keygen` makes both"
        )
    require("model_signing", "model-signing")

    def attest(gathered: Gathered) -> Mapping[str, bytes]:
        return {CRITERIA: _criteria(kpis, gathered.evidence), STATEMENT: signed_statement(gathered, keys)}

    return attest


def _criteria(kpis: Path, evidence: Evidence) -> bytes:
    try:
        text = joined(files_of(kpis))
    except OSError as error:
        raise KpiError(f"{kpis} can't be read: {error.strerror}", "name it with --kpis") from None
    if hashlib.sha256(text).hexdigest() != evidence.kpis_digest:
        at = f"it was that of commit {evidence.commit[:12]}" if evidence.commit else "it was changed since"
        raise KpiError(f"{kpis} is not what the run was judged by: {at}", "restore it, or run again")
    return text


def sign_package(contents: Contents, keys: SigningKeys, out: Path) -> Contents:
    """The package with a signature over all of its files; they are laid out next to ``out`` for that."""
    try:
        near = out.absolute().parent
        near.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".kpi-package-", dir=near) as aside:
            folder = Path(aside) / contents.name
            for name, source in contents.files.items():
                _stage(source, folder / name)
            signature = sign_folder(folder, keys)
    except OSError as error:
        raise refused(out, error) from None
    known = PublicKeys(keys.statement.public_key, keys.package.public_key)
    if signed_files(SIGNATURE, signature, known) != dict(contents.digests):
        raise KpiError("a file changed while it was signed", "is somebody pruning or writing the store?")
    digest = hashlib.sha256(signature).hexdigest()
    return replace(
        contents,
        files={**contents.files, SIGNATURE: signature},
        sizes={**contents.sizes, SIGNATURE: len(signature)},
        digests={**contents.digests, SIGNATURE: digest},
    )


def _stage(source: bytes | Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, bytes):
        path.write_bytes(source)
        return
    try:
        os.link(source, path)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, path)
