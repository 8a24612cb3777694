# SPDX-License-Identifier: Apache-2.0
"""A model file with the convolutions of its image encoder in int8, calibrated on drives.

Only convolutions that see nothing but the image: they are most of the work, and their rounding
is a little noise on descriptors. Geometry, posterior and calibration stay in single precision:
there a step of int8 would be metres, or percents.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from radar_camera_ssl.inference.accelerator_check import Deviation, ModelInput, deviation
from radar_camera_ssl.inference.errors import ModelError
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.inference.radar_frames import decode_radar
from radar_camera_ssl.model_metadata import METADATA_KEY
from radar_camera_ssl.sensors.bag_files import refuse_repeated
from radar_camera_ssl.sensors.camera_image import CameraImage
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.recording import Recording, RecordingError, read_pairs

# Metadata by which ONNX Runtime knows that nothing is left to fold: an export is folded already.
_PREPARED = ('onnx.quant.pre_process', 'onnxruntime.quant')
_HELD_OUT = 20


@dataclass(frozen=True)
class FrameSource:
    """How frames are taken from bags, as for an evaluation; frames: of all bags together."""

    frames: int = 200
    slop_s: float = 0.05
    image_topic: str | None = None
    radar_topic: str | None = None
    aliases: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Quantized:
    """What was done: frames calibrated on, convolutions in int8, and how far off the answers are.

    deviation: from the original's, on `held_out` frames between those it was calibrated on.
    """

    frames: int
    convolutions: int
    held_out: int
    deviation: Deviation


def quantize(
    model_file: Path,
    bags: Sequence[Path],
    out: Path,
    source: FrameSource,
    told: Callable[[int], object] = lambda frames: None,
) -> Quantized:
    """Write ``out``, a copy of ``model_file`` with int8 convolutions; told: of each frame read.

    Static quantization to QDQ nodes, per channel, by the smallest and largest values seen.
    ``out`` says in its metadata what it was made of, and holds no weights to train from.

    Raises ModelError for a model that cannot be used or has no such convolution, RecordingError
    for a bag that cannot be read, or where the bags give too few frames to calibrate on and to
    judge by, and ValueError for one that is given twice.
    """
    refuse_repeated(bags)
    model = CorrespondenceModel.load(model_file)
    if 'quantization' in model.metadata.training:
        raise ModelError(f'{model_file} is quantized already: give the original')
    proto = onnx.load(model_file)
    chosen = image_convolutions(proto.graph)
    if not chosen:
        raise ModelError(f'{model_file}: no convolution sees the image alone: nothing to quantize')
    calibrating, held_out = read_frames(bags, model, source, told)
    described = replace(
        model.metadata,
        training={
            **model.metadata.training,
            'quantization': {
                'of': model.sha256,
                'method': 'static int8, QDQ, per channel, minimum and maximum',
                'convolutions': len(chosen),
                'drives': [bag.name for bag in bags],
                'frames': len(calibrating),
            },
        },
    )
    for node in proto.graph.node:
        # Only a name can be left out or taken; an export may come without.
        node.name = node.name or node.output[0]
    onnx.helper.set_model_props(proto, dict([_PREPARED]))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix='.quantize') as folder:
        unfinished = Path(folder) / out.name
        quantize_static(
            proto,
            unfinished,
            _Feeds([model.feed(*frame) for frame in calibrating]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=['Conv'],
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        quantized = onnx.load(unfinished)
        onnx.helper.set_model_props(quantized, {METADATA_KEY: described.to_json()})
        onnx.save(quantized, unfinished)
        found = deviation(
            model.metadata, CorrespondenceModel.load(unfinished).infer, model.infer, held_out
        )
        unfinished.replace(out)
    return Quantized(len(calibrating), len(chosen), len(held_out), found)


def image_convolutions(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions that depend on the input `image` and on no other, in order.

    A node without a name has that of its first output.
    """
    sees: dict[str, frozenset[str]] = {
        entry.name: frozenset([entry.name]) for entry in graph.input
    }
    chosen = []
    for node in graph.node:
        seen = frozenset().union(*(sees.get(name, frozenset()) for name in node.input))
        sees.update(dict.fromkeys(node.output, seen))
        if node.op_type == 'Conv' and seen == {'image'}:
            chosen.append(node.name or node.output[0])
    return chosen


def read_frames(
    bags: Sequence[Path],
    model: CorrespondenceModel,
    source: FrameSource,
    told: Callable[[int], object] = lambda frames: None,
) -> tuple[list[ModelInput], list[ModelInput]]:
    """Frames to calibrate on, spread evenly over the bags, and fewer between them to judge by.

    Frames that cannot be decoded are left out. Raises RecordingError where there is none for the
    one or the other.
    """
    camera = model.metadata.camera
    quota = math.ceil(source.frames / len(bags))
    calibrating: list[ModelInput] = []
    held_out: list[ModelInput] = []
    for bag in bags:
        with Recording(bag) as recording:
            pairs = read_pairs(
                recording,
                model.metadata.radar.kind,
                source.slop_s,
                source.image_topic,
                source.radar_topic,
            )
            # Twice as many: every second one is held out.
            step = max(1, recording.message_counts[pairs.radar_topic] // (2 * quota))
            taken = itertools.islice(pairs, 0, 2 * quota * step, step)
            intrinsics = recording.intrinsics() if camera.intrinsics else None
            for number, pair in enumerate(taken):
                try:
                    radar = decode_radar(pair.radar, model.metadata, source.aliases)
                    # As small as the model sees it: many are held at once.
                    image = CameraImage(pair.image).scaled(camera.height, camera.width)
                except SensorDataError:
                    continue
                frame = image, radar, intrinsics
                if number % 2 == 0:
                    calibrating.append(frame)
                    told(len(calibrating))
                elif len(held_out) < _HELD_OUT:
                    held_out.append(frame)
    if not calibrating or not held_out:
        purpose = 'judge by' if calibrating else 'calibrate on'
        raise RecordingError(f'no frame to {purpose} in {", ".join(map(str, bags))}')
    return calibrating, held_out


class _Feeds(CalibrationDataReader):
    """Input tensors, one frame at a time."""

    def __init__(self, feeds: list[dict[str, Any]]) -> None:
        self._feeds: Iterator[dict[str, Any]] = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        """Give the next frame's, None after the last."""
        return next(self._feeds, None)
