"""The program that syncs: which it is, and what it is told. What is secret goes through its environment, never its arguments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import TillError, of_document

NAME = "tillsync.exe" if os.name == "nt" else "tillsync"
#: On Windows, no console window opens beside an app that has none.
FLAGS = getattr(subprocess, "CREATE_NO_WINDOW", 0)
#: What interrupts the app in its terminal is none of the worker's: it ends with its input.
APART: dict[str, Any] = (
    {"creationflags": FLAGS | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if os.name == "nt"
    else {"start_new_session": True}
)
_TOKEN = "BIGCOMMERCE_ACCESS_TOKEN"
#: What of the environment would speak of another till.
_OTHERS = ("TILLSYNC_DB", "TILLSYNC_KEY")


def installed() -> Path:
    """Where ``pip`` has put it; or another one, that of a build, which the environment names."""
    if other := os.environ.get("TILLSYNC_PROGRAM"):
        return there(Path(other), "TILLSYNC_PROGRAM names none: correct it, or unset it for the package's own")
    for folder in _folders():
        if (program := folder / NAME).is_file():
            return program
    raise TillError(f"there is no program {NAME} beside this package", "not_installed", "install the package anew")


def there(program: Path, hint: str) -> Path:
    """A program that was named, if it is one."""
    if program.is_file() and os.access(program, os.X_OK):
        return program
    raise TillError(f"{program} is no program that can be run", "not_installed", hint)


def _folders() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts"))
    yield Path(sys.prefix) / ("Scripts" if os.name == "nt" else "bin")
    yield Path(__file__).parent.parent / "bin"  # pip install --target
    yield Path(sysconfig.get_path("scripts", f"{os.name}_user"))


def in_own_words(error: TillError) -> TillError:
    """What a till was opened with by the names that it has here, not those of the flags: `store_hash=` for `--store-hash`."""
    error.message = _own_names(error.message)
    error.hint = error.hint and ("help(tillsync.Till) says what there is" if "--help" in error.hint else _own_names(error.hint))
    error.args = (error.message,)
    return error


def _own_names(words: str) -> str:
    return re.sub(r"--([a-z][a-z-]*)(?: [A-Z]+)?", lambda flag: flag[1].replace("-", "_") + "=", words)


class Program:
    """The program, with what every call of it is told."""

    def __init__(self, path: Path, flags: Sequence[str], token: str | None, program: Path | None) -> None:
        hint = "name the command tillsync by program=, or leave it out for the package's own"
        self._program = there(program, hint) if program else installed()
        self._path, self._flags = path, list(flags)
        self.environment = {name: value for name, value in os.environ.items() if name not in _OTHERS}
        if token is not None:
            self.environment[_TOKEN] = token

    def arguments(self, command: str, *flags: str) -> list[str]:
        """What starts it. Its own words come last: behind ``--`` there are no flags."""
        return [os.fspath(self._program), command, "--json", "--db", os.fspath(self._path), *self._flags, *flags]

    def answer(self, command: str, *words: str, typed: str = "") -> Any:
        """Runs it, with what somebody typed as its input, and returns what it says; what it does not do is raised."""
        ran = subprocess.run(
            self.arguments(command, *words),
            env=self.environment,
            input=typed.encode(errors="replace"),
            capture_output=True,
            creationflags=FLAGS,
            check=False,
        )
        try:
            said = json.loads(ran.stdout)
        except ValueError:
            words_of_it = ran.stderr.decode(errors="replace").strip() or f"it ended with {ran.returncode}"
            raise TillError(f"tillsync {command}: {words_of_it}", "unexpected") from None
        if isinstance(said, Mapping) and isinstance(said.get("error"), Mapping):
            raise of_document(said["error"])
        return said
