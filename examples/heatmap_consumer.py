#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A consumer of the heatmap: knows at any moment whether it may use it (docs/CONSUMERS.md).

python3 examples/heatmap_consumer.py --ros-args -r heatmap:=/reflection_heatmap/output/heatmap

Parameters: source, the name of the node that publishes; timeout, of heatmaps, s; patience with its
diagnostics, s; oldest, age of a stamp by this node's clock, s (0: not looked at).
"""

import signal
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from sensor_msgs.msg import Image


class HeatmapConsumer(Node):
    """Tells on its log when the heatmap becomes usable, and why it no longer is."""

    def __init__(self):
        """Subscribe, and look at what there is twenty times a second."""
        super().__init__('heatmap_consumer')
        options = {'source': 'reflection_heatmap', 'timeout': 0.5, 'patience': 3.0, 'oldest': 0.5}
        self.options = {k: self.declare_parameter(k, v).value for k, v in options.items()}
        self.heatmap, self.verdict = (-np.inf, None), (-np.inf, None)  # arrival, what came
        self.told = ''
        self.create_subscription(Image, 'heatmap', self.on_heatmap, qos_profile_sensor_data)
        self.create_subscription(DiagnosticArray, '/diagnostics', self.on_diagnostics, 100)
        # Of a steady clock: silence must be noticed when the other clock stands or jumps.
        self.create_timer(0.05, self.check, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_heatmap(self, message):
        """Keep the newest heatmap, unless it is of long ago."""
        age = (self.get_clock().now() - Time.from_msg(message.header.stamp)).nanoseconds * 1e-9
        if self.options['oldest'] and age > self.options['oldest']:
            return  # late: it would tell of where things were
        cells = np.frombuffer(message.data, '>f4' if message.is_bigendian else '<f4')
        self.heatmap = time.monotonic(), cells.reshape(message.height, message.step // 4)

    def on_diagnostics(self, message):
        """Keep the publisher's verdict on itself."""
        for status in message.status:
            if status.name == f'{self.options["source"]}: perception':
                self.verdict = time.monotonic(), status

    def check(self):
        """Act on the heatmap here, or on its absence."""
        now, (arrival, cells), (reported, status) = time.monotonic(), self.heatmap, self.verdict
        if now - reported > self.options['patience']:
            problem = 'its diagnostics are silent'
        elif status.level >= DiagnosticStatus.ERROR or 'agreement_low' in findings(status):
            problem = status.message
        elif now - arrival > self.options['timeout']:
            problem = 'no heatmap comes'
        else:
            problem = ''
        state = f'not usable: {problem}' if problem else 'usable'
        if state.split('[')[0] != self.told.split('[')[0]:  # the code and for how long
            peak = '' if problem else f', up to {cells.max():.2f}'
            self.get_logger().info(f'heatmap {state}{peak}')
        self.told = state


def findings(status):
    """The codes of what the publisher finds wrong, in one string."""
    return next((value.value for value in status.values if value.key == 'findings'), '')


def main():
    """Run until SIGINT or SIGTERM."""
    stop = []
    # rclpy's own handlers shut the context down in the midst of what the executor is at, which
    # then ends in one error or another.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    executor.add_node(HeatmapConsumer())
    while not stop:
        executor.spin_once(timeout_sec=0.1)
    rclpy.shutdown()


if __name__ == '__main__':
    main()
