# SPDX-License-Identifier: Apache-2.0
"""Exported models with int8 convolutions, calibrated on drives."""
