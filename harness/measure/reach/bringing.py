"""Brings a machine a Python of its own, by nothing but a shell and tar: phones and small systems have none."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

from harness.core.errors import KpiError, Unavailable
from harness.core.units import BYTES
from harness.measure.reach.base import Lost, Reach, last_line
from harness.measure.reach.link import PYTHONS, STORE, Say
from harness.measure.reach.system_python import LOADER, WHOLE, SystemPython, take
from harness.measure.reach.there.files import BROUGHT

_MARK = "kpi-python:"
"""Begins what our script says, among what a login prints."""
_BEGUN, _THERE, _UNKNOWN = "begun", "there", "unknown"
_PATIENCE_S = 900.0
_USED = "ctypes, fcntl, hashlib, json, ssl, subprocess, venv, zlib"
"""Modules that the agent, pip and the measured process use, and a system may leave out."""
_INCOMPLETE = ("No module named", "shared object file", "GLIBC")
_WHOLE_PYTHON = "install the whole of Python in the system that the archive is of (docs/boards.md)"
_PLACE = "it takes a shell, tar, 300 MB, and a folder whose files may run: KPI_REACH_STORE there names another one"
_LAST_WORDS = ("Exiting with failure status", "Error is not recoverable")


def bring(way: Reach, archive: Path, errors: Path, say: Say) -> None:
    """Lets the machine have the Python that is in the archive of a Linux system; what it has already is not sent.

    Raises KpiError where the archive holds no such Python or it does not run there, Unavailable where it is
    for another processor, and what :meth:`Reach.explain` makes of a connection that could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="kpi-python-") as folder:
        say(f"reading {archive}")
        found = take(archive, [int(version.partition(".")[2]) for version in PYTHONS], Path(folder) / "python.tar")
        arch, *there = _asked(way, _look(found), errors)
        if arch not in (found.arch, _UNKNOWN):
            raise Unavailable(
                f"{archive} is a system for {found.arch}, {way.name}:{way.address} is {arch}",
                "write one for its processor (docs/boards.md)",
            )
        if not there:
            say(f"sending Python {found.version}, {BYTES.format(found.file.stat().st_size)}")
            _asked(way, _unpack(found), errors, found.file.read_bytes())


def _asked(way: Reach, script: str, errors: Path, content: bytes = b"") -> list[str]:
    """The words that a script there ends with; ``content`` is its standard input."""
    start = errors.stat().st_size if errors.exists() else 0
    process = way.start(f"exec sh -c {shlex.quote(script)}", errors)
    try:
        printed, _ = process.communicate(content, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Lost(f"{way.name}:{way.address} has not answered for {_PATIENCE_S:.0f} s") from None
    lines = [
        line.partition(_MARK)[2].split() for line in printed.decode(errors="replace").splitlines() if _MARK in line
    ]
    if process.returncode == 0 and lines and lines[-1] != [_BEGUN]:
        return lines[-1]
    said = errors.read_bytes()[start:].decode(errors="replace").strip()
    if not lines:
        raise way.explain(said)
    reasons = (line for line in said.splitlines() if not any(map(line.__contains__, _LAST_WORDS)))
    why = last_line("\n".join(reasons), "the connection ended")
    remedy = _WHOLE_PYTHON if any(map(why.__contains__, _INCOMPLETE)) else _PLACE
    raise KpiError(f"Python can't be brought to {way.name}:{way.address}: {why}", remedy)


def _folder(found: SystemPython) -> str:
    """Where it is to be, and whether it works there; a name that a script can't hold in quotes is refused."""
    return f"""echo {_MARK} {_BEGUN}
S={STORE}
case "$S" in *[\\"\\$\\`\\\\]*|[!/]*) printf "a script can't be kept in a folder named %s" "$S" >&2; exit 1;; esac
D="$S/{BROUGHT}/{found.digest[:16]}"
works() {{ [ -e "$D/{WHOLE}" ] && "$D/bin/python" -I -B -c {shlex.quote(f"import {_USED}")} 2>/dev/null; }}
"""


def _look(found: SystemPython) -> str:
    """Says the processor, and whether it is there."""
    return f'{_folder(found)}W=; if works; then W={_THERE}; fi; A=$(uname -m); echo "{_MARK} ${{A:-{_UNKNOWN}}} $W"'


def _unpack(found: SystemPython) -> str:
    """Unpacks what comes, and tries it, before it gets its name.

    A script takes the place of Python's program: it tells the loader where the libraries are, and Python by what name
    it was called, so that environments made of it are environments.
    """
    name = f"python{found.version}"
    start = f'"%s/{LOADER}" --library-path "%s/lib" --argv0 "$0" "%s/libexec/{name}"'
    try_it = f'"$P/{LOADER}" --library-path "$P/lib" --argv0 "$P/bin/{name}" "$P/libexec/{name}" -I -B -c'
    return f"""{_folder(found)}
P="$D.$$"
trap 'rm -rf "$P"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$P/bin" && tar -xf - -C "$P" || exit 1
if [ ! -e "$P/{WHOLE}" ]; then echo "the connection ended" >&2; exit 1; fi
{try_it} {shlex.quote(f"import {_USED}")} || exit 1
H=$(command -v sh); case "$H" in /*) ;; *) H=/bin/sh;; esac
printf '#!%s\\nexec {start} "$@"\\n' "$H" "$D" "$D" "$D" > "$P/bin/{name}" || exit 1
chmod 755 "$P/bin/{name}" && ln -s {name} "$P/bin/python3" && ln -s {name} "$P/bin/python" || exit 1
if ! works; then rm -rf "$D"; mv "$P" "$D" || exit 1; fi
rm -rf "$D/${{P##*/}}"
echo "{_MARK} {_THERE}"
"""
