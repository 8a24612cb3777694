# SPDX-License-Identifier: Apache-2.0
"""Make a shipped model: simulate the demo rig's drives, train, judge on seeds never trained on.

    python models/train.py points --install
    python models/train.py cube --install
    python models/train.py points --azimuth-noise 3 --drives 84 --steps 2800 --seeds 0 1 2
    python models/train.py points --renew

Interrupted, it goes on where it was. The training bags hold no ground truth at all; the test
drives have seeds that training never saw. Several training seeds are trained one after the other
and told as their median; `--install` copies the first one's model to models/ and writes its card.
`--renew` trains nothing: it exports the shipped weights anew, judges them, and renews model and
card, for when what is assumed of sources, or the evaluation, has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from radar_camera_ssl.cli import main as command_line
from radar_camera_ssl.evaluation.summary import figures_markdown, seeds_markdown
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.learning.recipe import Recipe, agreement_recipe
from radar_camera_ssl.learning.source import source_commit
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, RadarConfig, simulate_missing

FIRST_TRAINING_SEED, TRAINING_DRIVES = 1000, 28
TEST_SEEDS = range(9000, 9005)
TRAINING_DURATION_S, TEST_DURATION_S = 40.0, 20.0
HERE = Path(__file__).parent


def simulate(
    folder: Path, drives: int, azimuth_noise_deg: float, workers: int
) -> tuple[list[Path], ...]:
    """Simulate what is not there yet; returns training and test bags.

    At the radar's nominal noise the drives hold points and cube of the same echoes, so that both
    kinds of model learn from, and are judged on, the same scenes.
    """
    # Only the images that a radar frame will take, as JPEG: the same pairs in a third of the time.
    camera = CameraConfig(only_near_radar=True)
    nominal = RadarConfig()
    radar = RadarConfig(azimuth_noise_rad=math.radians(azimuth_noise_deg))
    cube = math.isclose(radar.azimuth_noise_rad, nominal.azimuth_noise_rad)

    def drive(seed: int, duration_s: float, ground_truth: bool) -> DriveConfig:
        return DriveConfig(
            seed=seed,
            duration_s=duration_s,
            camera=camera,
            radar=radar,
            compressed=True,
            cube=cube,
            ground_truth=ground_truth,
        )

    training = {
        folder / f'training_{seed}': drive(seed, TRAINING_DURATION_S, False)
        for seed in range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + drives)
    }
    test = {folder / f'test_{seed}': drive(seed, TEST_DURATION_S, True) for seed in TEST_SEEDS}
    simulate_missing({**test, **training}, workers)
    return list(training), list(test)


WHAT = {
    'points': 'For radar points (x, y, radial velocity, RCS; at most 128) and an image resized to '
    '320x240: a heatmap of 40x30 cells, and per return its pixel and the likelihood that anything '
    'in view is its source.',
    'cube': 'For a raw radar cube (range x azimuth x Doppler, 64x32x16 cells of dB) and an image '
    'resized to 320x240: a heatmap of 40x30 cells, and for the at most 24 returns that it finds '
    'in the cube their range, azimuth and Doppler, their pixel, and the likelihood that '
    'anything in view is their source.',
}
LIMITS = {
    'points': '',
    'cube': 'It reads cubes of exactly these axes: another radar needs its own training. Its '
    'returns are matched to the ground truth by position (2 m, 5 degrees), those of points by '
    'row; so figures of the two kinds count different returns of the same scenes. How readily its '
    'calibration takes a cell for clutter was chosen on simulated development drives with their '
    'labels.',
}

# What stands before and after the figures of a card.
FIGURES_BEGIN = '**Figures**, on drives whose seeds training never saw:\n\n'
FIGURES_END = '\n\n`radar_only` is where'

CARD = """\
# {kind}.onnx

Weights by `python models/train.py {kind} --seeds {numbers} --install`. sha256 `{sha256}`.

**What it is.** {what} {size:.1f} MB, opset 18.

