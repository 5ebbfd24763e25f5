"""Carries folders through an OCI registry, where the pods of a cluster share no volume.

    registry.py push FOLDER REPOSITORY[:TAG]              prints REPOSITORY@sha256:..., what to pull it by
    registry.py pull REPOSITORY@sha256:... FOLDER         nothing but what has this digest
    registry.py run FOLDER REPOSITORY:TAG -- COMMAND      runs it, pushes the folder, ends with its exit code
    registry.py collect REPOSITORY TAG=FOLDER ...         waits for each tag, then pulls it

Credentials are those of `docker login` (~/.docker/config.json). A folder is one layer, a tar.gz.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_ACCEPTED = "application/vnd.oci.image.manifest.v1+json"
_NOT_THERE, _LARGEST = 404, 4 << 20
_INTERNAL = 3
_TIMEOUT_S = 60.0


class Refused(Exception):
    """The registry, or what it sent, is not as it must be; a line says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, the exit code of the command that was run, or 3 where the registry was not reached or is wrong."""
    chosen = _parser().parse_args(arguments)
    code: int | None = None
    try:
        if chosen.what == "push":
            print(push(chosen.folder, chosen.reference, plain=chosen.plain_http))
        elif chosen.what == "pull":
            if not _DIGEST.search(chosen.reference):
                raise Refused(f"{chosen.reference} names no digest (REPOSITORY@sha256:...)")
            pull(chosen.reference, chosen.folder, plain=chosen.plain_http)
        elif chosen.what == "collect":
            return collect(chosen.repository, chosen.tags, chosen.seconds, chosen.every, plain=chosen.plain_http)
        else:
            code = subprocess.run(chosen.command, check=False).returncode
            print(f"pushed: {push(chosen.folder, chosen.reference, plain=chosen.plain_http)}", flush=True)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is one line in the log of a pod
        print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return code or _INTERNAL
    return code or 0


def push(folder: Path, reference: str, *, plain: bool) -> str:
    """Pushes a folder as one layer; returns the reference by its digest."""
    if not folder.is_dir():
        raise Refused(f"{folder} is not a folder: nothing is pushed")
    remote, container = _remote(reference, plain=plain)
    with tempfile.TemporaryDirectory() as aside:
        layer = Path(aside) / "folder.tar.gz"
        with gzip.GzipFile(layer, "wb", 1, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_of_nobody)
        # Its client names a layer after the file, which it wants below the folder it is called in.
        response = remote.push(container, files=[str(layer)], disable_path_validation=True, quiet=True)
    response.raise_for_status()
    digest = f"sha256:{hashlib.sha256(_manifest(remote, container)).hexdigest()}"
    return f"{reference.partition('@')[0].rpartition(':')[0] if _tagged(reference) else reference}@{digest}"


def pull(reference: str, folder: Path, *, plain: bool) -> None:
    """Unpacks what has been pushed into ``folder``; Refused where a digest is not that of what came."""
    remote, container = _remote(reference, plain=plain)
    text = _manifest(remote, container)
    if container.digest and container.digest != f"sha256:{hashlib.sha256(text).hexdigest()}":
        raise Refused(f"{reference}: another manifest came than the one with this digest")
    layers = json.loads(text)["layers"]
    if len(layers) != 1:
        raise Refused(f"{reference} has {len(layers)} layers, expected is one")
    with tempfile.TemporaryDirectory() as aside:
        layer = Path(aside) / "folder.tar.gz"
        remote.download_blob(container, layers[0]["digest"], str(layer))
        with layer.open("rb") as file:
            if layers[0]["digest"] != f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}":
                raise Refused(f"{reference}: another layer came than the one with its digest")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(layer) as archive:
            archive.extractall(folder, filter="data")
    _restore_times(folder)


def collect(repository: str, tags: Sequence[str], seconds: float, every: float, *, plain: bool) -> int:
    """Pulls each ``TAG=FOLDER`` once it is there; 1 where one was not in time."""
    missing = dict(tag.split("=", 1) for tag in tags)
    end = time.monotonic() + seconds
    while True:
        for tag, folder in list(missing.items()):
            if _there(f"{repository}:{tag}", plain=plain):
                pull(f"{repository}:{tag}", Path(folder), plain=plain)
                print(f"pulled: {repository}:{tag}", flush=True)
                del missing[tag]
        left = end - time.monotonic()
        if not missing or left <= 0:
            break
        time.sleep(min(every, left))
    for tag in missing:
        print(f"not there after {seconds:.0f} s: {repository}:{tag}", file=sys.stderr)
    return 1 if missing else 0


def _remote(reference: str, *, plain: bool) -> tuple[Any, Any]:
    from oras.container import Container
    from oras.provider import Registry

    container = Container(reference)
    login = _login(container.registry, plain=plain)
    remote = Registry(hostname=container.registry, insecure=plain, auth_backend=login)
    remote.auth.load_configs(container)
    if login == "basic" and not getattr(remote.auth, "_basic_auth", None):
        raise Refused(f"{container.registry} wants a login; ~/.docker/config.json has none for it")
    return remote, container


def _login(registry: str, *, plain: bool) -> str:
    """How a registry wants to be told who is there: by name and password each time, or by a token got with them."""
    import requests

    answer = requests.get(f"{'http' if plain else 'https'}://{registry}/v2/", timeout=_TIMEOUT_S)
    return "basic" if answer.headers.get("Www-Authenticate", "").lower().startswith("basic") else "token"


def _asked(remote: Any, container: Any) -> Any:
    return remote.do_request(f"{remote.prefix}://{container.manifest_url()}", "GET", headers={"Accept": _ACCEPTED})


def _manifest(remote: Any, container: Any) -> bytes:
    response = _asked(remote, container)
    if response.status_code == _NOT_THERE:
        raise Refused(f"{container} is not there")
    response.raise_for_status()
    text: bytes = response.content
    if len(text) > _LARGEST:
        raise Refused(f"{container}: its manifest is too large")
    return text


def _there(reference: str, *, plain: bool) -> bool:
    response = _asked(*_remote(reference, plain=plain))
    if response.status_code != _NOT_THERE:
        response.raise_for_status()
    return bool(response.status_code != _NOT_THERE)


def _restore_times(folder: Path) -> None:
    """Gives the files of artifacts the times that their manifests know: no process need digest them again."""
    for manifest in folder.glob("*/manifest.json"):
        for name, entry in json.loads(manifest.read_text(encoding="utf-8")).get("files", {}).items():
            path = manifest.parent / name
            if ".." not in path.parts and path.is_file() and "mtime_ns" in entry:
                os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]))


def _of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same files make the same bytes, on every machine."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _tagged(reference: str) -> bool:
    return ":" in reference.rpartition("/")[2]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="registry.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--plain-http", action="store_true", help="for a registry without TLS")
    kinds = parser.add_subparsers(dest="what", required=True)
    for what, places in (("push", ("folder", "reference")), ("pull", ("reference", "folder"))):
        made = kinds.add_parser(what)
        for place in places:
            made.add_argument(place, type=Path if place == "folder" else str)
    run = kinds.add_parser("run")
    run.add_argument("folder", type=Path)
    run.add_argument("reference")
    run.add_argument("command", nargs="+")
    gather = kinds.add_parser("collect")
    gather.add_argument("repository")
    gather.add_argument("tags", nargs="+", metavar="TAG=FOLDER")
    gather.add_argument("--seconds", type=float, required=True, help="how long to wait at most")
    gather.add_argument("--every", type=float, default=10.0, help="seconds between two looks (default: 10)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
