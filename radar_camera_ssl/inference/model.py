# SPDX-License-Identifier: Apache-2.0
"""The exported model: loaded, held against its own description, and run, from arrays to arrays."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from radar_camera_ssl.model_metadata import (
    METADATA_KEY,
    CubeInput,
    ModelMetadata,
    ModelMetadataError,
    PointsInput,
)
from radar_camera_ssl.sensors.camera_image import CameraImage, ImageLike, resize_image
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics, same_shape
from radar_camera_ssl.sensors.radar_points import RadarPoints

from .accelerator_check import Deviation, check_deviation
from .errors import ModelError
from .session import (
    CPU,
    RUNTIME_ERRORS,
    SINGLE_PRECISION,
    Acceleration,
    OpenSession,
    one_line,
    open_on_cpu,
    open_session,
)
from .tensor_contract import check_tensors, optional_output_tensors, output_tensors

__all__ = ['Correspondence', 'CorrespondenceModel', 'ModelError']

# A likelihood may leave [0, 1] by the rounding of a GPU's arithmetic, not by more.
_TOLERANCE = 1e-3
# Returns are padded to a multiple of this: each further size is planned anew by ONNX Runtime.
_PADDED_TO = 16
# The input of a trained model has its camera's shape but for whole cells.
_ROUNDED_TO_CELLS = 0.05


@dataclass(frozen=True, eq=False)
class Correspondence:
    """What the model makes of one pair. All arrays are the caller's to keep.

    heatmap: (h, w) float32 in [0, 1], likelihood per grid cell that a reflection comes from there.
    likelihood: (N,) float32 in [0, 1], per return, that a visible cell is its source.
    pixel: (N, 2) float32, per return, its most likely source (u, v) in pixels of the image given,
    pixel centres at integer coordinates.
    agreement: in [0, 1], that both sensors show the same instant through the known mounting.
    returns: the N returns used, in the same order; returns_dropped: how many beyond the model's
    maximum were left out, the weakest first.
    prior_pixel: (N, 2) float32 like pixel, where the model would look without seeing the image
    (the radar-only baseline of an evaluation); None where the model file has no such output.
    """

    heatmap: NDArray[np.float32]
    likelihood: NDArray[np.float32]
    pixel: NDArray[np.float32]
    agreement: float
    returns: RadarPoints
    returns_dropped: int
    prior_pixel: NDArray[np.float32] | None = None


class CorrespondenceModel:
    """A model file behind ONNX Runtime. Load with :meth:`load`, run with :meth:`infer`.

    Several threads may call :meth:`infer` at once.
    """

    def __init__(self, opened: OpenSession, sha256: str) -> None:
        self._session = opened.session
        self.metadata = metadata = _described(opened.session)
        self.sha256 = sha256
        self.provider = opened.provider
        """The execution provider really taken."""
        self.passed_over = opened.passed_over
        """Why each provider preferred to it was not taken, one line each."""
        self.arithmetic = opened.arithmetic
        """What it calculates in: `fp32`, `tf32` or `fp16`."""
        self.engines = opened.engines
        """The folder of TensorRT's engines; None without TensorRT."""
        self.operators = opened.operators
        """How many operators each provider runs (an engine is one); None for the CPU itself."""
        self.deviation: Deviation | None = None
        """How far an accelerator's answers are from the CPU's; None for the CPU itself."""
        present = {tensor.name for tensor in opened.session.get_outputs()}
        optional = [t for t in optional_output_tensors(metadata) if t.name in present]
        self._outputs = output_tensors(metadata) + optional
        inputs = {tensor.name: tensor.shape for tensor in opened.session.get_inputs()}
        fixed = 'points' not in inputs or isinstance(inputs['points'][1], int)
        # An accelerator's engines and graphs are built for one size.
        self._padded_to = None if fixed or opened.provider != CPU else _PADDED_TO
        self._output_names = [tensor.name for tensor in self._outputs]

    @classmethod
    def load(
        cls,
        path: str | Path,
        providers: Sequence[str] = (CPU,),
        allow_cpu_fallback: bool = False,
        threads: int = 1,
        acceleration: Acceleration = SINGLE_PRECISION,
    ) -> CorrespondenceModel:
        """Read, check and try out a model file.

        ``providers``: ONNX Runtime's execution providers in order of preference. ``threads``: of
        one operator on the CPU. The file's tensors must fit its metadata, and the model must
        answer an empty radar frame; that first run also takes the cost of building engines. An
        accelerator must run operators of it, and give the CPU's answers to made-up pairs
        (`accelerator_check`).

        Raises :class:`ModelError` saying what is wrong: no such file, not a model, metadata
        missing or unreadable (which field), tensors that do not fit it (which field), an
        accelerator asked for that is not what runs while ``allow_cpu_fallback`` is false, or whose
        answers are not the CPU's.
        """
        path = Path(path)
        if not path.is_file():
            raise ModelError(f'no model file at {path}')
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f'cannot read the model {path}: {error.strerror}') from error
        try:
            sha256 = hashlib.sha256(content).hexdigest()
            opened = open_session(
                content,
                providers,
                allow_cpu_fallback,
                threads,
                acceleration,
                first_run=lambda opened: cls(opened, sha256)._try_out(),
            )
            model = cls(opened, sha256)
            if model.provider != CPU:
                trusted = cls(OpenSession(open_on_cpu(content, threads), CPU, ()), sha256)
                model.deviation = check_deviation(model.metadata, model.infer, trusted.infer)
        except ModelError as error:
            raise ModelError(f'{path}: {error}', error.field) from error
        except RUNTIME_ERRORS as error:
            # Such as names and metadata of a damaged file, which are no text.
            raise ModelError(f'{path}: the model is damaged: {one_line(error)}') from error
        return model

    def infer(
        self,
        image: ImageLike,
        radar: RadarPoints | NDArray[np.float32],
        intrinsics: Intrinsics | None = None,
    ) -> Correspondence:
        """Answer one pair.

        image: (H, W, 3) uint8 BGR of any size; never modified. A CameraImage answers as the node
        does, pixel by pixel. radar: the returns for a points model (none is valid; beyond
        ``max_returns`` the strongest are kept), (R, A, D) float32 dB for a cube model.
        intrinsics: of the image given, needed where ``metadata.camera.intrinsics``.

        A cube's returns are those the network selected, at most K: positions from range and
        azimuth (z is 0), velocity is their Doppler, ``row`` counts them; rcs is 0 throughout, for
        a cube is not calibrated to one. Rows of ``return_polar`` at range zero are padding.

        Raises SensorDataError (``image_empty``, ``cube_shape``) for input that cannot be used,
        ModelError when the run fails or answers with something that is no answer.
        """
        feed, returns, dropped = self._feed(image, radar, intrinsics)
        answer = self._run(feed)
        rows: slice | NDArray[np.bool_]
        if returns is None:
            rows = _found(answer['return_polar'])
            returns = _polar_returns(answer['return_polar'][rows])
        else:
            rows = slice(len(returns))
        prior = answer.get('prior_pixel')
        return Correspondence(
            heatmap=_likelihood('heatmap', answer['heatmap']),
            likelihood=_likelihood('likelihood', answer['likelihood'][rows]),
            pixel=self._in_image('pixel', answer['pixel'][rows], image),
            agreement=float(_likelihood('agreement', answer['agreement'])),
            returns=returns,
            returns_dropped=dropped,
            prior_pixel=None
            if prior is None
            else self._in_image('prior_pixel', prior[rows], image),
        )

    def feed(
        self,
        image: ImageLike,
        radar: RadarPoints | NDArray[np.float32],
        intrinsics: Intrinsics | None = None,
    ) -> dict[str, Any]:
        """The input tensors of a pair, by name, with what `infer` takes and raises."""
        return self._feed(image, radar, intrinsics)[0]

    def scaled(self, image: ImageLike) -> NDArray[np.uint8]:
        """The image, (H, W, 3) uint8 BGR, at the size of the model's input, the same memory if it
        has it; raises SensorDataError like :meth:`infer`.
        """
        if not isinstance(image, CameraImage):
            _check_image(image)
        return resize_image(image, self.metadata.camera.height, self.metadata.camera.width)

    def misfit(self, size: tuple[int, int]) -> str:
        """What is wrong with images of this size (height, width); empty where nothing is.

        One of another shape than the model knows is answered, but stretched: things in it are not
        where the geometry that was learnt has them.
        """
        camera = self.metadata.camera
        known = camera.adapted_to or (camera.height, camera.width)
        if same_shape(size, known, _ROUNDED_TO_CELLS):
            return ''
        return (
            f'images of {size[1]}x{size[0]} are stretched: the model knows images of the shape of '
            f'{known[1]}x{known[0]}'
        )

    def _in_image(
        self, name: str, pixel: NDArray[np.float32], image: ImageLike
    ) -> NDArray[np.float32]:
        """Pixels (N, 2) of the model's input as pixels of the image given."""
        if not np.isfinite(pixel).all():
            raise ModelError(f'output {name} is not finite', f'output {name}')
        camera = self.metadata.camera
        scale = np.array([image.shape[1] / camera.width, image.shape[0] / camera.height])
        return ((pixel + 0.5) * scale - 0.5).astype(np.float32)

    def _feed(
        self,
        image: ImageLike,
        radar: object,
        intrinsics: Intrinsics | None,
    ) -> tuple[dict[str, Any], RadarPoints | None, int]:
        """Input tensors; the returns in them, None for a cube; how many returns were left out."""
        camera = self.metadata.camera
        feed: dict[str, Any] = {'image': self.scaled(image)[None]}
        if camera.intrinsics:
            if intrinsics is None:
                raise ModelError('the model needs the camera intrinsics', 'camera.intrinsics')
            matrix = intrinsics.scaled(camera.width, camera.height).matrix
            feed['intrinsics'] = matrix.astype(np.float32)[None]
        if not isinstance(self.metadata.radar, PointsInput):
            _feed_cube(feed, radar, self.metadata.radar)
            return feed, None, 0
        returns, dropped = self._feed_points(feed, radar, self.metadata.radar)
        return feed, returns, dropped

    def _feed_points(
        self, feed: dict[str, Any], radar: object, wanted: PointsInput
    ) -> tuple[RadarPoints, int]:
        if not isinstance(radar, RadarPoints):
            raise ModelError('the model reads radar points, a cube was given', 'radar.kind')
        returns = radar.strongest(wanted.max_returns)
        n = len(returns)
        rows = wanted.max_returns
        if self._padded_to is not None:
            rows = min(rows, max(1, math.ceil(n / self._padded_to)) * self._padded_to)
        points = np.zeros((1, rows, len(wanted.fields)), np.float32)
        points[0, :n] = returns.as_array(wanted.field_names)
        mask = np.zeros((1, rows), np.bool_)
        mask[0, :n] = True
        feed['points'], feed['mask'] = points, mask
        return returns, len(radar) - n

    def _run(self, feed: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
        try:
            values = self._session.run(self._output_names, feed)
        except RUNTIME_ERRORS as error:
            raise ModelError(f'inference failed: {one_line(error)}') from error
        answer = {}
        padded = {'radar.max_returns': feed['points'].shape[1]} if 'points' in feed else {}
        for tensor, value in zip(self._outputs, values, strict=True):
            sizes = tuple(padded.get(field, size) for size, field in tensor.shape)
            if value.shape != sizes:
                raise ModelError(
                    f'output {tensor.name} has shape {value.shape}, should be {sizes}',
                    f'output {tensor.name}',
                )
            answer[tensor.name] = value[0]
        return answer

    def _try_out(self) -> None:
        camera, radar = self.metadata.camera, self.metadata.radar
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        focal = np.array(
            [[camera.width, 0, camera.width / 2], [0, camera.width, camera.height / 2], [0, 0, 1]],
            np.float64,
        )
        nothing: RadarPoints | NDArray[np.float32] = (
            RadarPoints.empty()
            if isinstance(radar, PointsInput)
            else np.zeros(radar.shape, np.float32)
        )
        self.infer(image, nothing, Intrinsics(camera.width, camera.height, focal))


def _described(session: onnxruntime.InferenceSession) -> ModelMetadata:
    """The metadata of a model; raises ModelError where it has none or its tensors do not fit."""
    described = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in described:
        raise ModelError(
            f'the model does not describe itself: metadata key {METADATA_KEY!r} is missing '
            f'(found: {sorted(described) or "none"})',
            METADATA_KEY,
        )
    try:
        metadata = ModelMetadata.from_json(described[METADATA_KEY])
    except ModelMetadataError as error:
        raise ModelError(f'metadata {error}', error.field) from error
    check_tensors(metadata, session.get_inputs(), session.get_outputs())
    return metadata


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SensorDataError(
            'image_encoding', f'image must be (H, W, 3) uint8, is {image.shape} {image.dtype}'
        )
    if image.size == 0:
        raise SensorDataError('image_empty', f'image is empty: {image.shape}')


def _feed_cube(feed: dict[str, Any], radar: object, wanted: CubeInput) -> None:
    if not isinstance(radar, np.ndarray):
        raise ModelError('the model reads a radar cube, points were given', 'radar.kind')
    if radar.shape != wanted.shape:
        raise SensorDataError(
            'cube_shape', f'cube has shape {radar.shape}, the model reads {wanted.shape}'
        )
    feed['cube'] = np.ascontiguousarray(radar, np.float32)[None]


def _found(polar: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Rows (K,) of ``return_polar`` that are returns; NaN is left for the check that follows."""
    found: NDArray[np.bool_] = ~(polar[:, 0] <= 0.0)
    return found


def _polar_returns(polar: NDArray[np.float32]) -> RadarPoints:
    """Returns from (K, 3) range m, azimuth rad, Doppler m/s."""
    if not np.isfinite(polar).all():
        raise ModelError('output return_polar is not finite', 'output return_polar')
    distance, azimuth, doppler = polar.T
    position = np.stack(
        [distance * np.cos(azimuth), distance * np.sin(azimuth), np.zeros_like(distance)], axis=1
    )
    return RadarPoints(
        position=position.astype(np.float32),
        velocity=doppler.astype(np.float32),
        rcs=np.zeros(len(polar), np.float32),
        row=np.arange(len(polar), dtype=np.int32),
    )


def _likelihood(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    if not values.size:
        return values
    # Either is NaN where a value is.
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ModelError(f'output {name} is not finite', f'output {name}')
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise ModelError(f'output {name} leaves [0, 1]: [{low:g}, {high:g}]', f'output {name}')
    return values if low >= 0 and high <= 1 else values.clip(0, 1)