**Data.** {drives} simulated drives of {seconds:g} s ({pairs} pairs) of one rig, the demo's:
camera 640x480 with 70 degrees of view, 10 Hz radar with 1 degree of azimuth noise. The bags
hold no ground truth, and no extrinsics or intrinsics are read.

**Recipe.** {objective}.
{steps} steps of {batch} pairs; the weights kept are those with the lowest loss on drives held out
from training; then, from aligned against misaligned pairs, a calibration of the likelihoods and,
in {agreement_steps} steps, the network that tells the agreement. How large a source is, how far
its middle lies above where it touches the ground, and for how much less than themselves several
returns of a source count, is not learnt but assumed (`learning/extent.py`), chosen on simulated
drives of other seeds with their labels.

**Figures**, on drives whose seeds training never saw:

{figures}

`radar_only` is where the model's own geometry points without the image. Training found that
geometry without a calibration, and at this radar's low azimuth noise it points almost as well as
the whole model: `pointing_accuracy` does not show that the image is read. The heatmap, the ghosts
and the misaligned pairs do. `best_fixed` is the best fixed answer
that could be chosen with the labels of these drives.
{seeds}
**Limits.** It has seen simulated drives of one mounting only. On another rig, and on any real one,
it checks that everything is connected and no more: adapt it to recordings of that rig, or train
on them. Elevation is not read. A heatmap spot has the size of a road user wherever the return is
from: trucks are covered in part, poles too widely. Clutter on the road close ahead is often taken
for a source.
{limits}
"""


def install(kind: str, run: Path, metrics: dict[str, Any], numbers: list[int], table: str) -> None:
    """Copy the model beside this script and write its card."""
    model = HERE / f'{kind}.onnx'
    shutil.copyfile(run / 'model.onnx', model)
    training = CorrespondenceModel.load(model).metadata.training
    recipe = training['recipe']
    card = CARD.format(
        kind=kind,
        numbers=' '.join(map(str, numbers)),
        sha256=_sha256(model),
        what=WHAT[kind],
        size=model.stat().st_size / 1e6,
        drives=len(training['drives']),
        seconds=TRAINING_DURATION_S,
        pairs=training['pairs'],
        objective=training['objective'],
        steps=recipe['steps'],
        agreement_steps=agreement_recipe(Recipe(steps=recipe['steps'])).steps,
        batch=recipe['drives_per_batch'] * recipe['frames_per_drive'],
        figures=figures_markdown(metrics, f'python models/train.py {kind}'),
        seeds=f'\nOf several training seeds:\n\n{table}\n' if len(numbers) > 1 else '',
        limits=LIMITS[kind],
    )
    model.with_suffix('.md').write_text(card.rstrip() + '\n', encoding='utf-8')


def renew(kind: str, test: list[Path], folder: Path) -> int:
    """Export the shipped weights, judge them, renew model and card; returns the exit code."""
    # Need torch, which models/quantize.py, that takes the drives from here, does not.
    from radar_camera_ssl.learning.export import export_model
    from radar_camera_ssl.learning.prepare import prepare_drives
    from radar_camera_ssl.learning.shards import SampleFormat
    from radar_camera_ssl.learning.warm_start import load_model

    model, made = HERE / f'{kind}.onnx', folder / f'{kind}.onnx'
    old, (network, metadata) = _sha256(model), load_model(model)
    form = SampleFormat(metadata.camera.height, metadata.camera.width)
    drives = prepare_drives(test[:1], folder / 'shards', form)
    exported = {**metadata.training, 'exported': source_commit()}
    export_model(network, replace(metadata, training=exported), made, drives)
    metrics = evaluated(made, test, folder)
    if metrics is None:
        return 1
    shutil.copyfile(made, model)
    card = model.with_suffix('.md')
    before, begin, rest = card.read_text(encoding='utf-8').partition(FIGURES_BEGIN)
    _, end, after = rest.partition(FIGURES_END)
    figures = figures_markdown(metrics, f'python models/train.py {kind} --renew')
    before = before.replace(old, _sha256(model))
    card.write_text(f'{before}{begin}{figures}{end}{after}', encoding='utf-8')
    return 0


def evaluated(model: Path, bags: list[Path], folder: Path) -> Any:
    """What metrics.json holds of a model on these drives; None on failure."""
    results = folder / model.stem
    command = ['evaluate', *map(str, bags), '--model', str(model), '--out', str(results)]
    if command_line([*command, '--no-video']) != 0:
        return None
    return json.loads((results / 'metrics.json').read_text(encoding='utf-8'))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def train_and_judge(
    kind: str, seed: int, steps: int, training: list[Path], test: list[Path], folder: Path
) -> dict[str, Any] | None:
    """Train one seed and evaluate it; returns what metrics.json holds, None on failure.

    A finished run is given back at once, or refused where it had another recipe or other drives.
    """
    run = folder / f'seed_{seed}'
    bags = [str(path) for path in training]
    wanted = ['--radar', kind, '--seed', str(seed), '--steps', str(steps)]
    wanted += ['--store', str(folder / 'shards')]
    if command_line(['train', *bags, '--out', str(run), *wanted]) != 0:
        return None
    model = run / 'model.onnx'
    metrics = run / 'evaluation' / 'metrics.json'
    if not _judges(metrics, model):
        bags = [str(path) for path in test]
        results = str(run / 'evaluation')
        if command_line(['evaluate', *bags, '--model', str(model), '--out', results]) != 0:
            return None
    return json.loads(metrics.read_text(encoding='utf-8'))


def _judges(metrics: Path, model: Path) -> bool:
    """Tell whether the figures are there and of just this model."""
    if not metrics.exists():
        return False
    judged = json.loads(metrics.read_text(encoding='utf-8'))['model']['sha256']
    return bool(judged == _sha256(model))


def main() -> int:
    """Run the whole recipe; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('radar', choices=sorted(WHAT), help='what the model reads')
    parser.add_argument('--out', type=Path, default=Path('out/models'))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='of the training')
    parser.add_argument('--steps', type=int, default=Recipe().steps, help='of the training')
    parser.add_argument('--drives', type=int, default=TRAINING_DRIVES, help='to train on')
    parser.add_argument('--azimuth-noise', type=float, default=1.0, metavar='DEG')
    parser.add_argument('--workers', type=int, default=2, help='processes that simulate')
    parser.add_argument('--install', action='store_true', help='copy the model to models/')
    parser.add_argument('--renew', action='store_true', help='of the shipped weights, see above')
    args = parser.parse_args()
    shipped = (1.0, TRAINING_DRIVES)
    if (args.install or args.renew) and (args.azimuth_noise, args.drives) != shipped:
        parser.error(f'what is shipped learns from {TRAINING_DRIVES} drives at the nominal noise')
    drives = args.out / 'drives' / f'{args.azimuth_noise:g}deg'
    kept = '' if args.drives == TRAINING_DRIVES else f'_{args.drives}drives'
    folder = args.out / f'{args.radar}_{args.azimuth_noise:g}deg{kept}'
    trained_on = 0 if args.renew else args.drives
    training, test = simulate(drives, trained_on, args.azimuth_noise, args.workers)
    if args.renew:
        return renew(args.radar, test, folder / 'renewed')
    results = []
    for seed in args.seeds:
        metrics = train_and_judge(args.radar, seed, args.steps, training, test, folder)
        if metrics is None:
            return 1
        results.append(metrics)
    table = seeds_markdown(dict(zip(args.seeds, results, strict=True)))
    print(table)
    (folder / 'seeds.md').write_text(table + '\n', encoding='utf-8')
    if args.install:
        install(args.radar, folder / f'seed_{args.seeds[0]}', results[0], args.seeds, table)
    return 0


if __name__ == '__main__':
    sys.exit(main())
