# SPDX-License-Identifier: Apache-2.0
"""No classifier tells aligned from misaligned pairs by what is not their correspondence.

Drives full of shortcuts (each its own tint, kind of road, clock and stops; blur that tells the
speed) go through bags, shards and sampling; classifiers that get a part of what a pair tells are
trained on the batches of some drives and judged on those of others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from toy_bags import points, write_bag

from radar_camera_ssl.learning.prepare import prepare_drives
from radar_camera_ssl.learning.sampling import SPEED_SCALE_MPS, misaligned, spaced_choice
from radar_camera_ssl.learning.shards import SampleFormat
from radar_camera_ssl.sensors.messages import image as image_message
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, messages
from radar_camera_ssl.simulation.clock import sensor_ticks

HEIGHT, WIDTH, DURATION_S, DRIVES, TRAINING = 24, 32, 25.0, 8, 4
BATCHES = 60
CAMERA_PERIOD_NS, RADAR_PERIOD_NS = 50_000_000, 100_000_000


def write_drive_of_shortcuts(folder, seed: int):
    """A bag at 20 and 10 Hz; the car also stops, for a quarter of the drive."""
    rng = np.random.default_rng(seed)
    camera, radar = sensor_ticks(
        DriveConfig(seed=seed, duration_s=DURATION_S, camera=CameraConfig(rate_hz=20.0))
    )
    tint, strongest = rng.uniform(60, 190, 3), rng.uniform(-5, 15)
    crowd = int(rng.integers(10, 25))
    knots = rng.uniform(4, 25, 9)
    knots[rng.integers(1, 6) + np.arange(3)] = 0.0

    def speed(second: float) -> float:
        return float(np.interp(second, np.linspace(0, DURATION_S, 9), knots))

    made = []
    for second in camera.stamp_s:
        texture = rng.normal(0, 40, (HEIGHT, WIDTH, 3))
        image = tint + 5 * np.sin(0.2 * second) + texture
        blurred = cv2.GaussianBlur(image, (0, 0), 0.3 + 0.1 * speed(second))
        stamp = int(1e9 * (100 * seed + 1 + second))
        shot = image_message(stamp, 'camera', blurred.clip(0, 255).astype(np.uint8), 'bgr8')
        made.append((messages.IMAGE, stamp, shot))
    for second in radar.stamp_s:
        azimuth, far = rng.uniform(-0.7, 0.7, crowd), rng.uniform(4, 50, crowd)
        velocity = -speed(second) * np.cos(azimuth) + rng.normal(0, 0.1, crowd)
        rcs = rng.normal(strongest, 4, crowd)
        returns = np.column_stack([far * np.cos(azimuth), far * np.sin(azimuth), velocity, rcs])
        stamp = int(1e9 * (100 * seed + 1 + second))
        made.append((messages.POINTS, stamp, points(stamp, returns)))
    return write_bag(folder / f'd{seed}', sorted(made, key=lambda entry: entry[1]))


@dataclass(frozen=True)
class Frames:
    """All frames of all drives and what a classifier may be told of each, by row."""

    drives: list
    first: np.ndarray
    image: np.ndarray
    radar: np.ndarray
    stamps: np.ndarray

    def rows(self, chosen) -> np.ndarray:
        return np.array([self.first[d] + i for d, i in chosen])


@pytest.fixture(scope='module')
def frames(tmp_path_factory) -> Frames:
    folder = tmp_path_factory.mktemp('shortcuts')
    bags = [write_drive_of_shortcuts(folder, seed) for seed in range(DRIVES)]
    form = SampleFormat(HEIGHT, WIDTH, 32)
    drives = prepare_drives(bags, folder / 'store', form, report=lambda line: None)
    image, radar, stamps = [], [], []
    for drive in drives:
        radar_stamps = radar_stamps_of(drive)
        for i in range(len(drive)):
            picture = drive.image(i).astype(np.float64)
            sharp = np.abs(np.diff(picture, axis=1)).mean()
            image.append([*picture.mean((0, 1)), picture.std(), np.log(sharp)])
            x, y, velocity, rcs = drive.returns(i).T
            far = np.hypot(x, y).mean()
            radar.append([len(x), far, np.abs(y).mean(), velocity.mean(), rcs.mean()])
            stamps.append([drive.stamps[i], radar_stamps[i]])
    lengths = [len(drive) for drive in drives]
    first = np.concatenate([[0], np.cumsum(lengths)])
    return Frames(drives, first, np.array(image), np.array(radar), np.array(stamps))


def radar_stamps_of(drive) -> list[int]:
    return json.loads((drive.folder / 'index.json').read_text())['radar_stamps']


@dataclass(frozen=True)
class Pairs:
    """Pairs of batches: the rows of image and radar frame, and whether they are aligned."""

    image: np.ndarray
    radar: np.ndarray
    aligned: np.ndarray


def without_content(drives, chosen) -> SimpleNamespace:
    """A batch that tells only where its pairs are from."""
    stamps = [int(drives[d].stamps[i]) for d, i in chosen]
    return SimpleNamespace(drive=torch.tensor([d for d, _ in chosen]), stamp=torch.tensor(stamps))


def draw(frames: Frames, drives, seed: int, partner=None, scale: float = SPEED_SCALE_MPS) -> Pairs:
    """Draw BATCHES batches of the drives; `partner` replaces the choice of misaligned images."""
    rng = np.random.default_rng(seed)
    members = [frames.drives[d] for d in drives]
    images, radars, aligned = [], [], []
    for _ in range(BATCHES):
        local = spaced_choice(members, rng, len(members), 4, speed_scale=scale)
        rows = frames.rows([(drives[d], i) for d, i in local])
        other = rows[misaligned(without_content(members, local), rng).numpy()]
        if partner is not None:
            other = partner(rng, rows, other)
        images += [rows, other]
        radars += [rows, rows]
        aligned += [np.ones(len(rows)), np.zeros(len(rows))]
    return Pairs(np.concatenate(images), np.concatenate(radars), np.concatenate(aligned))


def held_out_auroc(features, frames: Frames, **how) -> tuple[float, float]:
    """Best AUROC of two classifiers on drives not trained on, and its bound by chance.

    The bound: four standard deviations of the AUROC of n against n values without difference,
    sqrt((2 n + 1) / (12 n^2)) (Mann and Whitney 1947).
    """
    order = list(range(DRIVES))
    training = draw(frames, order[:TRAINING], 1, **how)
    test = draw(frames, order[TRAINING:], 2, **how)
    x, y = features(frames, training)
    x_test, y_test = features(frames, test)
    classifiers = (
        make_pipeline(
            StandardScaler(), PolynomialFeatures(2), StandardScaler(), LogisticRegression()
        ),
        DecisionTreeClassifier(max_depth=6, min_samples_leaf=20, random_state=0),
    )
    scores = [roc_auc_score(y_test, c.fit(x, y).predict_proba(x_test)[:, 1]) for c in classifiers]
    n = len(y_test) / 2
    worst = max(scores, key=lambda score: abs(score - 0.5))
    return worst, 4.0 * np.sqrt((2 * n + 1) / (12 * n**2))


def image_alone(frames: Frames, pairs: Pairs):
    return frames.image[pairs.image], pairs.aligned


def radar_alone(frames: Frames, pairs: Pairs):
    return frames.radar[pairs.radar], pairs.aligned


def phases(stamps: np.ndarray) -> np.ndarray:
    """Where stamps lie in the second and in the radar's period."""
    seconds = (stamps % 1_000_000_000) / 1e9
    turns = 2 * np.pi * (stamps % RADAR_PERIOD_NS) / RADAR_PERIOD_NS
    return np.column_stack([seconds, np.sin(turns), np.cos(turns)])


