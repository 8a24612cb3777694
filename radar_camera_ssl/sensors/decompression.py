# SPDX-License-Identifier: Apache-2.0
"""Data that bags hold compressed, also where they are cut off or do not say so.

The libraries are those that rosbags brings.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import lz4.frame

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
_DECOMPRESSORS = {'zstd': zstd.ZstdDecompressor, 'lz4': lz4.frame.LZ4FrameDecompressor}
# Compressed bytes at a time.
_PIECE = 1 << 16


def decompressed(data: bytes, compression: str) -> bytes:
    """Decompress a chunk of an MCAP file as far as possible; nothing of an unknown compression.

    compression: `zstd`, `lz4`, or nothing for none.
    """
    if compression == '':
        return data
    if compression not in _DECOMPRESSORS:
        return b''
    decompressor = _DECOMPRESSORS[compression]()
    found = bytearray()
    # What comes before a damage is kept.
    with suppress(zstd.ZstdError, RuntimeError, EOFError):
        for start in range(0, len(data), _PIECE):
            found += decompressor.decompress(data[start : start + _PIECE])
    return bytes(found)


def unpacked(message: bytes) -> bytes:
    """Return a message as serialised, of a bag whose compression nobody has told.

    Without its metadata.yaml a bag compressed message by message is like any other; but no
    message in CDR begins like a frame of Zstandard. Raises ValueError for what only seems one.
    """
    if message[:4] != _ZSTD_MAGIC:
        return message
    try:
        return bytes(zstd.decompress(message))
    except zstd.ZstdError as error:
        raise ValueError(f'a compressed message is damaged: {error}') from error
