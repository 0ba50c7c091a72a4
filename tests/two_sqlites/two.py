"""What an app must not do, in Python: the C library beside the app's own SQLite in one process. It is refused each time, and
the app goes on editing.

usage: two.py LIBRARY FILE
"""
import ctypes
import json
import sqlite3
import sys

c = ctypes.CDLL(sys.argv[1])
c.tillsync_open.restype, c.tillsync_open.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_char_p]
c.tillsync_call.restype, c.tillsync_call.argtypes = ctypes.c_void_p, [ctypes.c_uint64, ctypes.c_char_p]
c.tillsync_last_error.restype = ctypes.c_void_p
c.tillsync_close.argtypes = [ctypes.c_uint64]
path, options = sys.argv[2], b'{"store_hash":"sandbox","access_token":"none","api_url":"http://127.0.0.1:9"}'


def code(pointer):
    return json.loads(ctypes.string_at(pointer))["error"]["code"]


def connect():
    file = sqlite3.connect(path, isolation_level=None, timeout=10)
    file.execute("PRAGMA synchronous = FULL")
    return file


def edit(file, numbers):
    for number in numbers:
        file.execute("UPDATE customer SET phone = ? WHERE id = 1", (str(number),))


file = connect()
edit(file, range(0, 100))
assert c.tillsync_open(path.encode(), options) == 0
print("open", code(c.tillsync_last_error()))
edit(file, range(100, 200))
file.close()

till = c.tillsync_open(path.encode(), options)
assert till != 0
file = connect()
edit(file, range(200, 300))
print("edit", code(c.tillsync_call(till, b'{"command":"edit","id":1,"fields":{"phone":"library"}}')))
print("sync", code(c.tillsync_call(till, b'{"command":"sync"}')))
edit(file, range(300, 400))
c.tillsync_close(till)
edit(file, range(400, 500))
file.close()
