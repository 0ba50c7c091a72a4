"""What the worker's process goes through: it dies, is refused, is asked; and what of it a fork inherits."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tillsync import Forked, NotSynced, Receipt, Refused, Till, TillError
from tillsync.program import installed

from .conftest import QUICK, SOON, Opener, Store, until, until_event


def test_a_worker_that_dies_comes_back_and_who_waits_is_answered(till: Till, store: Store) -> None:
    store.cut()
    receipt = till.edit(1, phone="555-0142")
    fates = []
    waiting = threading.Thread(target=lambda: fates.append(till.wait(receipt, SOON)))
    waiting.start()
    died = till.worker_pid
    assert died is not None
    os.kill(died, signal.SIGKILL)
    until_event(till, "worker_ended")
    assert till.status().unsent == 1 and till.find("a").customers  # the command answers meanwhile
    store.heal()
    until_event(till, "ready")
    waiting.join()
    assert [fate.kind for fate in fates] == ["uploaded"] and till.worker_pid != died
    assert store.customer(1)["phone"] == "555-0142"
    store.assert_no_violations()


def test_what_a_worker_said_by_half_when_it_died_is_not_read(opened: Opener, till: Till, tmp_path: Path) -> None:
    till.close()
    stub = tmp_path / "stub"
    half = """#!/bin/sh
