# SPDX-License-Identifier: Apache-2.0
"""Metrics, replay of bags and reports: the only room that reads ground truth."""
