"""The process that syncs, kept alive: started again when it ends, asked, and heard.

It ends with this process, however this one ends: its input is a pipe of ours, that no other child inherits.
"""

from __future__ import annotations

import itertools
import json
import logging
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from .errors import NotSynced, TillError, of_document
from .program import APART, Program, in_own_words

_LOG = logging.getLogger("tillsync")
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
#: What a worker that was told to stop may take beyond what it was given.
_FAREWELL = 15.0
_READ = 64 * 1024
#: The longest line that a worker takes.
_MOST_BYTES = 16_384

Said = Mapping[str, Any]


class _Pipe(Protocol):
    """An end of a pipe, without a buffer: a fork finds no lock of it held."""

    def read(self, size: int, /) -> bytes | None: ...
    def write(self, data: bytes, /) -> int | None: ...
    def close(self) -> None: ...


class Worker:
    """One worker after the other, for as long as the till is open."""

    def __init__(self, program: Program, flags: Sequence[str], hear: Callable[[Said], None]) -> None:
        self._program, self._flags, self._hear = program, flags, hear
        self._lock = threading.Lock()
        self._asked = 0
        self._answers: dict[int, queue.SimpleQueue[Said | None]] = {}
        self._closing = threading.Event()
        self._ready = threading.Event()
        lines = self._start()
        first = next(lines, None)
        if first is None or "error" in first:
            self._end()
            raise in_own_words(of_document(first["error"])) if first else _gone()
        self._greeted(first)
        self._keeper = threading.Thread(target=self._keep, args=(lines,), name="tillsync", daemon=True)
        self._keeper.start()

    def call(self, command: str, **words: object) -> Said:
        """Asks, and returns the answer; an error is raised, as is that the worker has ended."""
        answer: queue.SimpleQueue[Said | None] = queue.SimpleQueue()
        self._say(command, words, answer)
        said = answer.get()
        if said is None:
            raise _gone()
        if "error" in said:
            raise of_document(said["error"])
        return {name: value for name, value in said.items() if name not in ("answer", "id")}

    def is_ready(self, within: float | None) -> bool:
        """Whether there is a worker, or comes to be one."""
        return self._ready.wait(within) and not self._closing.is_set()

    @property
    def pid(self) -> int:
        """The process that is at work, or was last."""
        return self._process.pid

    def close(self, within: float) -> None:
        """Stops it; a sync that runs may go on so long."""
        self._closing.set()
        try:
            self._say("stop", {"within_ms": int(within * 1000)}, queue.SimpleQueue())
        except NotSynced:
            pass
        self._keeper.join(within + _FAREWELL)
        if self._keeper.is_alive():
            self._process.kill()
            self._keeper.join()

    def leave(self) -> None:
        """Gives up the pipes, in a process that was forked: the worker must see the end of its input when its app has ended."""
        self._input.close()
        self._output.close()

    def _say(self, command: str, words: Mapping[str, object], answer: queue.SimpleQueue[Said | None]) -> None:
        with self._lock:
            self._asked += 1
            mine = self._asked
            line = json.dumps({"command": command, "id": mine, **words}, ensure_ascii=False).encode() + b"\n"
            if not self._ready.is_set():
                raise _gone()
            if len(line) > _MOST_BYTES:
                raise _too_long(command)
            self._answers[mine] = answer
            try:
                _write(self._input, line)
            except (OSError, ValueError):
                self._answers.pop(mine, None)
                raise _gone() from None

    # ---- the thread that keeps it ----------------------------------------------------------------------------------

    def _start(self) -> Iterator[Said]:
        self._process = subprocess.Popen(
            self._program.arguments("worker", *self._flags),
            env=self._program.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            **APART,
        )
        assert self._process.stdin and self._process.stdout  # they are pipes
        self._input: _Pipe = self._process.stdin
        self._output: _Pipe = self._process.stdout
        return _lines(self._output)

    def _greeted(self, first: Said) -> None:
        self._ready.set()
        self._hear(first)

    def _keep(self, lines: Iterator[Said]) -> None:
        while True:
            for said in lines:
                self._heard(said)
            self._end()
            if self._closing.is_set():
                return
            _LOG.warning("the worker has ended with %s, and is started again", self._process.returncode)
            self._hear({"event": "worker_ended", "status": self._process.returncode})
            started = self._start_again()
            if started is None:
                return
            lines = started

    def _start_again(self) -> Iterator[Said] | None:
        """As long as it takes; none when the till is closed meanwhile."""
        for attempt in itertools.count():
            if self._closing.wait(_PAUSES[min(attempt, len(_PAUSES) - 1)]):
                return None
            try:
                lines = self._start()
            except OSError as error:
                self._failed(NotSynced(str(error), "gone", "every edit is kept"))
                continue
            first = next(lines, None)
            if first is not None and "error" not in first:
                self._greeted(first)
                if not self._closing.is_set():
                    return lines
                self._end()
                return None
            self._failed(of_document(first["error"]) if first else _gone())
            self._end()
        return None

    def _failed(self, why: TillError) -> None:
        _LOG.warning("the worker cannot work: %s", why)
        self._hear({"event": "worker_failed", "code": why.code, "message": why.message, "hint": why.hint})

    def _heard(self, said: Said) -> None:
        if "event" in said:
            self._hear(said)
        elif "id" in said:
            with self._lock:
                answer = self._answers.pop(said["id"], None)
            if answer:
                answer.put(said)

    def _end(self) -> None:
        """Of a process that says nothing more: whoever waits for an answer is told."""
        with self._lock:
            self._ready.clear()
            waiting, self._answers = self._answers, {}
        for answer in waiting.values():
            answer.put(None)
        self._input.close()
        self._process.wait()
        self._output.close()


def _gone() -> TillError:
    return NotSynced("the worker has ended", "gone", "it is started again by itself; every edit is kept")


def _too_long(command: str) -> TillError:
    hint = f"with all that it takes, a command has at most {_MOST_BYTES:,} bytes"
    return TillError(f"{command}: what is asked is too long", "usage", hint)


def _write(pipe: _Pipe, data: bytes) -> None:
    while data:
        data = data[pipe.write(data) or 0 :]


def _lines(pipe: _Pipe) -> Iterator[Said]:
    """What is said, a line each, until nothing more is."""
    rest = b""
    while more := pipe.read(_READ):
        *whole, rest = (rest + more).split(b"\n")
        yield from filter(None, map(_read, whole))


def _read(line: bytes) -> Said | None:
    """None where it is no JSON object: what else writes there is none of the worker's."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