echo 'no JSON'; echo '{"event":"ready"}'; read asked; printf '{"answer":"sync_now","id":1'; kill -9 $$"""
    stub.write_text(half)
    stub.chmod(0o755)
    again = opened(program=stub)
    with pytest.raises(NotSynced) as gone:
        again.sync_now()
    assert gone.value.code == "gone"
    until_event(again, "worker_ended")
    until_event(again, "ready")


def test_what_is_too_long_to_be_asked_is_refused_and_the_worker_goes_on(till: Till) -> None:
    for text in ("a" * 16_384, "ü" * 8_200):
        with pytest.raises(TillError) as long:
            till.find(text)
        assert long.value.code == "usage" and "16,384" in (long.value.hint or "")
    assert till.find("a" * 16_000).customers == []


def test_a_worker_that_cannot_be_started_again_is_tried_again_until_it_can(opened: Opener, till: Till, tmp_path: Path) -> None:
    till.close()
    program = tmp_path / "program"
    program.symlink_to(installed())
    again = opened(program=program)
    assert again.worker_pid is not None
    os.kill(again.worker_pid, signal.SIGKILL)
    until_event(again, "worker_ended")
    program.unlink()
    assert until_event(again, "worker_failed").document["code"] == "gone"
    program.symlink_to(installed())
    until_event(again, "ready")


def test_a_token_that_is_refused_is_told_and_every_edit_is_kept(opened: Opener, store: Store, till: Till) -> None:
    till.close()
    again = opened(token="not-the-token", path=till.path)
    again.edit(1, phone="1")
    failed = until_event(again, "sync_failed")
    assert failed.document["code"] == "auth"
    until(lambda: again.status().sync.state == "refused")
    error = again.status().sync.last_error
    assert error is not None and error.code == "auth" and error.hint
    assert again.status().unsent == 1
    with pytest.raises(TillError) as refused:
        opened(token="not-the-token", path=till.path.with_name("new.db")).wait_for_customers(SOON)
    assert refused.value.code == "auth"


def test_what_is_wrong_with_the_settings_is_raised_at_once(opened: Opener, till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TillError) as busy:
        opened(till.path)
    assert busy.value.code == "busy" and busy.value.hint
    till.close()
    with pytest.raises(TillError) as store:
        opened(till.path, store_hash="another")
    assert store.value.code == "wrong_store"
    monkeypatch.delenv("BIGCOMMERCE_ACCESS_TOKEN", raising=False)
    with pytest.raises(TillError) as token:
        opened(till.path, token=None)
    assert token.value.code == "usage"


def test_settings_are_refused_by_the_names_that_they_have_here(opened: Opener, tmp_path: Path) -> None:
    for settings, words, hint in (
        ({"options": {"every_mss": 5}}, "options: there is no every_mss", "every_ms"),
        ({"options": {"every_ms": "soon"}}, "options: every_ms is 'soon'", "a whole number"),
        ({"policies": {"phone": "mine"}}, "policies: phone is 'mine'", "hold, local, remote, latest"),
        ({"policies": {"fone": "local"}}, "policies: fone is no attribute that an edit may set", "phone"),
        ({"program": "/nowhere/tillsync"}, "/nowhere/tillsync is no program that can be run", "program="),
        ({"token": None, "token_file": tmp_path / "none"}, f"{tmp_path / 'none'}", ""),
    ):
        with pytest.raises(TillError) as error:
            opened(**settings)
        told = f"{error.value} {error.value.hint}"
        assert words in error.value.message and hint in (error.value.hint or ""), told
        assert "--" not in told, told
    assert list(tmp_path.glob("till.db*")) == []


def test_a_store_that_is_not_there_is_told_to_whom_waits_for_its_customers(opened: Opener, store: Store) -> None:
    store.cut()
    till = opened(options={"retry_base_ms": 50, "retry_cap_ms": 200})
    with pytest.raises(TillError) as over:
        till.wait_for_customers(2)
    with pytest.raises(TillError) as unasked:
        till.wait_for_customers()
    assert over.value.code == unasked.value.code == "offline"
    store.heal()
    assert till.wait_for_customers(SOON)


def test_the_token_stands_in_no_argument_and_no_word(till: Till, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = Path(f"/proc/{till.worker_pid}/cmdline").read_bytes()
    assert b"worker" in arguments and store.token.encode() not in arguments
    till.edit(1, phone="1")
    until_event(till, "edit_uploaded")
    till.close()
    assert store.token not in repr(till) + "".join(capfd.readouterr())


def test_what_interrupts_the_app_does_not_interrupt_the_worker(till: Till) -> None:
    """Ctrl-C in a terminal goes to all of a group."""
    assert till.worker_pid is not None
    assert os.getpgid(till.worker_pid) != os.getpgid(0)


def test_it_finds_tells_and_is_told(till: Till) -> None:
    till.edit(3, phone="030 901820", last_name="Müller")
    found = till.find("muller 0309")
    assert [customer.id for customer in found.customers] == [3] and not found.more
    assert till.find("e", limit=1).more
    till.pause()
    status = dict(till.status().document)
    assert status.pop("worker")["paused"] is True
    assert status.keys() == till.command("status").keys()
    receipt = till.edit(1, phone="1")
    assert till.wait(receipt, 0.3).kind == "pending"
    till.resume()
    till.sync_now()
    assert till.wait(receipt, SOON).kind == "uploaded"
    with pytest.raises(TillError) as unknown:
        till.wait(Receipt(10_000, 10_001))
    assert unknown.value.code == "unknown_receipt"
    assert till.command("diff") == []
    with pytest.raises(TillError) as usage:
        till.command("show", "no-number")
    assert usage.value.code == "usage"


def test_a_refused_edit_is_tried_again_or_given_up(till: Till, store: Store) -> None:
    taken = store.customer(2)["email"]
    fate = till.wait(till.edit(1, email=taken), SOON)
    assert (fate.kind, fate.customer_id, fate.field) == ("rejected", 1, "email") and fate.reason
    [shown] = till.to_decide(1)
    assert (shown.kind, shown.local) == ("rejected", taken)
    store.office(2, email="somebody.else@example.com")
    till.retry(shown, author="ana")
    until(lambda: store.customer(1)["email"] == taken)

    assert till.wait(till.edit(3, email=taken), SOON).kind == "rejected"
    [shown] = till.to_decide(3)
    till.discard(shown)
    assert till.to_decide() == [] and till.log(3)[0].outcome == "discarded"
    with pytest.raises(Refused):
        till.discard(shown)


def both_edit(till: Till, store: Store, here: dict[str, object], there: dict[str, object]) -> None:
    """The till and the office edit customer 1; then a sync, which reads before it sends."""
    till.pause()
    until(lambda: till.status().sync.state == "idle")
    while till.events.next(0):
        pass
    till.edit(1, author=None, label=None, **here)
    store.office(1, **there)
    till.sync_now()
    until_event(till, "sync_finished")
    till.resume()


def test_a_conflict_may_be_decided_by_another_value(till: Till, store: Store) -> None:
    both_edit(till, store, {"phone": "1", "notes": "till"}, {"phone": "2"})
    until(lambda: till.to_decide(1))
    [shown] = till.to_decide(1)
    with pytest.raises(TillError):
        till.resolve(shown)
    till.resolve(shown, value="3", author="ana")
    until(lambda: store.customer(1)["phone"] == "3")


def test_a_policy_decides_where_it_was_told_to(opened: Opener, store: Store) -> None:
    till = opened(policies={"*": "remote", "phone": "local"})
    assert till.wait_for_customers(SOON)
    both_edit(till, store, {"phone": "1", "company": "till"}, {"phone": "2", "company": "office"})
    until(lambda: store.customer(1)["phone"] == "1")
    until(lambda: till.status().unsent == 0)
    customer = till.customer(1)
    assert customer is not None and customer.company == "office"


def test_without_a_worker_it_edits_and_reads(opened: Opener, till: Till, store: Store) -> None:
    second = opened(till.path, sync=False)
    second.edit(5, phone="5")
    until(lambda: store.customer(5)["phone"] == "5")
    assert second.status().sync.worker_alive and second.worker_pid is None
    for text, limit in (("example", 100), ("example", 1), ("-5", 100)):
        assert second.find(text, limit) == till.find(text, limit)
    assert second.find("example", 1).more and len(second.find("example", 1).customers) == 1
    for asked in (second.sync_now, lambda: second.wait(Receipt(0, 1))):
        with pytest.raises(NotSynced) as error:
            asked()
        assert error.value.code == "no_worker"


def test_what_was_typed_stands_in_no_programs_arguments(opened: Opener, till: Till, tmp_path: Path) -> None:
    stub, asked = tmp_path / "stub", tmp_path / "asked"
    stub.write_text(f"""#!/bin/sh
