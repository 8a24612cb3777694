# SPDX-License-Identifier: Apache-2.0
"""What is read of a rig from its bags."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from hypothesis import given
from hypothesis import strategies as st
from toy_bags import points, write_bag, write_toy_bag

from radar_camera_ssl.learning.bag_pairs import BagSource
from radar_camera_ssl.learning.network import STRIDE
from radar_camera_ssl.learning.rig import PIXELS, Rig, input_size, read_rig
from radar_camera_ssl.sensors.messages import image as image_message
from radar_camera_ssl.sensors.recording import RecordingError
from radar_camera_ssl.simulation import messages


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('rig')
    kinds = ('points', 'points cube', 'cube')
    return {k: write_toy_bag(folder / k.replace(' ', '_'), 0, frames=2, kinds=k) for k in kinds}


def test_points_are_taken_where_every_bag_has_them_else_the_cube(bags):
    only_points, both, cube = bags.values()
    assert read_rig([only_points, both], BagSource()) == Rig('points', 120, 160)
    assert read_rig([both, cube], BagSource()).radar == 'cube'
    assert read_rig([both], BagSource(), 'cube').radar == 'cube'


def test_the_bags_that_lack_what_is_wanted_are_named(bags):
    only_points, both, cube = bags.values()
    with pytest.raises(
        ValueError, match=rf'no radar points in {cube}; no radar cube in {only_points}'
    ):
        read_rig([only_points, both, cube], BagSource())
    with pytest.raises(ValueError, match=f'no radar cube in {only_points}$'):
        read_rig([both, only_points], BagSource(), 'cube')


def test_images_of_two_shapes_are_not_one_rig(bags, tmp_path):
    stamp = 10**9
    wide = image_message(stamp, 'camera', np.zeros((9, 32, 3), np.uint8), 'bgr8')
    returns = points(stamp, np.ones((1, 4), np.float32))
    made = [(messages.IMAGE, stamp, wide), (messages.POINTS, stamp, returns)]
    other = write_bag(tmp_path / 'wide', made)
    with pytest.raises(ValueError, match=f'points and {other} have images of different shapes'):
        read_rig([bags['points'], other], BagSource())


def test_a_bag_without_a_good_image_is_refused(tmp_path):
    stamp = 10**9
    image = image_message(stamp, 'camera', np.zeros((9, 32, 3), np.uint8), 'bgr8')
    image.encoding = 'unheard of'
    returns = points(stamp, np.ones((1, 4), np.float32))
    bag = write_bag(
        tmp_path / 'bad', [(messages.IMAGE, stamp, image), (messages.POINTS, stamp, returns)]
    )
    with pytest.raises(RecordingError, match='no image that can be decoded'):
        read_rig([bag], BagSource())


@given(st.integers(8, 4000), st.integers(8, 4000))
def test_the_input_keeps_shape_and_number_of_pixels_in_whole_cells(height, width):
    rows, columns = input_size(height, width)
    assert rows % STRIDE == columns % STRIDE == 0
    scale = min(1.0, (PIXELS / (height * width)) ** 0.5)
    assert abs(rows - height * scale) <= STRIDE / 2 or rows == STRIDE
    assert abs(columns - width * scale) <= STRIDE / 2 or columns == STRIDE


def test_usual_cameras():
    assert input_size(480, 640) == (240, 320)
    assert input_size(720, 1280) == input_size(1080, 1920) == (208, 368)
