# SPDX-License-Identifier: Apache-2.0
"""One drive from its recording to its counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from radar_camera_ssl.evaluation import retrieval, rig_diagnosis
from radar_camera_ssl.evaluation.drive import DriveEvaluation
from radar_camera_ssl.evaluation.drive_result import DriveResult
from radar_camera_ssl.evaluation.fingerprint import fingerprint
from radar_camera_ssl.evaluation.ground_truth import FrameTruth, GroundTruthReader
from radar_camera_ssl.evaluation.metrics import METRIC_KEYS, WITHOUT_TRUTH
from radar_camera_ssl.evaluation.oracle import ProjectionOracle
from radar_camera_ssl.evaluation.outputs import DriveOutputs, OutputOptions
from radar_camera_ssl.evaluation.progress import DriveProgress
from radar_camera_ssl.evaluation.recorded_rig import RecordedRig, check_cube_axes
from radar_camera_ssl.evaluation.replay import RadarFrame, Replay, ReplayFrame
from radar_camera_ssl.evaluation.rig_diagnosis import RigProbe
from radar_camera_ssl.evaluation.timeline import Timeline
from radar_camera_ssl.evaluation.windows import WINDOW_S
from radar_camera_ssl.evaluation.write_behind import WriteBehind
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.inference.radar_frames import decode_radar
from radar_camera_ssl.inference.session import CPU, SINGLE_PRECISION, Acceleration
from radar_camera_ssl.model_metadata import CubeInput
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import transform_chain
from radar_camera_ssl.sensors.recording import Recording, RecordingError

# Of another drive, as long as a window each.
_STRETCHES = 5
_STRETCH_FRAMES = 32


@dataclass(frozen=True)
class EvaluationOptions:
    """How a recording is read, and on what the model runs.

    slop_s: largest gap of a pair. Topics are found by type where not named. field_aliases: names
    of radar fields as for `decode_points`. max_pairs: stop a drive early. providers and
    acceleration: as for `CorrespondenceModel.load`.
    """

    slop_s: float = 0.05
    image_topic: str | None = None
    radar_topic: str | None = None
    camera_info_topic: str | None = None
    field_aliases: Mapping[str, str] | None = None
    max_pairs: int | None = None
    providers: tuple[str, ...] = (CPU,)
    acceleration: Acceleration = SINGLE_PRECISION

    def load(self, model: Path) -> CorrespondenceModel:
        """Load a model file to be run so; raises ModelError."""
        return CorrespondenceModel.load(model, self.providers, acceleration=self.acceleration)


@dataclass(frozen=True)
class DriveJob:
    """One drive to evaluate; can be pickled, for another process or machine.

    others: recordings of which the first that can be read gives radar frames for misaligned
    pairs. part: folder of this drive's outputs, made when needed; None makes none.
    """

    path: Path
    others: tuple[Path, ...]
    options: EvaluationOptions
    part: Path | None
    outputs: OutputOptions


def evaluate_drive(
    job: DriveJob, model: CorrespondenceModel, progress: DriveProgress
) -> DriveResult:
    """Replay one drive, score and draw it.

    What is asked of the model beyond the frames themselves, and its scoring, go on in a thread,
    as does the drawing: two cores have enough to do. The latencies are measured beside that.
    Raises RecordingError for a recording that cannot be used at all, as for a cube of other axes.
    """
    path, options = job.path, job.options
    other_drive = _other_drive(job, model)
    missing: dict[str, str] = {}
    notes: list[str] = []
    with Recording(path) as recording, GroundTruthReader(recording) as reader, ExitStack() as held:
        rig = RecordedRig.of(recording, options.camera_info_topic, options.image_topic)
        intrinsics = rig.intrinsics
        outputs = held.enter_context(DriveOutputs(job.part, path.stem, job.outputs, rig))
        replay = Replay(
            recording,
            model,
            options.slop_s,
            options.image_topic,
            options.radar_topic,
            options.field_aliases,
            options.max_pairs,
            intrinsics,
        )
        if isinstance(model.metadata.radar, CubeInput):
            check_cube_axes(recording, replay.radar_topic, model.metadata.radar)
        expected = recording.message_counts[replay.radar_topic]
        expected = min(expected, options.max_pairs or expected)
        afterwards = retrieval.inferences(expected) + rig_diagnosis.inferences(expected)
        progress.expect(expected, afterwards)
        if intrinsics is None:
            missing['column_error_deg'] = missing['column_error_p90_deg'] = 'no camera_info'
        if not reader.available:
            why = 'no ground truth in the recording'
            for key in METRIC_KEYS:
                if key not in WITHOUT_TRUTH:
                    missing[key] = why
        notes += _trained_on(path, model)
        identity = fingerprint(recording)
        evaluation = oracle = None
        timeline = Timeline()
        probe = RigProbe(
            lambda image, radar: model.infer(image, radar, intrinsics), model.metadata
        )
        unlabelled = 0
        with WriteBehind(_score) as scoring:
            for frame in replay:
                if evaluation is None:
                    height, width = frame.image.shape[:2]
                    if misfit := model.misfit((height, width)):
                        notes.append(misfit)
                    oracle = _oracle(rig, frame)
                    if oracle is None:
                        missing['oracle'] = 'no camera_info, or no transform from radar to camera'
                        missing['projection_distance_px'] = missing['oracle']
                    evaluation = DriveEvaluation(
                        model, intrinsics, oracle, other_drive, name=path.name
                    )
                truth = _truth(reader, frame, notes)
                unlabelled += reader.available and truth is None
                scoring.put((evaluation, frame, truth))
                probe.add(frame)
                timeline.add(frame.image_stamp, frame.gap_s, frame.correspondence.agreement)
                outputs.add(frame)
                progress.step()
        if evaluation is None:
            evaluation = DriveEvaluation(model, intrinsics)
            notes.append('no pair could be used')
        evaluation.finish(progress.inferred)
        diagnosis = probe.finish(oracle, progress.inferred)
        progress.finish()
        missing.update(evaluation.missing())
        notes += _passed_over(recording, replay, options, model)
        for reason, problem in replay.first_undecodable.items():
            notes.append(f'{replay.undecodable[reason]} pairs dropped ({reason}): {problem}')
        notes += recording.damages
    if unlabelled:
        notes.append(f'{unlabelled} pairs had no ground truth that fits them')
    if replay.incomplete:
        notes.append(f'evaluated up to where the recording breaks off: {replay.incomplete}')
    return DriveResult(
        path,
        identity,
        evaluation.figures,
        replay.pairs,
        {stream: Counter(reasons) for stream, reasons in replay.dropped.items()},
        replay.gap_ms,
        dict(replay.latency_ms),
        [f'{path.name}: {note}' for note in notes],
        missing,
        outputs.drawn,
        timeline,
        [diagnosis],
    )


def _trained_on(path: Path, model: CorrespondenceModel) -> list[str]:
    drives = model.metadata.training.get('drives')
    name = path.stem if path.is_file() else path.name
    if isinstance(drives, list) and name in drives:
        return ['the model was trained on a drive of this name']
    return []


def _passed_over(
    recording: Recording, replay: Replay, options: EvaluationOptions, model: CorrespondenceModel
) -> list[str]:
    """Say which topics might have been meant as well, where nobody has named one."""
    chosen = {}
    if options.image_topic is None:
        chosen['image'] = replay.image_topic
    if options.radar_topic is None:
        chosen[model.metadata.radar.kind] = replay.radar_topic
    said = []
    for kind, topic in chosen.items():
        others = [other for other in recording.topics_of(kind) if other != topic]
        if others:
            said.append(f'{topic} was taken, not {", ".join(others)}')
    return said


def _score(item: tuple[DriveEvaluation, ReplayFrame, FrameTruth | None]) -> None:
    evaluation, frame, truth = item
    evaluation.add(frame.image_stamp, frame.image, frame.radar, truth, frame.correspondence)


def _truth(reader: GroundTruthReader, frame: ReplayFrame, notes: list[str]) -> FrameTruth | None:
    try:
        truth = reader.at(frame.image_stamp, frame.radar_stamp)
    except (ValueError, RecordingError) as error:
        problem = f'ground truth cannot be read: {error}'
        if problem not in notes:
            notes.append(problem)
        return None
    if truth is not None and (misfit := truth.misfit(frame.image.shape, frame.radar)):
        if misfit not in notes:
            notes.append(misfit)
        return None
    return truth


def _oracle(rig: RecordedRig, frame: ReplayFrame) -> ProjectionOracle | None:
    if rig.intrinsics is None:
        return None
    optical_from_radar = transform_chain(
        rig.transforms, frame.image_frame_id, frame.radar_frame_id
    )
    if optical_from_radar is None:
        return None
    return ProjectionOracle(rig.intrinsics, optical_from_radar)


def _other_drive(job: DriveJob, model: CorrespondenceModel) -> list[list[RadarFrame]]:
    """Radar frames of the first other recording that has any to be read."""
    for path in job.others:
        if stretches := _radar_stretches(path, model, job.options):
            return stretches
    return []


def _radar_stretches(
    path: Path, model: CorrespondenceModel, options: EvaluationOptions
) -> list[list[RadarFrame]]:
    """Stretches of radar frames from all over a recording, as far as they can be decoded."""
    stretches: list[list[RadarFrame]] = [[] for _ in range(_STRETCHES)]
    # What is wrong with this recording is said where it is evaluated itself.
    with suppress(RecordingError), Recording(path) as recording:
        topic = options.radar_topic or recording.find_topic(model.metadata.radar.kind)
        if topic and isinstance(model.metadata.radar, CubeInput):
            check_cube_axes(recording, topic, model.metadata.radar)
        apart_s = max(recording.duration_s / _STRETCHES, WINDOW_S)
        for _, time_ns, msg in recording.messages([topic] if topic else []):
            index, into_s = divmod((time_ns - (recording.start_ns or 0)) * 1e-9, apart_s)
            stretch = stretches[min(max(int(index), 0), _STRETCHES - 1)]
            if into_s <= WINDOW_S and len(stretch) < _STRETCH_FRAMES:
                with suppress(SensorDataError):
                    stretch.append(decode_radar(msg, model.metadata, options.field_aliases))
    return [stretch for stretch in stretches if stretch]
