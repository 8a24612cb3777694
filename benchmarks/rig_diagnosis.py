# SPDX-License-Identifier: Apache-2.0
"""How well the yaw and the clock offset of a radar are recovered from drives that were disturbed.

    python benchmarks/rig_diagnosis.py [--drives 5]

Simulates drives of seeds that no model has seen, 60 s each, camera at 30 Hz, and rewrites their
bags: the radar's points turned by up to 5 degrees, its stamps shifted by up to 80 ms, and both.
Besides, each drive is simulated once more with a radar that is mounted otherwise by as much,
extrinsics that say so, and images at the radar's rate only. What is diagnosed of these bags, and
of their first 20 s, is held against what was done. Prints a table of all, and of the errors'
median and maximum and of how often the 95 % interval holds the truth. Writes
out/benchmarks/rig_diagnosis.md. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from radar_camera_ssl.evaluation.oracle import ProjectionOracle
from radar_camera_ssl.evaluation.recorded_rig import RecordedRig
from radar_camera_ssl.evaluation.replay import Replay
from radar_camera_ssl.evaluation.rig_diagnosis import RigProbe
from radar_camera_ssl.evaluation.rig_estimate import RigEstimate, rig_values
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.sensors.geometry import transform_chain, yaw_pitch_roll
from radar_camera_ssl.sensors.recording import Recording
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, RadarConfig, simulate_missing

FIRST_SEED = 7200
DURATION_S, SHORT_S = 60.0, 20.0
MOST_YAW_DEG, MOST_LATE_MS = 5.0, 80.0
RADAR_TOPIC = '/radar/points'
HEADER = (
    '| drive | disturbed | s | yaw, true | against extrinsics | against learnt mounting '
    '| clock, true | recovered |\n' + f'|{"---|" * 8}'
)
TYPES = get_typestore(Stores.ROS2_JAZZY)


@dataclass(frozen=True)
class Case:
    """What was done to a drive: yaw_deg the radar really turned to the left, late_ms its stamps.

    mounted: the drive is simulated so, and its extrinsics say it.
    """

    name: str
    yaw_deg: float = 0.0
    late_ms: float = 0.0
    mounted: bool = False

    @property
    def stated_deg(self) -> float:
        """By how much the extrinsics are wrong."""
        return 0.0 if self.mounted else self.yaw_deg


def cases(seed: int) -> list[Case]:
    """The disturbances of a drive; the same for the same seed."""
    rng = np.random.default_rng([29, seed])
    yaw_deg = rng.uniform(-MOST_YAW_DEG, MOST_YAW_DEG, 3).tolist()
    late_ms = rng.uniform(-MOST_LATE_MS, MOST_LATE_MS, 2).tolist()
    return [
        Case('not'),
        Case('turned', yaw_deg[0]),
        Case('shifted', 0.0, late_ms[0]),
        Case('both', yaw_deg[1], late_ms[1]),
        Case('mounted', yaw_deg[2], 0.0, True),
    ]


def configuration(seed: int, case: Case) -> DriveConfig:
    """Of the drive that a case is made of."""
    camera, radar = CameraConfig(only_near_radar=case.mounted), RadarConfig()
    if case.mounted:
        yaw = radar.mounting.yaw + math.radians(case.yaw_deg)
        radar = replace(radar, mounting=replace(radar.mounting, yaw=yaw))
    return DriveConfig(
        seed=seed,
        duration_s=DURATION_S,
        camera=camera,
        radar=radar,
        compressed=True,
        cube=False,
        ground_truth=False,
    )


def rewrite(source: Path, target: Path, case: Case) -> None:
    """Copy a bag, its radar turned and late."""
    # A radar that looks further to the left sees everything further to the right.
    rotation = yaw_pitch_roll((-math.radians(case.yaw_deg), 0.0, 0.0))[:2, :2].astype(np.float32)
    with (
        Recording(source) as recording,
        Writer(target, version=9, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        connections = {
            topic: writer.add_connection(topic, msgtype, typestore=TYPES)
            for topic, msgtype in recording.topics.items()
        }
        for topic, msgtype, time_ns, data in recording.raw_messages():
            if topic == RADAR_TOPIC:
                msg = TYPES.deserialize_cdr(data, msgtype)
                rows = msg.data.reshape(-1, msg.point_step).copy()
                places = {field.name: field.offset for field in msg.fields}
                assert places['y'] == places['x'] + 4
                plane = rows[:, places['x'] : places['x'] + 8].copy().view(np.float32)
                turned = np.ascontiguousarray(plane @ rotation.T)
                rows[:, places['x'] : places['x'] + 8] = turned.view(np.uint8)
                msg.data = rows.ravel()
                stamp = msg.header.stamp
                late = stamp.sec * 1_000_000_000 + stamp.nanosec + round(1e6 * case.late_ms)
                stamp.sec, stamp.nanosec = divmod(late, 1_000_000_000)
                data = TYPES.serialize_cdr(msg, msgtype)
            writer.write(connections[topic], time_ns, data)


def diagnose(
    bag: Path, model: CorrespondenceModel, pairs: int | None
) -> tuple[RigEstimate, float]:
    """What a bag tells of its rig, and the seconds that the search took."""
    oracle = None
    with Recording(bag) as recording:
        rig = RecordedRig.of(recording)
        probe = RigProbe(model.infer, model.metadata)
        for frame in Replay(recording, model, max_pairs=pairs):
            probe.add(frame)
            if oracle is None and rig.intrinsics is not None:
                chain = transform_chain(rig.transforms, frame.image_frame_id, frame.radar_frame_id)
                oracle = None if chain is None else ProjectionOracle(rig.intrinsics, chain)
    started = time.monotonic()
    return probe.finish(oracle), time.monotonic() - started


def measure(
    seed: int, case: Case, model: CorrespondenceModel, folder: Path, workers: int
) -> list[dict[str, Any]]:
    """Diagnose a case, and its first seconds; what is there already is read."""
    kept = folder / f'{seed}_{case.name}_{model.sha256[:12]}.json'
    if kept.exists():
        return json.loads(kept.read_text(encoding='utf-8'))
    source = folder / (f'drive_{seed}_mounted' if case.mounted else f'drive_{seed}')
    simulate_missing({source: configuration(seed, case)}, workers)
    bag = source
    if case.stated_deg or case.late_ms:
        bag = folder / f'{seed}_{case.name}'
        shutil.rmtree(bag, ignore_errors=True)
        rewrite(source, bag, case)
    results = []
    for duration_s, pairs in ((DURATION_S, None), (SHORT_S, round(10 * SHORT_S))):
        estimate, seconds = diagnose(bag, model, pairs)
        told = rig_values([estimate])
        rig = told['rig']
        results.append(
            {
                'drive': seed,
                'case': case.name,
                'duration_s': duration_s,
                'seconds': seconds,
                'stated': _entry(
                    case.stated_deg, told['yaw_error_deg'], rig['yaw_error_deviation_deg']
                ),
                'learnt': _entry(
                    case.yaw_deg,
                    rig['yaw_against_learnt_deg'],
                    rig['yaw_against_learnt_deviation_deg'],
                ),
                'clock': _entry(
                    case.late_ms, told['time_offset_ms'], rig['time_offset_deviation_ms']
                ),
            }
        )
    if bag != source:
        shutil.rmtree(bag)
    kept.write_text(json.dumps(results), encoding='utf-8')
    return results


def _entry(true: float, found: float | None, deviation: float | None) -> dict[str, float | None]:
    return {'true': true, 'found': found, 'deviation': deviation}


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    stated, learnt, clock = (
        _told(result[key], digits) for key, digits in (('stated', 2), ('learnt', 2), ('clock', 0))
    )
    return (
        f'| {result["drive"]} | {result["case"]} | {result["duration_s"]:.0f} '
        f'| {result["learnt"]["true"]:.2f}° | {stated} | {learnt} '
        f'| {result["clock"]["true"]:.0f} ms | {clock} |'
    )


def _told(entry: dict[str, Any], digits: int) -> str:
    if entry['found'] is None:
        return '–'
    return f'{entry["found"]:.{digits}f} ± {1.96 * entry["deviation"]:.{digits}f}'


def summary(results: Iterable[dict[str, Any]]) -> list[str]:
    """Errors and coverage over all cases, by the drives' length."""
    lines = [
        '| s | figure | cases | told | error, median | error, largest | in the 95 % interval |',
        '|---|---|---|---|---|---|---|',
    ]
    results = list(results)
    for duration_s in (DURATION_S, SHORT_S):
        for key, name, unit in (
            ('stated', 'yaw against extrinsics', '°'),
            ('learnt', 'yaw against learnt mounting', '°'),
            ('clock', 'clock offset', ' ms'),
        ):
            entries = [r[key] for r in results if r['duration_s'] == duration_s]
            told = [entry for entry in entries if entry['found'] is not None]
            error = np.array([abs(entry['found'] - entry['true']) for entry in told])
            within = error <= [1.96 * entry['deviation'] for entry in told]
            lines.append(
                f'| {duration_s:.0f} | {name} | {len(entries)} | {len(told)} '
                f'| {np.median(error):.2f}{unit} | {error.max():.2f}{unit} | {within.mean():.0%} |'
            )
    return lines


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/rig_diagnosis'))
    parser.add_argument('--drives', type=int, default=5)
    parser.add_argument('--model', type=Path, default=default_model_path())
    parser.add_argument('--workers', type=int, default=2, help='processes that simulate')
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = CorrespondenceModel.load(args.model)
    results: list[dict[str, Any]] = []
    print(HEADER)
    for seed in range(FIRST_SEED, FIRST_SEED + args.drives):
        for case in cases(seed):
            measured = measure(seed, case, model, args.out, args.workers)
            results += measured
            print('\n'.join(row(result) for result in measured), flush=True)
    seconds = [r['seconds'] for r in results if r['duration_s'] == DURATION_S]
    lines = [
        *summary(results),
        '',
        f'A diagnosis of 60 s takes {np.median(seconds):.0f} s in two threads (median), beside '
        'the replay.',
        '',
        HEADER,
        *(row(result) for result in results),
    ]
    print('\n' + '\n'.join(lines[:9]))
    args.out.with_suffix('.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
