# SPDX-License-Identifier: Apache-2.0
"""Our decoding and encoding against cv_bridge's, where that is installed."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from ros_graph import stamped
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from radar_camera_ssl.nodes.conversions import heatmap_message, image_message
from radar_camera_ssl.nodes.decoding import image_decoder
from radar_camera_ssl.nodes.parameters import Settings
from radar_camera_ssl.sensors.camera import ENCODINGS, Encoding, decode_image

cv_bridge = pytest.importorskip('cv_bridge', reason='the ROS package cv_bridge is not installed')

# Names that cv_bridge of older distributions does not know under this spelling.
NEWER = ('uyvy', 'yuyv')


def random_image(name: str, encoding: Encoding) -> Image:
    """48 x 32 pixels, rows padded by 6 bytes."""
    rng = np.random.default_rng(len(name))
    dtype = np.dtype(encoding.dtype)
    row = 48 * encoding.channels * dtype.itemsize
    rows = rng.integers(0, 256, (32, row + 6), np.uint8)
    message = Image(encoding=name, height=32, width=48, step=row + 6)
    message.data = array('B', rows.tobytes())
    return stamped(message, 1, 'camera')


@pytest.mark.parametrize('name', sorted(ENCODINGS))
def test_each_encoding_is_decoded_alike(name: str) -> None:
    message = random_image(name, ENCODINGS[name])
    try:
        theirs = cv_bridge.CvBridge().imgmsg_to_cv2(message, 'bgr8')
    except cv_bridge.CvBridgeError as error:
        if name in NEWER or name[0].isdigit():
            pytest.skip(f'this cv_bridge does not convert {name}: {error}')
        raise
    np.testing.assert_array_equal(decode_image(message), theirs)


def test_the_parameter_selects_it() -> None:
    decode = image_decoder(Settings(image_conversion='cv_bridge'))
    message = random_image('rgb8', ENCODINGS['rgb8'])
    np.testing.assert_array_equal(decode(message), decode_image(message))


@pytest.mark.parametrize('encoding', ['bgr8', '32FC1'])
def test_outputs_are_encoded_alike(encoding: str) -> None:
    rng = np.random.default_rng(0)
    header = Header(frame_id='camera')
    if encoding == '32FC1':
        values: Any = rng.random((30, 40), np.float32)
        ours = heatmap_message(values, header)
    else:
        values = rng.integers(0, 256, (30, 40, 3), np.uint8)
        ours = image_message(values, encoding, header)
    assert ours == cv_bridge.CvBridge().cv2_to_imgmsg(values, encoding, header)
