"""File names made of names that a user chose: every operating system takes them."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 80
# Windows keeps these for devices, with any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def file_name(name: str) -> str:
    """``name`` itself where every system takes it as a file's; else what is left of it, and a digest of all of it.

    Two names never give the same file name, but where a system takes upper and lower case for one.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:_LONGEST]
    if _RESERVED.fullmatch(plain):
        plain = plain.replace(".", "-")
    elif plain and plain == name:
        return plain
    return f"{plain or 'kpi'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
