# SPDX-License-Identifier: Apache-2.0
"""Keep freed memory in the process: what glibc gives back, the next step must fault in again."""

from __future__ import annotations

import ctypes

# Parameters of mallopt(3), from <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the allocator to reuse the large tensors of one step for the next.

    A step's tensors are about 100 MB each; by default each is mapped, zeroed and unmapped anew,
    and a training step spends much of its time in page faults. Returns whether the C library took
    the settings (other than glibc has no mallopt: training is then slower, not wrong).
    """
    try:
        library = ctypes.CDLL(None)
        settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _LARGEST), (_M_TOP_PAD, 1 << 28))
        return all(library.mallopt(name, value) == 1 for name, value in settings)
    except (OSError, AttributeError):
        return False
