# SPDX-License-Identifier: Apache-2.0
"""Write what the README shows but does not say itself: parameters, figures, the picture.

    python docs/update_readme.py                  # the parameters, from the source
    python docs/update_readme.py --check          # only say whether they are current
    python docs/update_readme.py --metrics out/demo/metrics.json --command 'make demo' \\
        --picture out/demo/overlay.png            # the figures of an evaluation, and its picture
    python docs/update_readme.py --pipeline out/benchmarks/pipeline.md      # the node's speed
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / 'README.md'
PICTURE = ROOT / 'docs' / 'overlay.png'
PICTURE_WIDTH = 1000
# A checkout need not be installed to have its README updated: hence the imports below this line.
sys.path.insert(0, str(ROOT))

from radar_camera_ssl.evaluation.summary import figures_markdown  # noqa: E402
from radar_camera_ssl.nodes.bag_player_parameters import PlayerSettings  # noqa: E402
from radar_camera_ssl.nodes.parameter_table import markdown_table  # noqa: E402
from radar_camera_ssl.nodes.parameters import parameter_table_markdown  # noqa: E402


def between_marks(readme: str, name: str, text: str) -> str:
    """Return the text of the README with `text` between the marks of that name.

    Raises ValueError where the marks are missing.
    """
    mark_begin, mark_end = f'<!-- {name}: begin -->\n', f'<!-- {name}: end -->\n'
    before, begin, rest = readme.partition(mark_begin)
    _, end, after = rest.partition(mark_end)
    if not (begin and end):
        raise ValueError(f'README.md has no {mark_begin.strip()} ... {mark_end.strip()}')
    return before + begin + text.rstrip('\n') + '\n' + end + after


def write_picture(source: Path) -> None:
    """Write a contact sheet as the README's picture, small enough for a page."""
    sheet = cv2.imread(str(source))
    if sheet is None:
        raise ValueError(f'{source} is not an image')
    height = round(sheet.shape[0] * PICTURE_WIDTH / sheet.shape[1])
    small = cv2.resize(sheet, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(PICTURE), small, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def first_table(markdown: str) -> str:
    """Return the first table of benchmarks/pipeline.py's results: bare model, nodes and echo."""
    return markdown.strip().split('\n\n')[0]


def main() -> int:
    """Update or check; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--check', action='store_true', help='write nothing; 1 if out of date')
    parser.add_argument('--metrics', type=Path, help='metrics.json of the figures to show')
    parser.add_argument('--command', default='make demo', help='what gave those figures')
    parser.add_argument('--picture', type=Path, help='contact sheet to show at the top')
    parser.add_argument('--pipeline', type=Path, help='pipeline.md of the benchmark to show')
    arguments = parser.parse_args()

    readme = README.read_text(encoding='utf-8')
    current = between_marks(readme, 'parameters', parameter_table_markdown())
    current = between_marks(current, 'player parameters', markdown_table(PlayerSettings))
    if arguments.check:
        return int(readme != current)
    if arguments.metrics is not None:
        table = figures_markdown(json.loads(arguments.metrics.read_text()), arguments.command)
        current = between_marks(current, 'figures', table)
    if arguments.pipeline is not None:
        table = first_table(arguments.pipeline.read_text(encoding='utf-8'))
        current = between_marks(current, 'pipeline', table)
    if arguments.picture is not None:
        write_picture(arguments.picture)
    README.write_text(current, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
