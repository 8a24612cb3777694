# SPDX-License-Identifier: Apache-2.0
"""Synthetic drives with exact ground truth, written as bags."""
