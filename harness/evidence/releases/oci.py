"""Releases in an OCI registry: a tag is the pointer, its annotations are the history."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError
from harness.core.libraries import require
from harness.evidence.package.contents import Contents
from harness.evidence.package.pushing import without_tls
from harness.evidence.package.writing import write
from harness.evidence.releases.base import NoRelease, ReleasePlace
from harness.evidence.releases.moves import Move, move_of, parsed, written

_REFERENCE = re.compile(r"//([A-Za-z0-9.:-]+(?:/[a-z0-9._-]+)+):([A-Za-z0-9_][A-Za-z0-9_.-]{0,100})")
_LABEL, _MOVES = "kpi.release", "kpi.moves"
_TYPE, _LAYER = "application/vnd.kpi.package.v1", "application/vnd.oci.image.layer.v1.tar+gzip"
_TITLE = "org.opencontainers.image.title"
_BLOB = re.compile(r"sha256:[0-9a-f]{64}")
_SHORT, _PIECE = 12, 1 << 20
_GONE = 404


def _labels(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a manifest, which anybody may have pushed."""
    found = manifest.get("annotations")
    return found if isinstance(found, dict) else {}


class Oci(ReleasePlace):
    """``oci://REGISTRY/REPOSITORY:TAG``; each package has a tag of its own, the first digits of its digest.

    Who is logged in by ``docker login`` or ``oras login`` is known here too.
    """

    name = "oci"
    service = "the registry"
    check = "is `oras login` needed?"

    def __init__(self, reference: str, root: Path) -> None:
        super().__init__(reference, root)
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise KpiError(f'"{self}" names no tag of a repository', "write oci://REGISTRY/REPOSITORY:TAG")
        self.repository, self.tag = found.groups()
        self._oras = require("oras.client", "oras", "ORAS")
        # What it says of each request would be mixed with what is said here.
        logging.getLogger("oras.logger").setLevel(logging.CRITICAL)

    @property
    def _client(self) -> Any:
        return self._oras.OrasClient(insecure=without_tls(self.repository))

    def current(self) -> Move:
        manifest = self._manifest(self.tag)
        if manifest is None:
            raise NoRelease(f"nothing was released at {self} yet")
        try:
            return move_of(json.loads(manifest["annotations"][_LABEL]))
        except (KeyError, TypeError, ValueError) as error:
            raise KpiError(f"{self} is nothing that `kpi release` pushed", "let the tag name what it pushed") from error

    def fixed(self, move: Move) -> str:
        return f"{self.name}://{self.repository}:{move.place}"

    def is_there(self, move: Move) -> bool:
        _, digest = self._layer()
        with self.asked():
            client = self._client
            address = f"{client.prefix}://{self._container(move.place).get_blob_url(digest)}"
            answer = client.do_request(address, "HEAD")
            if answer.status_code != _GONE:
                answer.raise_for_status()
            return bool(answer.status_code != _GONE)

    def package(self, digest: str, scratch: Path) -> Path:
        del digest  # what comes is held against it
        left, blob = self._layer()
        size, out = left, scratch / "package.tar.gz"
        with self.asked(), self._client.get_blob(self._at(self.tag), blob, stream=True) as answer:
            answer.raise_for_status()
            with out.open("wb") as file:
                for piece in answer.iter_content(_PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise KpiError(f"{self}: more comes than the {size} bytes that are listed")
                    file.write(piece)
        return out

    def moves(self) -> Sequence[Move]:
        text = _labels(self._manifest(self.tag) or {}).get(_MOVES)
        return parsed(f"the history of {self}", text) if text else []

    def put(self, contents: Contents, move: Move, scratch: Path) -> Move:
        archive = scratch / f"{contents.name}.tar.gz"
        write(contents, archive)
        placed = replace(move, place=contents.digest[:_SHORT])
        empty = scratch / "config.json"
        empty.write_text("{}", encoding="utf-8")
        oci = require("oras.oci", "oras", "ORAS")
        with self.asked():
            client, container = self._client, self._container(placed.place)
            layer = oci.NewLayer(str(archive), media_type=_LAYER)
            layer["annotations"] = {_TITLE: archive.name}
            config, _ = oci.ManifestConfig(str(empty))
            client.upload_blob(str(empty), container, config).raise_for_status()
            client.upload_blob(str(archive), container, layer).raise_for_status()
            labels = {_LABEL: json.dumps(asdict(placed)), "kpi.package": f"sha256:{contents.digest}"}
            manifest = {**oci.NewManifest(), "artifactType": _TYPE, "config": config, "layers": [layer]}
            client.upload_manifest({**manifest, "annotations": labels}, container).raise_for_status()
        return placed

    def move(self, before: Move | None, after: Move) -> None:
        # A registry moves a tag unconditionally: what is asked before and behind leaves a moment, and tells of it.
        self.check_still(before)
        made = self._manifest(after.place)
        if made is None:
            raise KpiError(f"{self.fixed(after)} is not there any more")
        labels = {**_labels(made), _MOVES: written([*self.moves(), after])}
        with self.asked():
            container = self._container(self.tag)
            self._client.upload_manifest({**made, "annotations": labels}, container).raise_for_status()
        self.check_still(after)

    def _layer(self) -> tuple[int, str]:
        """Size and digest of the one file that the tag's manifest lists."""
        layers = (self._manifest(self.tag) or {}).get("layers")
        if not isinstance(layers, list) or len(layers) != 1:
            count = len(layers) if isinstance(layers, list) else "no list of"
            raise KpiError(f"{self} holds {count} files, where a package is one")
        try:
            size, digest = layers[0]["size"], layers[0]["digest"]
        except (KeyError, TypeError):
            size, digest = None, None
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not _BLOB.fullmatch(digest):
            raise KpiError(f"{self} lists its file in a way that makes no sense", "let the tag name what was pushed")
        return size, digest

    def _manifest(self, tag: str) -> dict[str, Any] | None:
        """What a tag names; None where there is no such tag."""
        with self.asked():
            client = self._client
            address = f"{client.prefix}://{self._container(tag).manifest_url()}"
            accepted = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
            answer = client.do_request(address, "GET", headers=accepted)
            if answer.status_code == _GONE:
                return None
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        if not isinstance(found, dict):
            raise KpiError(f"{self}: the registry answers with something else than a manifest", self.check)
        return found

    def _container(self, tag: str) -> Any:
        container = self._client.get_container(self._at(tag))
        self._client.auth.load_configs(container)
        return container

    def _at(self, tag: str) -> str:
        return f"{self.repository}:{tag}"
