# SPDX-License-Identifier: Apache-2.0
"""docs/FAULTS.md has every test of a fault, and no other; what each states is there too."""

from __future__ import annotations

import re
from pathlib import Path

from faults_page import rows_by_test


def test_the_page_has_every_test_of_a_fault_and_no_other() -> None:
    sources = [
        path.read_text(encoding='utf-8') for path in Path(__file__).parent.glob('test_f*.py')
    ]
    taking_fault = re.compile(r'^def (test_\w+)\((?:[^)]*\b)?fault: Fault', re.MULTILINE)
    tests = {name for source in sources for name in taking_fault.findall(source)}
    assert len(tests) > 10
    assert set(rows_by_test()) == tests


def test_every_row_says_what_is_lost_and_how_long_it_takes() -> None:
    for test, row in rows_by_test().items():
        cells = [cell.strip() for cell in row.strip('|').split('|')]
        assert len(cells) == 5, test
        assert all(cells), test
