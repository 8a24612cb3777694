# SPDX-License-Identifier: Apache-2.0
"""Node processes started by this one: their output in a file, and none left behind."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

STOP_TIMEOUT_S = 15.0
PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Ask Linux to interrupt this process when its parent dies, even by SIGKILL."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


class ChildProcess:
    """A Python module as a process; leaving the context ends it."""

    def __init__(
        self, module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        """Start `python -m module arguments` with all output in `log`."""
        self.name = module.rpartition('.')[2]
        self._log = log
        with log.open('wb') as output:
            self._process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                preexec_fn=_die_with_parent,
            )

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.poll()

    def stop(self) -> int:
        """Interrupt the process, kill it if it does not end, and return its exit code."""
        for stop in (lambda: self._process.send_signal(signal.SIGINT), self._process.kill):
            if self._process.poll() is None:
                stop()
            try:
                return self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                continue
        return self._process.wait()

    def last_lines(self, count: int = 8) -> str:
        """Return the end of its output, for an error message."""
        return '\n'.join(self._log.read_text(errors='replace').splitlines()[-count:])
