# SPDX-License-Identifier: Apache-2.0
"""Write the parameter table into README.md; `--check` only says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / 'README.md'
BEGIN = '<!-- parameters: begin -->\n'
END = '<!-- parameters: end -->\n'


def with_parameters(readme: str, table: str) -> str:
    """Return the text of the README with `table` between its two marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f'README.md has no {BEGIN.strip()} ... {END.strip()}')
    return before + begin + table.rstrip('\n') + '\n' + end + after


def main() -> int:
    """Update or check; return the exit code."""
    sys.path.insert(0, str(ROOT))
    from radar_camera_ssl.nodes.parameters import parameter_table_markdown

    readme = README.read_text(encoding='utf-8')
    current = with_parameters(readme, parameter_table_markdown())
    if sys.argv[1:] == ['--check']:
        return int(readme != current)
    README.write_text(current, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
