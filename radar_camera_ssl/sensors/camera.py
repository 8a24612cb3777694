# SPDX-License-Identifier: Apache-2.0
"""Camera messages as BGR arrays.

Anything with the fields of sensor_msgs/Image or CompressedImage is taken: rclpy's classes on the
vehicle, `rosbags`' off line. The conversions are those of cv_bridge (same OpenCV codes, same
scaling), so that both give the same pixels. They are done here and not by rosbags-image, because
its 0.10.4 ignores `step` (a padded image comes out sheared), returns two dimensions for a grey
JPEG and leaves a truncated one to an assertion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import SensorDataError
from .raster import image_raster


@dataclass(frozen=True)
class Encoding:
    """How one pixel lies in memory and the OpenCV code that makes BGR of it (None: it is BGR)."""

    dtype: str
    channels: int
    to_bgr: int | None


# A compressed image of more is none of a camera on a vehicle but a damaged header.
MAX_PIXELS = 2**26

JPEG_START = b'\xff\xd8'
# What image_transport calls a JPEG of a colour image.
JPEG_FORMAT = 'bgr8; jpeg compressed bgr8'

# Bayer names differ by one row and column: ROS names the pixels of the first row and column,
# OpenCV those of the second. yuv422 is UYVY by the definition in sensor_msgs/image_encodings.
ENCODINGS: dict[str, Encoding] = {
    'bgr8': Encoding('u1', 3, None),
    '8UC3': Encoding('u1', 3, None),
    'rgb8': Encoding('u1', 3, cv2.COLOR_RGB2BGR),
    'bgra8': Encoding('u1', 4, cv2.COLOR_BGRA2BGR),
    '8UC4': Encoding('u1', 4, cv2.COLOR_BGRA2BGR),
    'rgba8': Encoding('u1', 4, cv2.COLOR_RGBA2BGR),
    'mono8': Encoding('u1', 1, cv2.COLOR_GRAY2BGR),
    '8UC1': Encoding('u1', 1, cv2.COLOR_GRAY2BGR),
    'mono16': Encoding('u2', 1, cv2.COLOR_GRAY2BGR),
    'bgr16': Encoding('u2', 3, None),
    'rgb16': Encoding('u2', 3, cv2.COLOR_RGB2BGR),
    'bgra16': Encoding('u2', 4, cv2.COLOR_BGRA2BGR),
    'rgba16': Encoding('u2', 4, cv2.COLOR_RGBA2BGR),
    'yuv422': Encoding('u1', 2, cv2.COLOR_YUV2BGR_UYVY),
    'uyvy': Encoding('u1', 2, cv2.COLOR_YUV2BGR_UYVY),
    'yuv422_yuy2': Encoding('u1', 2, cv2.COLOR_YUV2BGR_YUY2),
    'yuyv': Encoding('u1', 2, cv2.COLOR_YUV2BGR_YUY2),
    'bayer_rggb8': Encoding('u1', 1, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr8': Encoding('u1', 1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': Encoding('u1', 1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': Encoding('u1', 1, cv2.COLOR_BayerGB2BGR),
    'bayer_rggb16': Encoding('u2', 1, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr16': Encoding('u2', 1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg16': Encoding('u2', 1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg16': Encoding('u2', 1, cv2.COLOR_BayerGB2BGR),
}


# What a JPEG's sides can be divided by while it is decoded: its blocks are of 8x8.
JPEG_READING: dict[int, int] = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def decode_image(msg: Any) -> NDArray[np.uint8]:
    """Decode an Image or CompressedImage to (H, W, 3) uint8 BGR.

    A `bgr8` image is a view of the message's buffer (read-only where the buffer is); everything
    else is a new array. 16-bit images are scaled by 255/65535 and rounded, as cv_bridge does: a
    fixed scale, so that brightness means the same in each frame. A sensor that leaves its 12
    bits unshifted in 16 therefore comes out dark, as it does with every other consumer. A
    CompressedImage is a Bayer mosaic where its `format` says so, as image_transport writes it.

    Raises SensorDataError with reason `image_empty`, `image_truncated`, `image_encoding` or
    `image_corrupt`.
    """
    return _decode_compressed(msg, 1) if hasattr(msg, 'format') else _decode_raw(msg)


def jpeg_size(msg: Any) -> tuple[int, int] | None:
    """Height and width that a CompressedImage's JPEG tells; None where the message is none.

    None also for a Bayer mosaic, whose neighbouring pixels must not be merged.
    """
    if not hasattr(msg, 'format') or _mosaic(msg) is not None:
        return None
    data = np.frombuffer(msg.data, np.uint8).data
    size = _jpeg_size(data) if data[:2] == JPEG_START else b''
    return (int.from_bytes(size[:2], 'big'), int.from_bytes(size[2:], 'big')) if size else None


def decode_jpeg(msg: Any, divisor: int) -> NDArray[np.uint8]:
    """Decode a CompressedImage's JPEG to (H / divisor, W / divisor, 3) uint8 BGR.

    `divisor` is one of JPEG_READING that divides both sides. Where it is more than 1, the highest
    frequencies of each block are left out, which takes less time than to decode and scale them.
    Raises SensorDataError as `decode_image` does.
    """
    return _decode_compressed(msg, divisor)


def encode_jpeg(image: NDArray[np.uint8], quality: int = 90) -> NDArray[np.uint8]:
    """Encode (H, W, 3) uint8 BGR as a JPEG: (N,) uint8, its bytes.

    Raises ValueError for an array that is no image, or too large for the format.
    """
    try:
        encoded, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error:
        encoded = False
    if not encoded:
        raise ValueError(f'image of shape {image.shape} cannot be encoded as JPEG')
    return np.asarray(data, np.uint8).reshape(-1)


def _decode_raw(msg: Any) -> NDArray[np.uint8]:
    encoding = ENCODINGS.get(msg.encoding) or ENCODINGS.get(str(msg.encoding).lower())
    if encoding is None:
        raise SensorDataError(
            'image_encoding',
            f'image encoding {msg.encoding!r} is not supported (supported: {sorted(ENCODINGS)})',
        )
    if msg.height == 0 or msg.width == 0:
        raise SensorDataError('image_empty', f'image of size {msg.width}x{msg.height}')
    if encoding.channels == 2 and msg.width % 2:
        # Two pixels share their chroma. Older OpenCV reads past the end of the row.
        raise SensorDataError(
            'image_corrupt', f'{msg.encoding} image of odd width {msg.width}: 4:2:2 needs pairs'
        )
    raster = image_raster(msg, encoding.dtype, encoding.channels, 'image_truncated')
    return _to_bgr(raster[..., 0] if encoding.channels == 1 else raster, encoding, msg.encoding)


def _to_bgr(raster: NDArray[Any], encoding: Encoding, label: str) -> NDArray[np.uint8]:
    try:
        bgr = raster if encoding.to_bgr is None else cv2.cvtColor(raster, encoding.to_bgr)
    except cv2.error as error:
        # Such as a Bayer image of one row: the header is wrong.
        height, width = raster.shape[:2]
        raise SensorDataError(
            'image_corrupt', f'{label!r} image of {width}x{height} cannot be converted: {error}'
        ) from error
    if bgr.dtype == np.uint16:
        bgr = cv2.convertScaleAbs(bgr, alpha=255.0 / 65535.0)
    return np.asarray(bgr, np.uint8)


def _mosaic(msg: Any) -> Encoding | None:
    """The encoding of a CompressedImage that holds a Bayer mosaic: `bayer_rggb8; png ...`."""
    name = str(msg.format).partition(';')[0].strip()
    return ENCODINGS.get(name) if name.startswith('bayer_') else None


def _decode_compressed(msg: Any, divisor: int) -> NDArray[np.uint8]:
    if 'compressedDepth' in msg.format:
        raise SensorDataError('image_encoding', f'{msg.format!r} is a depth image')
    data = np.frombuffer(msg.data, np.uint8)
    if data.size == 0:
        raise SensorDataError('image_empty', 'compressed image without data')
    _check_complete(data, msg.format)
    _check_size(data.data, msg.format)
    if (encoding := _mosaic(msg)) is not None:
        as_stored = _read(data, cv2.IMREAD_UNCHANGED, msg.format)
        if as_stored.ndim == 2:
            return _to_bgr(as_stored, encoding, msg.format)
    # The calibration belongs to the pixels as stored: an EXIF orientation must not turn them.
    flags = JPEG_READING[divisor] | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(_read(data, flags, msg.format), np.uint8)


def _read(data: NDArray[np.uint8], flags: int, label: str) -> NDArray[Any]:
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise SensorDataError('image_corrupt', f'{label!r} image: {error}') from error
    if image is None:
        raise SensorDataError(
            'image_corrupt', f'{data.size} bytes labelled {label!r} are no image'
        )
    return np.asarray(image)


def _check_complete(data: NDArray[np.uint8], label: str) -> None:
    """Refuse a JPEG or PNG whose end is missing: OpenCV fills the rest with grey, silently."""
    # Some cameras fill their buffer up with zeros, some append a few bytes of their own.
    tail = data.tobytes().rstrip(b'\0')[-4096:]
    if data[:2].tobytes() == JPEG_START:
        complete = b'\xff\xd9' in tail
    elif data[:8].tobytes() == b'\x89PNG\r\n\x1a\n':
        complete = b'IEND' in tail
    else:
        return
    if not complete:
        raise SensorDataError(
            'image_truncated', f'{label!r} image of {data.size} bytes has no end marker'
        )


def _check_size(data: memoryview, label: str) -> None:
    """Refuse a JPEG or PNG whose header asks for more than MAX_PIXELS.

    OpenCV believes it, and takes gigabytes and many seconds for a damaged one of a few bytes.
    """
    if data[:2] == JPEG_START:
        size = _jpeg_size(data)
    elif data[:8] == b'\x89PNG\r\n\x1a\n':
        size = data[16:24]
    else:
        return
    half = len(size) // 2
    pixels = int.from_bytes(size[:half], 'big') * int.from_bytes(size[half:], 'big')
    if pixels > MAX_PIXELS:
        raise SensorDataError(
            'image_corrupt', f'{label!r} image of {len(data)} bytes asks for {pixels} pixels'
        )


def _jpeg_size(data: memoryview) -> memoryview:
    """Height and width of a JPEG, two bytes each, from its frame header (ITU-T T.81, B.2.2).

    Empty where there is none: that is for the decoder to say.
    """
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        # Of these numbers, three are of other tables.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 5 : at + 9]
        # A marker may be filled up with bytes 0xFF.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
    return data[:0]
