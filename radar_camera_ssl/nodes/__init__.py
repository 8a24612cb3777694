# SPDX-License-Identifier: Apache-2.0
"""ROS 2 plumbing: the only room that knows rclpy."""
