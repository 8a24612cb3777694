# SPDX-License-Identifier: Apache-2.0
"""The limit, for benchmarks/pipeline.py: the model's `session.run` with ready tensors.

    python -m pipeline_bare MODEL TENSORS.npz THREADS SECONDS RATE_HZ RESULT.npy

RATE_HZ 0: one after the other. RESULT: (N, 2) int64, begin and end of each, steady clock, ns.
Before it begins it touches RESULT.ready.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from inference import session

WARM_UP = 10


def main(model: str, tensors: str, threads: str, seconds: str, rate_hz: str, result: str) -> None:
    """Run and write."""
    runner = session(Path(model).read_bytes(), int(threads), spinning=False)
    names = [output.name for output in runner.get_outputs()]
    feed = dict(np.load(tensors))
    for _ in range(WARM_UP):
        runner.run(names, feed)
    Path(f'{result}.ready').touch()
    period_s = 1 / float(rate_hz) if float(rate_hz) else 0.0
    due_s = time.monotonic()
    end_s = due_s + float(seconds)
    took = []
    while due_s < end_s:
        time.sleep(max(0.0, due_s - time.monotonic()))
        begin = time.monotonic_ns()
        runner.run(names, feed)
        took.append((begin, time.monotonic_ns()))
        due_s = due_s + period_s if period_s else time.monotonic()
    part = Path(result).with_suffix('.part.npy')
    np.save(part, np.array(took, np.int64))
    part.replace(result)


if __name__ == '__main__':
    main(*sys.argv[1:])
