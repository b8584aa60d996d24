"""Detects changes of the functions' code on disk, so that the local run can restart the functions."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class FileVersion(NamedTuple):
    modified_ns: int
    size_bytes: int


class CodeChanges:
    """The Python files under some folders, compared with what they were at the previous call of `changed_files`.

    Polling needs no dependency and works on every file system. A scan of this project takes a few milliseconds.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)
        self._versions = self._scan()

    def changed_files(self) -> list[Path]:
        """Return the files that were added, changed or removed since the previous call, sorted.

        Python's compiled copies of these files are deleted. Python compares a copy with its source by whole seconds and
        by size, and would otherwise run old code after two changes within a second.
        """
        versions = self._scan()
        changed = sorted(path for path, _ in versions.items() ^ self._versions.items())
        self._versions = versions
        files = list(dict.fromkeys(changed))  # a changed file is in both scans
        for file in files:
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
                compiled.unlink(missing_ok=True)
        return files

    def _scan(self) -> dict[Path, FileVersion]:
        versions = {}
        for folder in self._folders:
            for directory, subdirectories, names in os.walk(folder):
                subdirectories[:] = [name for name in subdirectories if name != "__pycache__"]
                for name in names:
                    if name.endswith(".py") and (version := _version(path := Path(directory, name))):
                        versions[path] = version
        return versions


def _version(file: Path) -> FileVersion | None:
    try:
        status = file.stat()
    except OSError:
        return None  # removed during the scan, or a broken link of an editor's lock file
    return FileVersion(status.st_mtime_ns, status.st_size)
