"""The folder of `--data`, which keeps the state of the embedded AWS between runs.

MiniStack writes its state only when it stops in order, one file for each service. A run that is killed must not leave
a mixture of old and new files. Therefore MiniStack works on a copy, which replaces the saved state when it is complete:

- `state/` is the state at the end of the last run that stopped in order, with a manifest.
- `state.next/` is the copy that the current run uses. Only a complete one has a manifest.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

from enroll.local.settings import LocalRunError

FORMAT = 1
"""Raise it when a change of this module makes saved folders unusable."""

MANIFEST = "local-run.json"
REQUIRED_FILES = ("cloudformation.json", "dynamodb.json", "eventbridge.json", "lambda.json", "sqs.json")
"""Services that every deployed stack uses: MiniStack writes their files at each orderly stop."""

CLOCK_TOLERANCE_SECONDS = 1.0
"""The modification times of files may be slightly behind the clock."""


@dataclass(frozen=True)
class Origin:
    """What wrote a state. A state works only with the same version, and at the ports that its queue URLs contain."""

    ministack: str
    ports: Mapping[str, int]
    """By option, for example `--port`."""


class DataFolder:
    """`with` prepares the state for MiniStack. At its end the state is saved if `save_after_stop` was called."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder = folder
        self.restored_from: str | None = None
        """When the state of this run was saved (ISO 8601, UTC). None: the run starts without state."""
        self.interrupted = False
        """The previous run with this folder did not stop in order, so its changes are lost."""
        self._origin = origin
        self._saved = folder / "state"
        self._replaced = folder / "state.old"
        self._next = folder / "state.next"
        self._stopped_from: float | None = None
        self._problem: Callable[[], str | None] = lambda: None
        self._lock: TextIOWrapper | None = None

    @property
    def working_folder(self) -> Path:
        """The folder in which MiniStack reads and writes its state during this run."""
        return self._next

    def __enter__(self) -> DataFolder:
        """Raises LocalRunError if the folder cannot be used; it is then unchanged."""
        self._take_lock()
        try:
            self._finish_interrupted_save()
            manifest = self._checked_manifest()
            self.interrupted = self._next.exists()
            shutil.rmtree(self._next, ignore_errors=True)
            if manifest is None:
                self._next.mkdir()
            else:
                self.restored_from = str(manifest["savedAt"])
                shutil.copytree(self._saved, self._next, ignore=shutil.ignore_patterns(MANIFEST))
        except BaseException:
            self._release_lock()
            raise
        return self

    def save_after_stop(self, stopped_from: float, problem: Callable[[], str | None]) -> None:
        """Save the state at the end of `with`.

        `stopped_from`: the time from which MiniStack may write its state (epoch seconds).
        `problem`: called after MiniStack stopped; returns why the state is incomplete, or None.
        """
        self._stopped_from = stopped_from
        self._problem = problem

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._stopped_from is not None:
                self._save(self._stopped_from)
        finally:
            self._release_lock()

    def _take_lock(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            names = {path.name for path in self.folder.iterdir()}
            if names and not names & {"lock", self._saved.name}:
                raise LocalRunError(
                    f"--data: expected a new or empty folder, or one that a local run wrote; {self.folder} contains "
                    f"{', '.join(sorted(names)[:3])}. Choose another folder, for example --data .enroll/data."
                )
            self._lock = (self.folder / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release_lock()
            raise LocalRunError(
                f"--data: another local run uses {self.folder}. Stop that run, or choose another folder."
            ) from None
        except OSError as error:
            self._release_lock()
            raise LocalRunError(
                f"--data: cannot write to {self.folder}: {error.strerror}. Choose a folder that you may write to."
            ) from error

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _finish_interrupted_save(self) -> None:
        """Complete the exchange of the two folders if a run ended between its steps."""
        if (self._next / MANIFEST).exists():
            self._exchange()
        shutil.rmtree(self._replaced, ignore_errors=True)

    def _checked_manifest(self) -> dict[str, Any] | None:
        """Return the manifest of the saved state; None if there is no saved state."""
        if not self._saved.exists():
            return None
        manifest = self._read_manifest()
        if manifest.get("format") != FORMAT:
            raise self._unusable(
                f"it has format {manifest.get('format')!r}, but this version of Enroll expects format {FORMAT}"
            )
        if manifest["ministack"] != self._origin.ministack:
            raise self._unusable(
                f"MiniStack {manifest['ministack']} wrote it, but MiniStack {self._origin.ministack} is installed"
            )
        if manifest["ports"] != dict(self._origin.ports):
            options = " ".join(f"{option} {port}" for option, port in manifest["ports"].items())
            raise LocalRunError(
                f"--data: the state in {self.folder} contains the addresses of other ports. "
                f"Start the local run with {options}, or choose another folder."
            )
        for name, checksum in manifest["files"].items():
            file = self._saved / name
            if not file.is_file():
                raise self._unusable(f"the file {name} is missing")
            if _checksum(file) != checksum:
                raise self._unusable(f"the file {name} was changed or is damaged")
        return manifest

    def _read_manifest(self) -> dict[str, Any]:
        try:
            manifest = json.loads((self._saved / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self._unusable(f"the file {MANIFEST} cannot be read ({error})") from error
        expected = {"format": int, "ministack": str, "ports": dict, "savedAt": str, "files": dict}
        if not isinstance(manifest, dict) or any(
            not isinstance(manifest.get(key), expected_type) for key, expected_type in expected.items()
        ):
            raise self._unusable(f"the file {MANIFEST} is damaged: expected the keys {', '.join(expected)}")
        return manifest

    def _unusable(self, reason: str) -> LocalRunError:
        return unusable_state(self.folder, reason)

    def _save(self, stopped_from: float) -> None:
        problem = self._problem()
        for name in REQUIRED_FILES:
            file = self._next / name
            if not file.is_file() or file.stat().st_mtime < stopped_from - CLOCK_TOLERANCE_SECONDS:
                problem = problem or f"MiniStack did not write {name} when it stopped"
        if problem:
            raise LocalRunError(
                f"The state of this run was not saved: {problem}. "
                f"The next run with --data {self.folder} starts with the state before this run."
            )
        files = [path for path in self._next.rglob("*") if path.is_file()]
        manifest = {
            "format": FORMAT,
            "ministack": self._origin.ministack,
            "ports": dict(self._origin.ports),
            "savedAt": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
            "files": {str(file.relative_to(self._next)): _checksum(file) for file in sorted(files)},
        }
        incomplete = self._next / f"{MANIFEST}.tmp"
        incomplete.write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        incomplete.rename(self._next / MANIFEST)
        self._exchange()

    def _exchange(self) -> None:
        shutil.rmtree(self._replaced, ignore_errors=True)
        if self._saved.exists():
            self._saved.rename(self._replaced)
        self._next.rename(self._saved)
        shutil.rmtree(self._replaced, ignore_errors=True)


def unusable_state(folder: Path, reason: str) -> LocalRunError:
    """Return the error for a state that cannot be used, which says what the user can do."""
    return LocalRunError(
        f"--data: the state in {folder} cannot be used: {reason}. "
        "Choose another folder, restore this one from a copy, or delete it to start without state."
    )


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
