#!/usr/bin/python3 -B
"""Tests that quickstart.sh leaves no Bazel server behind, with a Bazel that only pretends."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

# Its server is a file. `info` starts it and never answers.
BAZEL = """#!/bin/bash
case "$1" in
  info) touch "${0%/*}/server" && echo started >&2 && exec sleep 600 ;;
  shutdown) rm -f "${0%/*}/server" ;;
esac
"""


def write_program(path, text):
    path.write_text(text)
    path.chmod(0o755)


class QuickstartTest(unittest.TestCase):
    def test_a_signal_while_the_server_starts_stops_it(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "deploy").mkdir()
            (folder / "bin").mkdir()
            script = folder / "deploy" / "quickstart.sh"
            shutil.copy(pathlib.Path(__file__).parent / "quickstart.sh", script)
            write_program(folder / "deploy" / "install-deps.sh", "#!/bin/bash\n")
            write_program(folder / "bin" / "bazel", BAZEL)
            environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
            process = subprocess.Popen(
                [script], env=environment, start_new_session=True, stderr=subprocess.PIPE
            )
            self.assertEqual(process.stderr.readline(), b"started\n")
            os.killpg(process.pid, signal.SIGTERM)  # As a terminal does: to all of them.
            process.communicate()
            self.assertEqual(process.returncode, 143)
            self.assertFalse((folder / "bin" / "server").exists())


if __name__ == "__main__":
    unittest.main()
