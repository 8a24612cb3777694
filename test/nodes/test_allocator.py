# SPDX-License-Identifier: Apache-2.0
"""Buffers of an image's size are used again."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from radar_camera_ssl.nodes.allocator import keep_large_buffers
if not keep_large_buffers():
    sys.exit('no glibc')
image = bytes(2764800)
for round in range(60):
    if round == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    copies = [bytearray(image) for _ in range(3)]
    del copies
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_large_buffers_are_not_asked_of_the_system_again_and_again() -> None:
    done = subprocess.run([sys.executable, '-c', PROGRAM], capture_output=True, text=True)
    if 'no glibc' in done.stderr:
        pytest.skip('the C library is not glibc')
    # Without it, 50 rounds of three images are 100,000 faults.
    assert int(done.stdout) < 5000, done.stderr
