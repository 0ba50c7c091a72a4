#!/usr/bin/env python3
"""A till in Python that does everything through the C library, by ctypes. Nothing to install.

It never opens the till's file with sqlite3: that is another SQLite, and two of them in one process destroy a file. An app
that has tables of its own goes the way of till.py.

    cargo rustc --release --lib --no-default-features --features ffi --crate-type cdylib
    BIGCOMMERCE_ACCESS_TOKEN=… examples/python/library_till.py target/release/libtillsync.so till.db \
        https://api.bigcommerce.com abc123 42
"""

import ctypes
import json
import sys
import threading


class Refused(Exception):
    """What the library answers when something was not done."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code, self.hint = error["code"], error["hint"]


class Till:
    """A till's file and its worker. May be used from any thread; ctypes lets other threads run meanwhile."""

    def __init__(self, library, path, **options):
        self._c = ctypes.CDLL(library)
        # void pointers, not char pointers: ctypes would copy those and lose what must be given back.
        for name, result, *arguments in [
            ("open", ctypes.c_uint64, ctypes.c_char_p, ctypes.c_char_p),
            ("call", ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p),
            ("start", ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p),
            ("stop", ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32),
            ("next_event", ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32),
            ("last_error", ctypes.c_void_p),
            ("free_string", None, ctypes.c_void_p),
            ("close", ctypes.c_int32, ctypes.c_uint64),
        ]:
            function = getattr(self._c, f"tillsync_{name}")
            function.restype, function.argtypes = result, arguments
        self._till = self._c.tillsync_open(path.encode(), json.dumps(options).encode())
        if not self._till:
            self._answer(self._c.tillsync_last_error())

    def _answer(self, pointer):
        if not pointer:
            return None
        answer = json.loads(ctypes.string_at(pointer))
        self._c.tillsync_free_string(pointer)
        if isinstance(answer, dict) and "error" in answer:
            raise Refused(answer["error"])
        return answer

    def call(self, command, **request):
        return self._answer(self._c.tillsync_call(self._till, json.dumps({"command": command, **request}).encode()))

    def start(self, **options):
        return self._answer(self._c.tillsync_start(self._till, json.dumps(options).encode()))

    def stop(self, within_ms=2000):
        return self._answer(self._c.tillsync_stop(self._till, within_ms))

    def events(self):
        """Until the worker is stopped."""
        while True:
            try:
                event = self._answer(self._c.tillsync_next_event(self._till, 1000))
            except Refused:
                return
            if event:
                yield event

    def close(self):
        self._c.tillsync_close(self._till)


def main(library, path, api_url, store_hash, customer):
    till = Till(library, path, api_url=api_url, store_hash=store_hash, access_token_env="BIGCOMMERCE_ACCESS_TOKEN")
    print("pulled", till.call("pull")["pulled"])
    till.start(debounce_ms=200)

    uploaded = threading.Event()

    def listen():
        for event in till.events():
            print(event)
            if event["event"] == "edit_uploaded":
                uploaded.set()

    listener = threading.Thread(target=listen)
    listener.start()

    till.call("edit", id=customer, fields={"phone": "+49 30 901820"}, author="ana", label="sale 1042")
    print("edited", till.call("show", id=customer)["customer"]["phone"])

    # What the store would not take is refused there and then.
    try:
        till.call("edit", id=customer, fields={"date_created": "now"})
    except Refused as error:
        print("refused:", error, "--", error.hint)

    arrived = uploaded.wait(60)
    print("status", till.call("status"))
    till.stop()
    listener.join()
    till.close()
    return 0 if arrived else 1


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:5], int(sys.argv[5])))