echo "$@" >> '{asked}'; exec '{installed()}' "$@\"""")
    stub.chmod(0o755)
    assert opened(till.path, sync=False, program=stub).find("example").customers
    said = asked.read_text()
    assert said.startswith("find ") and "example" not in said


def test_a_late_reader_is_told_how_much_was_missed(till: Till) -> None:
    for number in range(1100):
        till.events._put({"event": "progress", "customers": number})
    missed = till.events.next(SOON)
    assert missed is not None and missed.name == "missed" and missed.document["count"] >= 76


def test_a_till_that_was_closed_says_so_and_its_events_end(till: Till) -> None:
    pid = till.worker_pid
    assert pid is not None
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.extend(event.name for event in till.events))
    reader.start()
    till.close()
    till.close()
    reader.join(SOON)
    assert not reader.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    for asked in (lambda: till.connection, lambda: till.find("a"), lambda: till.edit(1, phone="1")):
        with pytest.raises(TillError) as closed:
            asked()
        assert closed.value.code == "closed"


def test_a_till_that_is_left_by_an_exception_ends_its_worker_and_keeps_its_edits(till: Till, opened: Opener) -> None:
    pid = till.worker_pid
    with pytest.raises(ZeroDivisionError), till:
        till.edit(1, phone="1")
        1 / 0
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert [row.value for row in opened(till.path, sync=False).log()] == ["1"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_no_till_and_keeps_no_worker_alive(till: Till, tmp_path: Path) -> None:
    till.edit(1, phone="1")
    said = tmp_path / "said"
    go_on, hold = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hold)
        words = [code_of(lambda: till.edit(2, phone="2")), code_of(lambda: Till(till.path, sync=False)), code_of(till.close)]
        said.write_text(",".join(words))
        os.read(go_on, 1)  # lives until the test has seen the worker end
        os._exit(0)
    os.close(go_on)
    until(lambda: said.exists() and said.read_text().count(",") == 2)
    assert said.read_text() == "forked,forked,forked"
    till.edit(3, phone="3")
    pid = till.worker_pid
    assert pid is not None
    # The app lets go of the worker's input; no child holds it open.
    till._worker._closing.set()  # type: ignore[union-attr]
    till._worker._input.close()  # type: ignore[union-attr]
    until(lambda: not Path(f"/proc/{pid}").exists())
    os.write(hold, b"x")
    os.waitpid(child, 0)
    assert till.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def code_of(asked: object) -> str:
    try:
        asked()  # type: ignore[operator]
    except TillError as error:
        return error.code if isinstance(error, Forked) else f"{type(error)}"
    return "nothing"


def test_a_process_that_ends_without_a_word_leaves_no_worker(till: Till, store: Store) -> None:
    till.close()
    script = "import sys; from tillsync import Till; path, url, token = sys.argv[1:]"
    script += "; till = Till(path, api_url=url, token=token); print(till.worker_pid)"
    arguments = [sys.executable, "-c", script, str(till.path), store.url, store.token]
    ended = subprocess.run(arguments, capture_output=True, check=True)
    pid = int(ended.stdout)
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert ended.stderr == b""


def test_an_error_can_be_sent_to_another_process() -> None:
    error = TillError("words", "code", "hint", 1, "phone", 50)
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error) and QUICK
