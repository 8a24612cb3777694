# SPDX-License-Identifier: Apache-2.0
"""Large buffers are kept for the next message instead of going back to the system."""

from __future__ import annotations

import ctypes
import sys

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The largest that glibc allows: up to an image of 4096x2730 bgr8.
LARGEST_KEPT = 32 * 1024 * 1024
KEPT = 128 * 1024 * 1024


def keep_large_buffers() -> bool:
    """Let glibc reuse memory of up to 32 MB a piece; False where the C library is another.

    By default it asks the system for such a buffer and gives it back, each time. An image passes
    through three on its way from the middleware to Python, and the system has to clear and map
    each page of each of them: for 1280x720 that is 2000 page faults, most of the time that an
    image takes from the camera driver to a callback (benchmarks/pipeline.py).
    """
    if not sys.platform.startswith('linux'):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(M_TRIM_THRESHOLD, KEPT))
