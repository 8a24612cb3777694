# SPDX-License-Identifier: Apache-2.0
"""Whether an accelerator really runs a model, and gives the answers that the CPU gives.

The heatmap of an engine that was built wrong, of half precision that overflows, or of a driver
that does not fit looks like any other. So a model that is opened on an accelerator answers some
made-up pairs there and on the CPU before it is used: a wrong heatmap is worse than none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.model_metadata import CubeInput, ModelMetadata
from radar_camera_ssl.sensors.geometry import Intrinsics
from radar_camera_ssl.sensors.radar_points import RadarPoints

from .errors import ModelError
from .radar_frames import RadarFrame

if TYPE_CHECKING:
    from .model import Correspondence

# An image (H, W, 3) uint8, a radar frame, and the image's intrinsics, as `infer` takes them.
ModelInput = tuple[NDArray[np.uint8], RadarFrame, 'Intrinsics | None']
Infer = Callable[[NDArray[np.uint8], RadarFrame, 'Intrinsics | None'], 'Correspondence']

PAIRS = 4
_RETURNS = 40
_PEAKS = 40


@dataclass(frozen=True)
class Deviation:
    """How far the answers of two sessions of one model are apart.

    likelihood: the largest difference of any likelihood (heatmap, returns, agreement), 0 to 1.
    moved: share of the returns, weighted by their likelihood, whose pixel is further than a cell
    from the other session's, or which only one of them has; 0 where no return has any likelihood.
    """

    likelihood: float
    moved: float

    def __str__(self) -> str:
        """Both, in words."""
        return (
            f'likelihoods differ by {self.likelihood:.4f} at most, '
            f'{100 * self.moved:.1f} % of the returns point elsewhere'
        )


TOLERANCE = Deviation(likelihood=0.02, moved=0.02)
"""Beyond this an accelerator is refused."""


def check_deviation(metadata: ModelMetadata, tried: Infer, trusted: Infer) -> Deviation:
    """Compare two sessions of one model on made-up pairs, the same every time.

    Raises ModelError beyond `TOLERANCE`.
    """
    found = deviation(metadata, tried, trusted, made_up_pairs(metadata))
    if found.likelihood > TOLERANCE.likelihood or found.moved > TOLERANCE.moved:
        raise ModelError(
            f"the accelerator does not give the CPU's answers: {found} (allowed: "
            f'{TOLERANCE.likelihood:g} and {100 * TOLERANCE.moved:g} %)'
        )
    return found


def deviation(
    metadata: ModelMetadata, tried: Infer, trusted: Infer, pairs: Iterable[ModelInput]
) -> Deviation:
    """Compare the answers of two models of the same inputs and outputs to the same pairs."""
    likelihood, moved, weight = 0.0, 0.0, 0.0
    for image, radar, intrinsics in pairs:
        ours, theirs = tried(image, radar, intrinsics), trusted(image, radar, intrinsics)
        mine, other = _same_returns(ours.returns, theirs.returns, metadata)
        cell = max(image.shape[1] / metadata.grid.columns, image.shape[0] / metadata.grid.rows)
        stayed = np.hypot(*(ours.pixel[mine] - theirs.pixel[other]).T) <= cell
        invented = float(np.delete(ours.likelihood, mine).sum())
        moved += float(np.delete(theirs.likelihood, other[stayed]).sum()) + invented
        weight += float(theirs.likelihood.sum()) + invented
        likelihood = max(
            likelihood,
            float(np.abs(ours.heatmap - theirs.heatmap).max()),
            abs(ours.agreement - theirs.agreement),
            float(np.abs(ours.likelihood[mine] - theirs.likelihood[other]).max(initial=0.0)),
        )
    return Deviation(likelihood, moved / weight if weight else 0.0)


def _same_returns(
    ours: RadarPoints, theirs: RadarPoints, metadata: ModelMetadata
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which of our returns is which of theirs: two arrays of indices, of those found in both.

    A points model answers the returns that it is given. Those of a cube are selected by the
    network, which interpolates: another order is no error, nor is a difference within a bin.
    """
    radar = metadata.radar
    if not isinstance(radar, CubeInput):
        return np.arange(len(ours)), np.arange(len(theirs))
    axes = zip((radar.range_m, radar.azimuth_rad, radar.doppler_mps), radar.shape, strict=True)
    bins = [abs(high - low) / count for (low, high), count in axes]
    mine, other = (np.stack([r.range, r.azimuth, r.velocity], 1) / bins for r in (ours, theirs))
    apart = np.abs(mine[:, None] - other[None]).max(axis=2)
    nearest = (apart <= 1.0) & (apart == apart.min(axis=0, initial=np.inf))
    found, as_theirs = np.nonzero(nearest)
    return found, as_theirs


def made_up_pairs(
    metadata: ModelMetadata,
) -> Iterator[ModelInput]:
    """Pairs of the model's kind, the same every time; like nothing on a road, but not flat."""
    camera = metadata.camera
    focal = np.array(
        [[camera.width, 0, camera.width / 2], [0, camera.width, camera.height / 2], [0, 0, 1]],
        np.float64,
    )
    intrinsics = Intrinsics(camera.width, camera.height, focal)
    for seed in range(PAIRS):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (12, 16, 3)).astype(np.float32)
        size = (camera.width, camera.height)
        smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        image = np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
        yield image, _made_up_radar(rng, metadata), intrinsics


def _made_up_radar(rng: np.random.Generator, metadata: ModelMetadata) -> RadarFrame:
    if isinstance(metadata.radar, CubeInput):
        cube = rng.exponential(1.0, metadata.radar.shape)
        peaks = tuple(rng.integers(0, size, _PEAKS) for size in metadata.radar.shape)
        cube[peaks] += 10 ** rng.uniform(1, 4, _PEAKS)
        return (10 * np.log10(cube)).astype(np.float32)
    distance, azimuth = rng.uniform(4, 70, _RETURNS), rng.uniform(-0.6, 0.6, _RETURNS)
    position = np.stack(
        [distance * np.cos(azimuth), distance * np.sin(azimuth), rng.normal(0, 0.5, _RETURNS)],
        axis=1,
    )
    return RadarPoints(
        position.astype(np.float32),
        rng.normal(-5, 6, _RETURNS).astype(np.float32),
        rng.normal(5, 8, _RETURNS).astype(np.float32),
        np.arange(_RETURNS, dtype=np.int32),
    )


def operators_by_provider(profile: Path) -> Counter[str]:
    """Operators that each provider has run, of a profile that ONNX Runtime wrote.

    A session that names an accelerator first may still run everything on the CPU: an accelerator
    takes what it can of a graph, which may be nothing. An engine of TensorRT counts as one.
    Raises ModelError for a file that is no profile.
    """
    try:
        events = json.loads(profile.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ModelError(f'cannot read the profile {profile}: {error}') from error
    ran = {
        (event['name'], event['args']['provider'])
        for event in events
        if event.get('cat') == 'Node' and event.get('args', {}).get('provider')
    }
    return Counter(provider for _, provider in ran)
