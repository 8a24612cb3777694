# SPDX-License-Identifier: Apache-2.0
"""How soon the node warns of sensors that no longer fit together, and how often for nothing.

    OMP_NUM_THREADS=1 python benchmarks/agreement_alarm.py [--drives 10]

Simulated drives of the shipped model's rig, of seeds never trained on, go through the very watch
that the node's diagnostics read (nodes/agreement_watch.py): as they are, and with one sensor
frozen, late, turned or covered from a moment on, every 15 s. Moments at which the car stands are
left out: nothing can be noticed then. Prints the agreement of windows of several lengths, with
which limits can be chosen, and for the default parameters how many faults are noticed, after how
long, and what the aligned drives would have set off. Writes out/benchmarks/agreement_alarm.md and
.json. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from radar_camera_ssl.inference.alignment import turned
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel
from radar_camera_ssl.nodes.agreement_watch import AgreementFacts, AgreementWatch
from radar_camera_ssl.nodes.parameters import Settings
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points
from radar_camera_ssl.sensors.recording import Recording, read_pairs
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, simulate_missing

FIRST_SEED = 9300
DURATION_S = 60.0
FIRST_ONSET_S, STEP_S = 12.0, 15.0
"""From one onset to the next; so long each fault lasts."""
WINDOWS_S = (2.0, 5.0, 10.0, 20.0)
LEAST_SPEED_MPS = 1.0
SETTINGS = Settings()


@dataclass(frozen=True)
class Frame:
    """A pair of a drive: the radar's stamp, ns, and both sensors decoded."""

    stamp: int
    image: NDArray[np.uint8]
    radar: RadarPoints


Fault = Callable[[Sequence[Frame], int, int], tuple[NDArray[np.uint8], RadarPoints]]
"""Of the frames, the index of the onset and of the frame: what the node then gets."""


def camera_late(seconds: float) -> Fault:
    """The camera's stamps are too new by so much."""
    return lambda frames, _, i: (before(frames, i, seconds).image, frames[i].radar)


def radar_late(seconds: float) -> Fault:
    """The radar's stamps are too new by so much."""
    return lambda frames, _, i: (frames[i].image, before(frames, i, seconds).radar)


def radar_turned(degrees: float) -> Fault:
    """The radar has turned on its mount."""
    return lambda frames, _, i: (frames[i].image, turned(frames[i].radar, np.deg2rad(degrees)))


def before(frames: Sequence[Frame], i: int, seconds: float) -> Frame:
    """The frame that many seconds before frame i."""
    wanted = frames[i].stamp - seconds * 1e9
    return min(frames[: i + 1], key=lambda frame: abs(frame.stamp - wanted))


