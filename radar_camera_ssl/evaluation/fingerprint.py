# SPDX-License-Identifier: Apache-2.0
"""Which recording it was: what it holds, by which it can be told from others."""

from __future__ import annotations

import hashlib
from typing import Any

from radar_camera_ssl.sensors.bag_files import storage_files
from radar_camera_ssl.sensors.recording import Recording

_PIECE = 1 << 20


def fingerprint(recording: Recording) -> dict[str, Any]:
    """Tell a recording apart from others, whatever it is called.

    sha256: hexadecimal, of the content of its storage files, by name, one after another.
    bytes: theirs. start_ns: bag time of the first message; None without any. duration_s.
    topics: of each its `type` and number of `messages`.

    Every byte is read, once more than the evaluation itself does: as fast as the disc gives them,
    or as SHA-256 goes on one core (`benchmarks/evaluation.py` measures it).
    """
    digest = hashlib.sha256()
    size = 0
    for file in storage_files(recording.path):
        with file.open('rb') as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
                size += len(piece)
    counts = recording.message_counts
    return {
        'sha256': digest.hexdigest(),
        'bytes': size,
        'start_ns': recording.start_ns,
        'duration_s': recording.duration_s,
        'topics': {
            topic: {'type': msgtype, 'messages': counts[topic]}
            for topic, msgtype in sorted(recording.topics.items())
        },
    }
