"""A store that is not real, and tills beside it: `tillsync sandbox`, of the program that is under test."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tillsync import Till, WorkerOptions
from tillsync.program import installed

QUICK: WorkerOptions = {"debounce_ms": 50, "retry_base_ms": 50, "retry_cap_ms": 200, "look_ms": 20, "every_ms": 500}
SOON = 30.0


class Store:
    """A sandbox in a process of its own, and what can happen to it."""

    def __init__(self, customers: int = 8) -> None:
        arguments = [str(installed()), "sandbox", "--port", "0", "--customers", str(customers), "--json"]
        self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        assert self._process.stdout
        said = json.loads(self._process.stdout.readline())
        self.url, self.hash, self.token = said["url"], said["store_hash"], said["token"]
        port = int(self.url.rpartition(":")[2])
        self._control = f"http://127.0.0.1:{port + 10_000 if port < 55_536 else port - 10_000}/sandbox"

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._control}{path}", data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def cut(self) -> None:
        self.ask("POST", "/cut")

    def heal(self) -> None:
        self.ask("POST", "/heal")

    def customer(self, customer_id: int) -> Any:
        return self.ask("GET", f"/customers/{customer_id}")

    def office(self, customer_id: int, **attributes: object) -> None:
        """Somebody at the office edits a customer."""
        self.ask("PATCH", f"/customers/{customer_id}", attributes)

    def assert_no_violations(self) -> None:
        assert self.ask("GET", "")["violations"] == []


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.stop()


Opener = Callable[..., Till]


@pytest.fixture
def opened(store: Store, tmp_path: Path) -> Iterator[Opener]:
    """Opens tills beside the store, and closes them: by default one that has every customer."""
    tills: list[Till] = []

    def open_till(path: Path = tmp_path / "till.db", **settings: Any) -> Till:
        usual: dict[str, Any] = {"store_hash": store.hash, "token": store.token, "api_url": store.url, "create": True}
        till = Till(path, **{**usual, "options": QUICK, **settings})
        tills.append(till)
        return till

    yield open_till
    for till in tills:
        till.close()


@pytest.fixture
def till(opened: Opener) -> Till:
    till = opened()
    assert till.wait_for_customers(SOON)
    return till


def until(holds: Callable[[], object]) -> None:
    """Waits until it holds."""
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.02)


def until_event(till: Till, name: str) -> Any:
    """The till's next event of that name."""
    while event := till.events.next(SOON):
        if event.name == name:
            return event
    raise AssertionError(f"no {name} came")
