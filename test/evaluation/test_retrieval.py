# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.metrics import Tally
from radar_camera_ssl.evaluation.replay import RadarFrame
from radar_camera_ssl.evaluation.retrieval import CHANCE, GALLERY, RetrievalProbe
from radar_camera_ssl.evaluation.time_blocks import BlockedTally, total_of
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel
from radar_camera_ssl.sensors.radar_points import RadarPoints

SECOND = 1_000_000_000
Score = Callable[[int, int], float]


def radar(index: int, returns: int = 1) -> RadarPoints:
    """Returns that carry the frame's number."""
    number = np.full(returns, index, np.float32)
    position = np.ones((returns, 3), np.float32)
    return RadarPoints(position, number, number, np.arange(returns, dtype=np.int32))


class Judge:
    """Answers with an agreement that is a function of the numbers of image and radar frame."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self.calls = 0

    def __call__(self, image: NDArray[np.uint8], frame: RadarFrame) -> Correspondence:
        assert isinstance(frame, RadarPoints)
        self.calls += 1
        number = int(frame.rcs[0]) if len(frame) else -1
        none = np.zeros(len(frame), np.float32)
        agreement = self.score(int(image[0, 0, 0]) + 256 * int(image[0, 0, 1]), number)
        return Correspondence(
            np.zeros((2, 3), np.float32), none, np.zeros((len(frame), 2)), agreement, frame, 0
        )


def probed(
    judge: Judge, frames: Iterable[int], speed_mps: float = 10.0, returns: int = 1
) -> tuple[RetrievalProbe, BlockedTally]:
    """10 Hz; each image shows its frame's number."""
    blocks = BlockedTally()
    probe = RetrievalProbe(judge, blocks, (4, 6))
    for index in frames:
        image = np.full((8, 12, 3), (index % 256, index // 256, 0), np.uint8)
        frame, stamp = radar(index, returns), index * SECOND // 10
        probe.add(stamp, speed_mps * 0.1 * index, image, frame, judge(image, frame))
    judge.calls = 0
    probe.finish()
    return probe, blocks


def recalls(blocks: BlockedTally) -> tuple[float | None, float | None]:
    values = total_of(blocks.blocks).values()
    return values['retrieval_recall_at_1'], values['retrieval_recall_at_5']


def test_who_knows_the_moment_finds_every_image() -> None:
    probe, blocks = probed(Judge(lambda image, frame: 0.9 if image == frame else 0.1), range(300))
    assert recalls(blocks) == (1.0, 1.0)
    assert total_of(blocks.blocks).retrieval[0] == GALLERY
    assert probe.missing() == {}


def test_who_prefers_all_others_finds_none() -> None:
    _, blocks = probed(Judge(lambda image, frame: float(image != frame)), range(300))
    assert recalls(blocks) == (0.0, 0.0)


def test_a_random_score_is_at_chance() -> None:
    rng = np.random.default_rng(0)
    found = [
        recalls(probed(Judge(lambda image, frame: float(rng.random())), range(160))[1])
        for _ in range(60)
    ]
    first, fifth = np.array(found, float).mean(axis=0)
    assert first == pytest.approx(CHANCE['retrieval_recall_at_1'], abs=0.03)
    assert fifth == pytest.approx(CHANCE['retrieval_recall_at_5'], abs=0.05)


@pytest.mark.parametrize(
    'blind',
    [
        lambda image, frame: 0.5,
        lambda image, frame: (image * 37 % 101) / 101,  # the image alone
        lambda image, frame: (frame * 37 % 101) / 101,  # the radar alone
        lambda image, frame: float(image % 3),  # the image alone, with ties
    ],
    ids=['constant', 'image', 'radar', 'image with ties'],
)
def test_a_score_that_ignores_a_sensor_is_exactly_at_chance(blind: Score) -> None:
    _, blocks = probed(Judge(blind), range(200))
    assert recalls(blocks) == pytest.approx(tuple(CHANCE.values()))


@given(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=1, max_size=8))
def test_ties_count_as_the_average_over_their_orders(others: list[float]) -> None:
    own, rng = 0.5, np.random.default_rng(0)
    places = []
    for _ in range(400):
        jitter = rng.permutation(len(others) + 1) * 1e-6
        ranked = np.array([own, *others]) + jitter
        places.append(int((ranked > ranked[0]).sum()))
    tally = Tally()
    tally.add_retrieval(own, others)
    for k, expected in ((1, tally.retrieval[1]), (5, tally.retrieval[2])):
        assert np.mean(np.array(places) < k) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize('frames', [160, 1000, 6000])
def test_cost_and_memory_do_not_grow_with_the_drive(frames: int) -> None:
    judge = Judge(lambda image, frame: 0.5)
    probe, _ = probed(judge, range(frames))
    assert judge.calls == GALLERY * (GALLERY - 1)
    assert len(probe._held) < 2 * GALLERY
    assert all(moment.image.shape == (4, 6, 3) for moment in probe._held)


def test_the_gallery_is_spread_over_the_drive_and_over_its_time_blocks() -> None:
    seen: list[int] = []
    _, blocks = probed(Judge(lambda image, frame: seen.append(frame) or 0.5), range(1000))
    moments = sorted(set(seen[1000:]))
    assert len(moments) == GALLERY
    assert max(np.diff([0, *moments, 1000])) < 2.5 * 1000 / GALLERY
    assert all(block.retrieval[0] for block in blocks.blocks)


def test_moments_lie_half_a_second_and_two_metres_apart() -> None:
    slow = 1.0
    shown: list[int] = []
    _, _ = probed(Judge(lambda image, frame: shown.append(image) or 0.5), range(350), slow)
    steps = np.diff(sorted(set(shown[350:])))
    assert steps.min() >= 20  # 2 m at 1 m/s, 10 Hz


@pytest.mark.parametrize(
    ('frames', 'speed_mps', 'returns'),
    [(range(70), 10.0, 1), (range(300), 0.0, 1), (range(300), 10.0, 0)],
    ids=['too short', 'standing', 'nothing seen'],
)
def test_without_moments_enough_there_is_no_figure_and_a_reason(
    frames: range, speed_mps: float, returns: int
) -> None:
    judge = Judge(lambda image, frame: 0.5)
    probe, blocks = probed(judge, frames, speed_mps, returns)
    assert judge.calls == 0
    assert recalls(blocks) == (None, None)
    assert probe.missing().keys() == CHANCE.keys()
    assert 'moments' in probe.missing()['retrieval_recall_at_1']


def test_a_drive_that_starts_over_is_not_compared_with_itself() -> None:
    shown: list[int] = []
    judge = Judge(lambda image, frame: shown.append(image) or 0.5)
    probed(judge, [*range(200), *range(100, 300)])
    compared = shown[400:]
    assert len(set(compared)) == GALLERY
    assert len(compared) == GALLERY * (GALLERY - 1)


def test_an_image_at_the_input_size_gives_the_same_agreement(tiny_model: Path) -> None:
    model = CorrespondenceModel.load(tiny_model)
    rng = np.random.default_rng(0)
    blocks = BlockedTally()
    camera = model.metadata.camera
    probe = RetrievalProbe(model.infer, blocks, (camera.height, camera.width))
    image = rng.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    answer = model.infer(image, radar(3))
    probe.add(0, 0.0, image, radar(3), answer)
    held = probe._held[0]
    assert held.image.shape == (camera.height, camera.width, 3)
    assert model.infer(held.image, held.radar).agreement == answer.agreement