def left_half_dark(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Something lies over the left half of the lens."""
    dark = image.copy()
    dark[:, : image.shape[1] // 2] //= 8
    return dark


FAULTS: dict[str, Fault] = {
    'camera frozen': lambda frames, onset, i: (frames[onset].image, frames[i].radar),
    'radar frozen': lambda frames, onset, i: (frames[i].image, frames[onset].radar),
    'camera 0.2 s late': camera_late(0.2),
    'camera 0.5 s late': camera_late(0.5),
    'camera 1 s late': camera_late(1.0),
    'radar 0.5 s late': radar_late(0.5),
    'radar turned by 2°': radar_turned(2.0),
    'radar turned by 3°': radar_turned(3.0),
    'radar turned by 5°': radar_turned(5.0),
    'radar turned by -5°': radar_turned(-5.0),
    'camera dark': lambda frames, _, i: (frames[i].image // 16, frames[i].radar),
    'camera half covered': lambda frames, _, i: (left_half_dark(frames[i].image), frames[i].radar),
    'radar covered': lambda frames, _, i: (frames[i].image, RadarPoints.empty()),
}


def read_drive(bag: Path, model: CorrespondenceModel) -> list[Frame]:
    """All pairs of a drive, decoded."""
    names = model.metadata.radar.field_names  # type: ignore[union-attr]
    with Recording(bag) as recording:
        return [
            Frame(pair.radar_stamp, decode_image(pair.image), decode_points(pair.radar, names))
            for pair in read_pairs(recording, 'points', SETTINGS.slop)
        ]


def measure(bag: Path, model: CorrespondenceModel) -> dict[str, Any]:
    """One drive: windows as it is, and each fault's alarms at each onset."""
    frames = read_drive(bag, model)
    aligned = [model.infer(frame.image, frame.radar) for frame in frames]
    windows: dict[str, list[float]] = {str(window_s): [] for window_s in WINDOWS_S}
    watch = AgreementWatch()
    for frame, answer in zip(frames, aligned, strict=True):
        watch.add(frame.stamp, frame.image, frame.radar, answer)
        for window_s in WINDOWS_S:
            if (value := watch.facts(window_s).window) is not None:
                windows[str(window_s)].append(value)
    seconds = np.array([frame.stamp - frames[0].stamp for frame in frames]) * 1e-9
    onsets = np.searchsorted(
        seconds, np.arange(FIRST_ONSET_S, seconds[-1] - STEP_S, STEP_S)
    ).tolist()
    return {
        'seconds': float(seconds[-1]),
        'windows': windows,
        'faults': {
            name: [
                found
                for onset in onsets
                if (found := provoke(fault, frames, aligned, onset, model)) is not None
            ]
            for name, fault in FAULTS.items()
        },
    }


def provoke(
    fault: Fault,
    frames: Sequence[Frame],
    aligned: Sequence[Correspondence],
    onset: int,
    model: CorrespondenceModel,
) -> dict[str, Any] | None:
    """Seconds from the onset to WARN, ERROR and the frozen sensor's own; None at a standstill."""
    watch = AgreementWatch()
    for frame, answer in zip(frames[:onset], aligned[:onset], strict=True):
        watch.add(frame.stamp, frame.image, frame.radar, answer)
    found: dict[str, Any] = {'warn': None, 'error': None, 'frozen': None, 'windows': {}}
    speeds = []
    for i in range(onset, len(frames)):
        after_s = (frames[i].stamp - frames[onset].stamp) * 1e-9
        if after_s > STEP_S:
            break
        image, radar = fault(frames, onset, i)
        watch.add(frames[i].stamp, image, radar, model.infer(image, radar))
        facts = watch.facts(SETTINGS.agreement_window)
        speeds.append(facts.speed_mps)
        for name, true in alarms(facts).items():
            if true and found[name] is None:
                found[name] = after_s
    for window_s in WINDOWS_S:
        found['windows'][str(window_s)] = watch.facts(window_s).window
    known = [speed for speed in speeds if speed is not None]
    return None if known and np.median(known) < LEAST_SPEED_MPS else found


def alarms(facts: AgreementFacts) -> dict[str, bool]:
    """What the default parameters make of it."""
    window = 1.0 if facts.window is None else facts.window
    frozen_s = max(facts.image_frozen_s, facts.radar_frozen_s)
    return {
        'warn': window < SETTINGS.agreement_warn,
        'error': window < SETTINGS.agreement_error,
        'frozen': frozen_s >= SETTINGS.frozen_after,
    }


def separation(results: Sequence[dict[str, Any]]) -> list[str]:
    """A table of the windows' agreement: aligned from below, 15 s into a fault from above."""
    lines = [
        f'| window | {" | ".join(f"{window_s:g} s" for window_s in WINDOWS_S)} |',
        f'|{"---|" * (1 + len(WINDOWS_S))}',
    ]
    cells = []
    for window_s in WINDOWS_S:
        values = np.concatenate([result['windows'][str(window_s)] for result in results])
        low = np.percentile(values, (0, 1, 5))
        cells.append(', '.join(f'{value:.2f}' for value in low))
    lines.append(f'| aligned: least, 1 %, 5 % | {" | ".join(cells)} |')
    for name in FAULTS:
        cells = []
        for window_s in WINDOWS_S:
            values = [
                found['windows'][str(window_s)]
                for result in results
                for found in result['faults'][name]
                if found['windows'][str(window_s)] is not None
            ]
            cells.append(', '.join(f'{value:.2f}' for value in np.percentile(values, (50, 90))))
        lines.append(f'| {name}: 50 %, 90 % | {" | ".join(cells)} |')
    return lines


def noticed(results: Sequence[dict[str, Any]]) -> list[str]:
    """A table of the faults: the share that was noticed, and the median and the longest time."""
    lines = [
        '| fault | WARN | after | ERROR | after | told as frozen | after |',
        f'|{"---|" * 7}',
    ]
    for name in FAULTS:
        found = [one for result in results for one in result['faults'][name]]
        cells = [f'{name} ({len(found)})']
        for alarm in ('warn', 'error', 'frozen'):
            times = [one[alarm] for one in found if one[alarm] is not None]
            cells.append(f'{len(times) / len(found):.0%}')
            cells.append(f'{np.median(times):.1f} s, at most {max(times):.1f} s' if times else '–')
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def false_alarms(results: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences on what the aligned drives set off."""
    minutes = sum(result['seconds'] for result in results) / 60
    lines = []
    for level, limit in (('WARN', SETTINGS.agreement_warn), ('ERROR', SETTINGS.agreement_error)):
        low = [
            np.array(result['windows'][str(SETTINGS.agreement_window)]) < limit
            for result in results
        ]
        count = sum(int((one[1:] & ~one[:-1]).sum()) + int(one[0]) for one in low)
        seconds = sum(int(one.sum()) for one in low) / 10
        lines.append(
            f'{level} (below {limit:g} over {SETTINGS.agreement_window:g} s) for nothing: {count} '
            f'times, {seconds:.0f} s in {minutes:.0f} minutes.'
        )
    return lines


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/agreement_alarm'))
    parser.add_argument('--drives', type=int, default=10)
    parser.add_argument('--model', type=Path, default=default_model_path())
    parser.add_argument('--workers', type=int, default=1, help='processes that simulate')
    args = parser.parse_args()
    bags = {
        args.out / f'drive_{seed}': DriveConfig(
            seed=seed,
            duration_s=DURATION_S,
            camera=CameraConfig(only_near_radar=True),
            compressed=True,
            cube=False,
            ground_truth=False,
        )
        for seed in range(FIRST_SEED, FIRST_SEED + args.drives)
    }
    simulate_missing(bags, args.workers)
    model = CorrespondenceModel.load(args.model)
    results = []
    for bag in tqdm(bags, desc='replaying', unit='drive'):
        kept = bag.with_name(f'{bag.name}_{model.sha256[:12]}.json')
        if not kept.exists():
            kept.write_text(json.dumps(measure(bag, model)), encoding='utf-8')
        results.append(json.loads(kept.read_text(encoding='utf-8')))
    lines = [*separation(results), '', *noticed(results), '', *false_alarms(results)]
    args.out.with_suffix('.md').write_text('\n'.join(lines) + '\n', encoding='utf-8')
    args.out.with_suffix('.json').write_text(json.dumps(results), encoding='utf-8')
    print('\n'.join(lines))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
