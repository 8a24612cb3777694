# SPDX-License-Identifier: Apache-2.0
"""What lives from configure to cleanup: the model, pairing, queue and monitor, built as one.

Knows no ROS, so that a configuration can be checked, and fail with a reason, without a node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from radar_camera_ssl.inference.model import CorrespondenceModel, ModelError
from radar_camera_ssl.inference.session import Acceleration
from radar_camera_ssl.model_metadata import CubeInput
from radar_camera_ssl.resources import model_path
from radar_camera_ssl.sensors.pairing import Pair

from .agreement_watch import AgreementWatch
from .decoding import ImageDecoder, image_decoder, radar_decoder
from .intake import Intake
from .monitor import WorkerMonitor
from .pair_queue import PairQueue
from .parameters import Settings
from .radar_ahead import RadarAhead
from .recent_counts import RecentCounts
from .synchronizers import make_synchronizer


@dataclass(frozen=True)
class Session:
    """The parts of a configured node."""

    model: CorrespondenceModel
    model_facts: dict[str, str]
    """What the diagnostics say about the model."""
    decode_image: ImageDecoder
    decode_radar: RadarAhead
    queue: PairQueue[Pair]
    intake: Intake
    monitor: WorkerMonitor
    watch: AgreementWatch
    recent: RecentCounts


def open_session(settings: Settings, on_drop: Callable[[str, str], None]) -> Session:
    """Load the model and build the parts.

    Raises ModelError for a model that is missing, broken or does not fit the settings, and
    MissingPackageError for settings that need an absent ROS package.
    """
    path = _model_path(settings)
    model = CorrespondenceModel.load(
        path,
        providers=[provider for provider in settings.providers if provider],
        allow_cpu_fallback=settings.allow_cpu_fallback,
        threads=settings.inference_threads,
        acceleration=Acceleration(
            settings.precision,
            Path(settings.engine_cache).expanduser() if settings.engine_cache else None,
        ),
    )
    _check_fit(model, settings)
    queue: PairQueue[Pair] = PairQueue(settings.pair_queue_depth)
    return Session(
        model=model,
        model_facts=_facts(model, Path(path)),
        decode_image=image_decoder(settings),
        decode_radar=RadarAhead(radar_decoder(settings, model.metadata.radar), queue),
        queue=queue,
        intake=Intake(make_synchronizer(settings), queue, on_drop),
        monitor=WorkerMonitor(),
        watch=AgreementWatch(),
        recent=RecentCounts(),
    )


def _model_path(settings: Settings) -> str:
    if settings.model_path:
        return settings.model_path
    try:
        return str(model_path('cube' if settings.radar_format == 'cube' else 'points'))
    except FileNotFoundError as error:
        raise ModelError(f'model_path is empty, and {error}', 'model_path') from error


def _facts(model: CorrespondenceModel, path: Path) -> dict[str, str]:
    card = path.with_suffix('.md')
    return {
        'model.path': str(path),
        'model.sha256': model.sha256,
        'model.card': str(card) if card.is_file() else '',
        'model.radar': model.metadata.radar.kind,
        'provider': model.provider,
        'provider.arithmetic': model.arithmetic,
        'provider.deviation': str(model.deviation or ''),
        'provider.engines': str(model.engines or ''),
    }


def _check_fit(model: CorrespondenceModel, settings: Settings) -> None:
    radar = model.metadata.radar
    wanted = 'cube' if settings.radar_format == 'cube' else 'points'
    if radar.kind != wanted:
        raise ModelError(
            f'radar.kind: the model reads {radar.kind}, but radar_format is '
            f'{settings.radar_format}',
            'radar.kind',
        )
    if not isinstance(radar, CubeInput) or not any(settings.cube_axes):
        return
    limits = settings.cube_axes
    for name, given in (
        ('range_m', limits[0:2]),
        ('azimuth_rad', limits[2:4]),
        ('doppler_mps', limits[4:6]),
    ):
        trained = getattr(radar, name)
        tolerance = 1e-3 * abs(trained[1] - trained[0])
        if any(abs(a - b) > tolerance for a, b in zip(given, trained, strict=True)):
            raise ModelError(
                f'radar.{name}: the model was trained on {list(trained)}, cube_axes says '
                f'{list(given)}',
                f'radar.{name}',
            )
