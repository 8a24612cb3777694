# SPDX-License-Identifier: Apache-2.0
"""Make models/points_int8.onnx of models/points.onnx, and judge it beside that.

    python models/quantize.py

Calibrates on the first five training drives of models/train.py, evaluates both models on its test
drives, and writes the file and its card; refuses to where a point of pointing_accuracy is lost or
a figure is worse by more than its interval. Drives that are not there yet are simulated.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

from train import HERE, evaluated, simulate

from radar_camera_ssl.cli import main as command_line
from radar_camera_ssl.evaluation.comparison import Reference, compare, comparison_table
from radar_camera_ssl.evaluation.summary import figures_markdown
from radar_camera_ssl.inference.model import CorrespondenceModel

CALIBRATION_DRIVES = 5
MOST_LOST = 0.01

CARD = """\
# points_int8.onnx

Written by `python models/quantize.py`. sha256 `{sha256}`.

**What it is.** [points.onnx](points.md) with its image encoder in int8: the {convolutions}
convolutions that see nothing but the image (static, QDQ, per channel), by the values of {frames}
frames of {drives}. Everything else keeps single precision. {size:.1f} MB. It holds no weights to
train from: `adapt` and `--start-from` need points.onnx.

**What for.** CPUs with int8 instructions: it runs in two thirds of the time on an x86 with AVX-512
VNNI, in 0.8 of it on one with AVX2 alone ([ACCELERATION](../docs/ACCELERATION.md)). On another
processor it may be slower than points.onnx: measure it with
`python benchmarks/inference.py --rival models/points_int8.onnx`. Nothing takes it by itself: name
it in `model_path`.

**Figures**, on drives that neither training nor calibration saw:

{figures}

Beside points.onnx on the same drives ("reference"):

```
{comparison}
```

Recipe, data and limits are those of [points.onnx](points.md).
"""


def main() -> int:
    """Quantize, judge, write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('out/models'))
    parser.add_argument('--workers', type=int, default=2, help='processes that simulate')
    args = parser.parse_args()
    training, test = simulate(args.out / 'drives' / '1deg', CALIBRATION_DRIVES, 1.0, args.workers)
    folder = args.out / 'points_int8'
    folder.mkdir(parents=True, exist_ok=True)
    whole, made = HERE / 'points.onnx', folder / 'points_int8.onnx'
    if command_line(['quantize', str(whole), *map(str, training), '--out', str(made)]) != 0:
        return 1
    metrics = [evaluated(model, test, folder) for model in (whole, made)]
    if None in metrics:
        return 1
    comparison = compare(metrics[1], Reference('points.onnx', metrics[0]))
    table = comparison_table(comparison)
    print(table)
    lost = metrics[0]['pointing_accuracy'] - metrics[1]['pointing_accuracy']
    if lost >= MOST_LOST or comparison.failures():
        worse = ', '.join(comparison.failures())
        print(f'not taken: {lost:.3f} of pointing_accuracy lost; {worse}')
        return 1
    install(made, metrics[1], table)
    return 0


def install(made: Path, metrics: dict[str, Any], table: str) -> None:
    """Copy the model beside this script and write its card."""
    model = HERE / made.name
    model.write_bytes(made.read_bytes())
    done = CorrespondenceModel.load(model).metadata.training['quantization']
    card = CARD.format(
        sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
        convolutions=done['convolutions'],
        frames=done['frames'],
        drives=', '.join(done['drives']),
        size=model.stat().st_size / 1e6,
        figures=figures_markdown(metrics, 'python models/quantize.py'),
        comparison=table,
    )
    model.with_suffix('.md').write_text(card.rstrip() + '\n', encoding='utf-8')


if __name__ == '__main__':
    sys.exit(main())