def stamps_of_one(frames: Frames, pairs: Pairs):
    """The image's stamp and its gap to the radar frame that it was recorded with."""
    image, radar = frames.stamps[pairs.image].T
    return np.column_stack([phases(image), (radar - image) / 1e6]), pairs.aligned


def stamps_of_both(frames: Frames, pairs: Pairs):
    """Both stamps and the gap, whole periods left out, of pairs from one drive.

    Whole periods are what misalignment is; between two drives, whose clocks run each for itself,
    the gap's rest says that they are two.
    """
    image, radar = frames.stamps[pairs.image, 0], frames.stamps[pairs.radar, 1]
    drive = np.searchsorted(frames.first, np.arange(len(frames.stamps)), side='right')
    one = drive[pairs.image] == drive[pairs.radar]
    parts = (phases(stamps)[:, 1:] for stamps in (image, radar, radar - image))
    told = np.column_stack(list(parts))
    return told[one], pairs.aligned[one]


def both_of_shuffled(frames: Frames, pairs: Pairs):
    """Both sensors, each radar frame with the image of another pair of the same kind."""
    rng = np.random.default_rng(0)
    image = pairs.image.copy()
    for kind in (0, 1):
        rows = np.flatnonzero(pairs.aligned == kind)
        image[rows] = image[rng.permutation(rows)]
    return np.column_stack([frames.image[image], frames.radar[pairs.radar]]), pairs.aligned


def blur_and_speed(frames: Frames, pairs: Pairs):
    """Sharpness of the image and the radar's mean velocity: no thing is found in the image."""
    return np.column_stack([frames.image[pairs.image, 4], frames.radar[pairs.radar, 3]]), (
        pairs.aligned
    )


@pytest.mark.parametrize(
    'features', [stamps_of_one, stamps_of_both, image_alone, radar_alone, both_of_shuffled]
)
def test_a_part_of_the_pair_tells_nothing(frames, features):
    auroc, bound = held_out_auroc(features, frames)
    assert abs(auroc - 0.5) < bound


def any_frame(rng: np.random.Generator, rows: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A broken sampler: misaligned images from anywhere in the drives, standstill and all."""
    return rng.integers(rows.min(), rows.max() + 1, len(rows))


def often_the_first(rng: np.random.Generator, rows: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A broken sampler: one image of a batch is the misaligned one more often than others."""
    return np.where(rng.random(len(rows)) < 0.3, rows.min(), other)


@pytest.mark.parametrize('partner', [any_frame, often_the_first])
def test_images_drawn_otherwise_are_caught(frames, partner):
    auroc, bound = held_out_auroc(image_alone, frames, partner=partner)
    assert abs(auroc - 0.5) > bound


def test_images_of_another_moment_of_the_period_are_caught(frames):
    """A broken sampler: misaligned images are those after the ones that pair with a frame."""

    def later(told: Frames, pairs: Pairs):
        image, radar = told.stamps[pairs.image, 0], told.stamps[pairs.radar, 1]
        image = image + np.where(pairs.aligned, 0, CAMERA_PERIOD_NS)
        return np.column_stack([phases(image), phases(radar - image)[:, 1:]]), pairs.aligned

    auroc, bound = held_out_auroc(later, frames)
    assert auroc - 0.5 > bound


def test_blur_and_doppler_match_far_less_in_batches_of_one_speed(frames):
    """Blur tells the speed to a decimetre per second here; to a classifier, not to a person."""
    matched, _ = held_out_auroc(blur_and_speed, frames)
    unmatched, bound = held_out_auroc(blur_and_speed, frames, scale=np.inf)
    assert unmatched - 0.5 > 4 * bound
    assert matched - 0.5 < 0.75 * (unmatched - 0.5)
