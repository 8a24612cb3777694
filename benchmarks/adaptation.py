# SPDX-License-Identifier: Apache-2.0
"""How far half a minute of driving takes the shipped model on rigs that it has never seen.

    python benchmarks/adaptation.py [--rigs 6]

Each rig is drawn at random about the shipped model's: yaw between the sensors within 5 degrees,
field of view of 60 to 90 degrees, other heights and places, 1 to 2 degrees of azimuth noise.
`adapt` sees the first 30 s of one drive without labels; another drive of the rig is judged on.
Prints the share of returns that point at their source: as shipped, adapted, and by the projection
oracle, which knows the true extrinsics. Writes out/benchmarks/adaptation.md. Interrupted, it goes
on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from radar_camera_ssl.cli import main as command_line
from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.simulation import (
    CameraConfig,
    DriveConfig,
    Mounting,
    RadarConfig,
    simulate_missing,
)

ADAPTED_S, JUDGED_S = 32.0, 30.0
MOST_YAW_DEG = 5.0
HEADER = (
    '| rig | yaw between the sensors | field of view | heights camera, radar | azimuth noise '
    '| as shipped | adapted | oracle | agreement before, after | seconds |\n'
    f'|{"---|" * 10}'
)


def draw_rig(number: int) -> tuple[CameraConfig, RadarConfig]:
    """Draw a rig; the same for the same number."""
    rng = np.random.default_rng([17, number])
    yaw = np.deg2rad(rng.uniform(-MOST_YAW_DEG, MOST_YAW_DEG))
    camera = CameraConfig(
        hfov_rad=math.radians(rng.uniform(60.0, 90.0)),
        mounting=Mounting(
            x=rng.uniform(1.2, 2.2), y=rng.uniform(-0.2, 0.2), z=rng.uniform(1.1, 1.7), yaw=0.0
        ),
        only_near_radar=True,
    )
    radar = RadarConfig(
        azimuth_noise_rad=math.radians(rng.uniform(1.0, 2.0)),
        mounting=Mounting(
            x=rng.uniform(2.4, 3.6),
            y=rng.uniform(-0.4, 0.4),
            z=rng.uniform(0.35, 0.7),
            yaw=float(yaw),
        ),
    )
    return camera, radar


def measure(number: int, model: Path, folder: Path, workers: int) -> dict[str, Any]:
    """Simulate a rig, adapt, judge; what is there already is read."""
    kept = folder / 'result.json'
    if kept.exists():
        return json.loads(kept.read_text(encoding='utf-8'))
    camera, radar = draw_rig(number)
    drives = {
        folder / name: DriveConfig(
            seed=seed + 10 * number,
            duration_s=duration_s,
            camera=camera,
            radar=radar,
            compressed=True,
            cube=False,
            ground_truth=name == 'test',
        )
        for name, seed, duration_s in (('driven', 5000, ADAPTED_S), ('test', 5001, JUDGED_S))
    }
    simulate_missing(drives, workers)
    adapted = folder / 'adapted.onnx'
    started = time.monotonic()
    code = command_line(['adapt', str(model), str(folder / 'driven'), '--out', str(adapted)])
    result: dict[str, Any] = {'seconds': time.monotonic() - started}
    judged = {'shipped': model, **({'adapted': adapted} if code == 0 else {})}
    for name, file in judged.items():
        metrics = evaluate_bags([folder / 'test'], file, None, overlay=False)
        result[name] = metrics['pointing_accuracy']
        result['oracle'] = metrics['oracle']['pointing_accuracy']
    if code == 0:
        told = CorrespondenceModel.load(adapted).metadata.training['adaptation']
        result['agreement'] = [told['agreement_before'], told['agreement_after']]
    kept.write_text(json.dumps(result), encoding='utf-8')
    return result


def row(number: int, result: dict[str, Any]) -> str:
    """One rig's line."""
    camera, radar = draw_rig(number)
    adapted = f'{result["adapted"]:.3f}' if 'adapted' in result else 'refused'
    agreement = ', '.join(f'{value:.2f}' for value in result.get('agreement', [])) or '–'
    return (
        f'| {number} | {math.degrees(radar.mounting.yaw):.1f}° '
        f'| {math.degrees(camera.hfov_rad):.0f}° '
        f'| {camera.mounting.z:.2f}, {radar.mounting.z:.2f} m '
        f'| {math.degrees(radar.azimuth_noise_rad):.1f}° | {result["shipped"]:.3f} | {adapted} '
        f'| {result["oracle"]:.3f} | {agreement} | {result["seconds"]:.0f} |'
    )


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/adaptation'))
    parser.add_argument('--rigs', type=int, default=6)
    parser.add_argument('--model', type=Path, default=default_model_path())
    parser.add_argument('--workers', type=int, default=2, help='processes that simulate')
    args = parser.parse_args()
    lines = [HEADER]
    for number in range(args.rigs):
        folder = args.out / f'rig_{number}'
        folder.mkdir(parents=True, exist_ok=True)
        lines.append(row(number, measure(number, args.model, folder, args.workers)))
        print(lines[-1], flush=True)
    args.out.with_suffix('.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
