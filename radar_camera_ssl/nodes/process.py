# SPDX-License-Identifier: Apache-2.0
"""A node as a process: signals end it with code 0, a wrong start with one clear line."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

START_ERRORS = (InvalidParameterTypeException, InvalidParameterValueException, ValueError)


def ensure_log_directory() -> None:
    """Let rclpy start without HOME, as under systemd: log to a temporary folder, and say so."""
    if os.environ.get('HOME') or os.environ.get('ROS_LOG_DIR') or os.environ.get('ROS_HOME'):
        return
    folder = os.path.join(tempfile.gettempdir(), 'ros_log')
    os.environ['ROS_LOG_DIR'] = folder
    print(f'neither HOME nor ROS_LOG_DIR is set: logging to {folder}', file=sys.stderr)


def run(make_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """Spin the node until SIGINT, SIGTERM, or its `done()` if it has one; return the exit code.

    A node with `exit_code` gives the code; a parameter that is not allowed gives 2.
    """
    # rclpy's own handlers would take the context away under the node's threads in mid-publish.
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    ensure_log_directory()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
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
        print(f'cannot start: {error}', file=sys.stderr)
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return int(getattr(node, 'exit_code', 0))
