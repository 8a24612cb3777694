# SPDX-License-Identifier: Apache-2.0
"""The pixel buffer of a sensor_msgs/Image as an array, whatever its step and byte order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SensorDataError


def image_raster(msg: Any, dtype: str, channels: int, truncated_reason: str) -> NDArray[Any]:
    """Return (height, width, channels) of `dtype` in native byte order, a view where possible.

    Padding at the end of a row (`step` larger than the row) is skipped. A `step` of 0 on a
    buffer of the right length is taken as unpadded: some drivers forget it.
    Raises SensorDataError(`truncated_reason`) when step or buffer are shorter than the image.
    """
    item = np.dtype(dtype).newbyteorder('>' if msg.is_bigendian else '<')
    height, width = int(msg.height), int(msg.width)
    pixel_bytes = channels * item.itemsize
    row_bytes = width * pixel_bytes
    step = int(msg.step) or row_bytes
    data = np.frombuffer(msg.data, np.uint8)
    if step < row_bytes:
        raise SensorDataError(
            truncated_reason,
            f'step of {step} bytes for {width} pixels of {pixel_bytes} bytes each',
        )
    # The padding of the last row may be missing; its pixels may not.
    needed = (height - 1) * step + row_bytes
    if data.size < needed:
        raise SensorDataError(
            truncated_reason,
            f'{data.size} bytes for {height} rows of step {step} ({needed} needed)',
        )
    raster: NDArray[Any] = np.ndarray(
        (height, width, channels), item, data, 0, (step, pixel_bytes, item.itemsize)
    )
    raster = raster.astype(item.newbyteorder('='), copy=False)
    # OpenCV refuses a step that is no multiple of the item's size.
    return raster if raster.flags.aligned else raster.copy()
