# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.video import (
    MomentSampler,
    OverlayVideo,
    contact_sheet,
    join_videos,
)


def picture(level: int, height: int = 61, width: int = 81) -> NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


def test_video_plays_where_browsers_play_it(tmp_path: Path) -> None:
    path = tmp_path / 'overlay.mp4'
    stamps = [5_000_000_000 + i * 100_000_000 for i in range(12)]
    with OverlayVideo(path) as video:
        for i, stamp in enumerate(stamps):
            video.add(stamp, picture(20 * i))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == 'h264'
        assert stream.codec_context.pix_fmt == 'yuv420p'
        assert (stream.width, stream.height) == (80, 60)
        frames = list(container.decode(stream))
    assert [round(f.time, 3) for f in frames] == [round(0.1 * i, 3) for i in range(12)]
    levels = [f.to_ndarray(format='bgr24').mean() for f in frames]
    assert levels == pytest.approx([20 * i for i in range(12)], abs=4)
    data = path.read_bytes()
    assert data.index(b'moov') < data.index(b'mdat')


def test_video_survives_a_jump_of_time_and_another_size(tmp_path: Path) -> None:
    path = tmp_path / 'overlay.mp4'
    with OverlayVideo(path) as video:
        for stamp, size in ((2_000_000_000, 60), (2_100_000_000, 60), (0, 40), (0, 200)):
            video.add(stamp, picture(100, size, size))
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4


def test_no_frames_no_file(tmp_path: Path) -> None:
    with OverlayVideo(tmp_path / 'overlay.mp4') as video:
        pass
    assert video.frames == 0
    assert not (tmp_path / 'overlay.mp4').exists()


def test_videos_are_joined_as_they_are(tmp_path: Path) -> None:
    """One of another size alone is compressed anew, at the size of the first."""
    parts = []
    for number, size in enumerate((60, 60, 40)):
        part = tmp_path / f'{number}.mp4'
        with OverlayVideo(part) as video:
            for i in range(5):
                video.add(i * 100_000_000, picture(50 + 40 * number, size, size + 20))
        parts.append((part, 0.6 * number))
    path = tmp_path / 'overlay.mp4'
    join_videos(parts, path)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times = [0.6 * number + 0.1 * i for number in range(3) for i in range(5)]
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.002)
    assert {(frame.width, frame.height) for frame in frames} == {(80, 60)}
    levels = [frame.to_ndarray(format='bgr24').mean() for frame in frames]
    assert levels == pytest.approx([50] * 5 + [90] * 5 + [130] * 5, abs=8)
    data = path.read_bytes()
    assert data.index(b'moov') < data.index(b'mdat')
    with av.open(str(parts[1][0])) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert all(packet in data for packet in packets)


@given(st.integers(0, 400))
def test_moments_are_spread_over_the_stream(count: int) -> None:
    sampler = MomentSampler(6)
    for i in range(count):
        if sampler.wants_next:
            sampler.add(float(i), picture(0, 2, 2))
        else:
            sampler.skip()
    times = [time for time, _ in sampler.moments()]
    assert len(times) == min(count, 6)
    assert times == sorted(set(times))
    if count >= 24:
        steps = np.diff([0.0, *times, count])
        assert steps.max() <= count / 3


def test_contact_sheet_shows_the_moments_in_order(tmp_path: Path) -> None:
    path = tmp_path / 'overlay.png'
    moments = [(float(i), picture(40 * i + 10, 120, 160)) for i in range(6)]
    contact_sheet(moments, path)
    sheet = cv2.imread(str(path))
    assert sheet is not None
    assert sheet.shape[0] > 360
    assert sheet.shape[1] > 320
    corners = [sheet[20 + r * 126, 20 + c * 166, 0] for r in range(3) for c in range(2)]
    assert corners == [40 * i + 10 for i in range(6)]


def test_contact_sheet_says_when_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='no moments'):
        contact_sheet([], tmp_path / 'overlay.png')
    with pytest.raises(OSError, match='cannot write'):
        contact_sheet([(0.0, picture(1))], tmp_path / 'nowhere' / 'overlay.png')
