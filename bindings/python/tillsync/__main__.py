"""``python -m tillsync``: the command, as it is."""

import os
import subprocess
import sys

from .program import installed

arguments = [os.fspath(installed()), *sys.argv[1:]]
if os.name == "nt":
    sys.exit(subprocess.run(arguments, check=False).returncode)
os.execv(arguments[0], arguments)
