# SPDX-License-Identifier: Apache-2.0
"""Our decoder against another one of the same encodings; cv_bridge's is in test/nodes/."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_messages import smooth_image

from radar_camera_ssl.sensors.camera import ENCODINGS, decode_image

rosbags_image = pytest.importorskip('rosbags.image', reason='rosbags-image is not installed')


@pytest.mark.parametrize('encoding', sorted(set(ENCODINGS) - {'8UC1', '8UC4'}))
def test_every_encoding_is_as_rosbags_image_has_it(encoding: str) -> None:
    """Where rosbags-image is right: it truncates 16 bit values, we round as cv_bridge does."""
    msg = smooth_image(encoding)
    tolerance = 1 if ENCODINGS[encoding].dtype == 'u2' else 0
    theirs = rosbags_image.message_to_cvimage(msg, 'bgr8').astype(int)
    assert np.abs(decode_image(msg).astype(int) - theirs).max() <= tolerance
