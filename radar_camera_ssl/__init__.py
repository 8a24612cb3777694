# SPDX-License-Identifier: Apache-2.0
"""Which pixels are the source of the radar's reflections, learnt without labels."""

__version__ = '0.1.0'
