# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from radar_camera_ssl.inference.colour_map import MAXIMUM_OPACITY, blend, colourise, to_levels
from radar_camera_ssl.inference.marks import GHOST_COLOUR, SOURCE_COLOUR
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.inference.overlay import draw_overlay
from radar_camera_ssl.sensors.radar_points import RadarPoints


def correspondence(
    heatmap: Any, pixels: Any = (), likelihood: Any = (), distance: Any = 10.0
) -> Correspondence:
    pixel = np.array(pixels, np.float32).reshape(-1, 2)
    n = len(pixel)
    position = np.zeros((n, 3), np.float32)
    position[:, 0] = distance
    zero = np.zeros(n, np.float32)
    return Correspondence(
        heatmap=np.array(heatmap, np.float32),
        likelihood=np.array(likelihood, np.float32),
        pixel=pixel,
        agreement=0.5,
        returns=RadarPoints(position, zero, zero, np.arange(n, dtype=np.int32)),
        returns_dropped=0,
    )


COLD = np.zeros((30, 40))


def grey(height: int = 480, width: int = 640) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 110, np.uint8)


def test_the_road_stays_visible_where_nothing_reflects() -> None:
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    drawn = draw_overlay(image, correspondence(COLD + 0.03), legend=False)
    np.testing.assert_array_equal(drawn, image)


def test_the_given_image_is_not_modified() -> None:
    image = grey()
    drawn = draw_overlay(image, correspondence(COLD + 1, [[9, 9]], [0.9]), caption='caption')
    assert not np.shares_memory(drawn, image)
    np.testing.assert_array_equal(image, grey())
    image.setflags(write=False)
    draw_overlay(image, correspondence(COLD), caption='caption')


def test_heat_lies_on_its_cell() -> None:
    heat = COLD.copy()
    heat[20, 30] = 1
    drawn = draw_overlay(grey(), correspondence(heat), legend=False)
    changed = np.abs(drawn.astype(int) - 110).max(axis=2) > 10
    rows, columns = np.nonzero(changed)
    assert rows.mean() == pytest.approx(20.5 * 16 - 0.5, abs=0.6)
    assert columns.mean() == pytest.approx(30.5 * 16 - 0.5, abs=0.6)
    assert np.ptp(rows) < 32


def test_the_more_likely_the_more_opaque() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, ::2] = 255
    contrast = []
    for level in np.linspace(0, 1, 21):
        drawn = blend(image, to_levels(np.full((40, 40), level))).astype(int)
        contrast.append(np.abs(drawn[:, 10] - drawn[:, 11]).mean())
    assert contrast[0] == 255
    assert (np.diff(contrast) <= 1).all()  # One level of rounding.
    assert contrast[-1] == pytest.approx(255 * (1 - MAXIMUM_OPACITY), abs=2)


def test_sources_and_ghosts_are_told_apart() -> None:
    answer = correspondence(COLD, [[200, 200], [400, 300]], [0.8, 0.2])
    drawn = draw_overlay(grey(), answer, legend=False)
    np.testing.assert_array_equal(drawn[200, 200], SOURCE_COLOUR)
    np.testing.assert_array_equal(drawn[300, 400], GHOST_COLOUR)
    assert not (drawn[260:] == SOURCE_COLOUR).all(axis=2).any()
    assert (drawn[300, 400 - 6 : 400 + 7] == 110).any()  # A cross leaves the ground visible.


def test_a_near_return_is_the_larger() -> None:
    answer = correspondence(COLD, [[200, 200], [400, 200]], [0.9, 0.9], distance=[6, 55])
    drawn = (draw_overlay(grey(), answer, legend=False) == SOURCE_COLOUR).all(axis=2)
    assert drawn[:, :300].sum() > 2 * drawn[:, 300:].sum() > 0


def test_the_legend_takes_a_strip_and_no_more() -> None:
    answer = correspondence(COLD)
    with_legend = draw_overlay(grey(), answer)
    assert (with_legend[:26] != 110).any()
    np.testing.assert_array_equal(with_legend[26:], grey()[26:])
    captioned = draw_overlay(grey(), answer, caption='t = 1.0 s', legend=False)
    assert (captioned[-26:, :40] != 110).any()
    np.testing.assert_array_equal(captioned[:-26], grey()[26:])


def test_a_caption_of_other_letters_is_drawn_as_well_as_the_font_can() -> None:
    draw_overlay(grey(), correspondence(COLD), caption='Zürich → 漢字\n' + 'x' * 500)


pixels = st.floats(-1e9, 1e9, width=32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.integers(1, 12),
    st.integers(1, 12),
    st.lists(st.tuples(pixels, pixels, st.floats(0, 1, width=32)), max_size=6),
    st.text(max_size=20),
)
def test_any_size_and_any_pixel(
    height: int,
    width: int,
    rows: int,
    columns: int,
    marks: list[tuple[float, float, float]],
    caption: str,
) -> None:
    heat = np.random.default_rng(0).random((rows, columns))
    answer = correspondence(heat, [m[:2] for m in marks], [m[2] for m in marks])
    drawn = draw_overlay(grey(height, width), answer, caption=caption)
    assert drawn.shape == (height, width, 3)
    assert drawn.dtype == np.uint8


def test_a_large_image_gets_large_marks() -> None:
    def marked(factor: int) -> int:
        answer = correspondence(COLD, [[100 * factor, 100 * factor]], [0.9])
        drawn = draw_overlay(grey(480 * factor, 640 * factor), answer, legend=False)
        return int((drawn != 110).any(axis=2).sum())

    assert marked(3) == pytest.approx(9 * marked(1), rel=0.25)


def test_colours_grow_lighter_with_likelihood() -> None:
    colours = colourise(np.linspace(0, 1, 64)[None])[0].astype(float)
    luminance = colours @ [0.0722, 0.7152, 0.2126]
    assert (np.diff(luminance) > 0).all()


def test_levels_stay_within_bounds() -> None:
    levels = to_levels(np.array([[0.0, 1.0], [1.0, 0.0]]), 64, 64)
    assert (levels.min(), levels.max()) == (0, 255)
    np.testing.assert_array_equal(to_levels(np.array([[0.0, 0.5, 1.0]])), [[0, 128, 255]])
