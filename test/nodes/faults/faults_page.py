# SPDX-License-Identifier: Apache-2.0
"""docs/FAULTS.md as its tests read it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[3] / 'docs' / 'FAULTS.md'


@cache
def rows_by_test() -> dict[str, str]:
    """The row of each test that the tables name."""
    rows = [line for line in PAGE.read_text(encoding='utf-8').splitlines() if line[:1] == '|']
    return {test: row for row in rows for test in re.findall(r'`(test_\w+)`', row)}
