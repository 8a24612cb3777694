# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ros_graph import wait_until

from radar_camera_ssl.nodes.child_process import ChildProcess

PARENT = """
import os, sys, time
from pathlib import Path
from radar_camera_ssl.nodes.child_process import ChildProcess
with ChildProcess('http.server', ['0', '--bind', '127.0.0.1'], Path(sys.argv[1]), os.environ) as c:
    Path(sys.argv[2]).write_text(str(c.pid))
    time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:
        return False
    return state != 'Z'


@pytest.mark.skipif(sys.platform != 'linux', reason='asks the Linux kernel')
def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    told = tmp_path / 'pid'
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).parents[2])}
    parent = subprocess.Popen(
        [sys.executable, '-c', PARENT, str(tmp_path / 'log'), str(told)], env=environment
    )
    try:
        wait_until(lambda: told.exists() and told.read_text(), 'the parent does not start')
        child = int(told.read_text())
        assert is_running(child)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not is_running(child), 'the child is left behind')


def test_leaving_the_context_ends_the_child(tmp_path: Path) -> None:
    arguments = ['0', '--bind', '127.0.0.1']
    with ChildProcess('http.server', arguments, tmp_path / 'log', os.environ) as child:
        pid = child.pid
        assert child.exit_code() is None
    assert not is_running(pid)


def test_its_output_is_kept_for_the_error_message(tmp_path: Path) -> None:
    with ChildProcess('no_such_module', [], tmp_path / 'log', os.environ) as child:
        wait_until(lambda: child.exit_code() is not None, 'it runs')
        assert child.exit_code() == 1
        assert 'no_such_module' in child.last_lines()
