# SPDX-License-Identifier: Apache-2.0
"""A node as a process: signals end it with code 0, a wrong start with one clear line."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from .allocator import keep_large_buffers

START_ERRORS = (InvalidParameterTypeException, InvalidParameterValueException, ValueError)
WRONG_START = 2

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Logs go to the console alone with these.
NO_LOG_FILE = ('--ros-args', '--disable-external-lib-logs')


def ensure_log_directory() -> None:
    """Let rclpy start without HOME, as under systemd: log to a temporary folder, and say so."""
    if os.environ.get('HOME') or os.environ.get('ROS_LOG_DIR') or os.environ.get('ROS_HOME'):
        return
    folder = os.path.join(tempfile.gettempdir(), 'ros_log')
    os.environ['ROS_LOG_DIR'] = folder
    _tell(f'neither HOME nor ROS_LOG_DIR is set: logging to {folder}')


def arguments_with_log(args: list[str] | None) -> list[str]:
    """Return what rclpy.init() is to get: no file is logged to where none can be created.

    rclpy would not start then, on a disk that is full or read-only.
    """
    ensure_log_directory()
    arguments = list(sys.argv if args is None else args)
    folder = _log_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return arguments
    except OSError as error:
        _tell(f'logging to the console only: {folder} cannot be written: {error.strerror}')
        return [*arguments, *NO_LOG_FILE]


def _log_directory() -> Path:
    """Where rcl logs: ROS_LOG_DIR, or `log` in ROS_HOME, which is `~/.ros` by default."""
    if folder := os.environ.get('ROS_LOG_DIR'):
        return Path(folder).expanduser()
    return Path(os.environ.get('ROS_HOME') or '~/.ros').expanduser() / 'log'


def _tell(line: str) -> None:
    # The console may be a file on the disk that is full.
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def run(make_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """Spin the node until SIGINT, SIGTERM, or its `done()` if it has one; return the exit code.

    A node with `exit_code` gives the code; ROS arguments that cannot be read and a parameter that
    is not allowed give 2. When a destroyed node still `hangs` the process ends at once, with the
    same code.
    """
    keep_large_buffers()
    # rclpy's own handlers would take the context away under the node's threads in mid-publish.
    stop = threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    try:
        rclpy.init(args=arguments_with_log(args), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rcl's own
        _tell(f'cannot start with these ROS arguments: {" ".join(str(error).split())}')
        return WRONG_START
    node = None
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        done = getattr(node, 'done', lambda: False)
        while not stop.is_set() and not done():
            executor.spin_once(timeout_sec=0.1)
    except ExternalShutdownException:
        pass
    except START_ERRORS as error:
        if node is not None:
            raise
        _tell(f'cannot start: {error}')
        return WRONG_START
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        # The end of the interpreter gives handlers back to the system, for which one more signal
        # would be an end by that signal.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    code = int(getattr(node, 'exit_code', 0))
    if getattr(node, 'hangs', False):
        # The interpreter would tear ONNX Runtime down under the thread that is in it.
        os._exit(code)
    return code
