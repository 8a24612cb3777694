# SPDX-License-Identifier: Apache-2.0
"""Which floating-point type a machine trains in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

AUTO, BFLOAT16, FLOAT32 = 'auto', 'bf16-mixed', '32-true'
"""`AUTO` is the recipe's own; the others are Lightning's names."""


def training_precision(asked: str) -> str:
    """Lightning's name of the precision to train in: what was asked for, or what is fast here.

    bfloat16 is what GPUs from Ampere on compute in, and what oneDNN computes in with AVX-512. On a
    CPU without that it is imitated, and a step takes several times as long as in float32.
    """
    if asked != AUTO:
        return asked
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.backends.cpu.get_cpu_capability().startswith('AVX512')
    return BFLOAT16 if fast else FLOAT32


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute the block as a training of this precision does."""
    enabled = training_precision(precision) == BFLOAT16
    with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
        yield
