# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: one HTML file that needs nothing else."""

from radar_camera_ssl.evaluation.report.page import write_report

__all__ = ['write_report']
