# SPDX-License-Identifier: Apache-2.0
"""docs/DIAGNOSTICS.md has every key that a node publishes, every finding, and no other."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ros_graph import Rig, camera_info_message, image_message, radar_message, wait_until
from sensor_msgs.msg import CameraInfo
from test_findings import PROVOKED

from radar_camera_ssl.nodes.findings import ERROR, PARTS, WARN, findings
from radar_camera_ssl.nodes.parameter_table import rows_of
from radar_camera_ssl.nodes.parameters import LATENCY_STAGES, Settings

PAGE = (Path(__file__).parents[2] / 'docs' / 'DIAGNOSTICS.md').read_text(encoding='utf-8')
SECOND = 10**9


def rows(section: str) -> list[list[str]]:
    """The cells of the first table after this text."""
    table = PAGE.split(section, 1)[1].lstrip().split('\n\n')
    lines = next(part for part in table if part.startswith('|')).splitlines()[2:]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall('`([^`]+)`', cell)


def documented_keys(part: str) -> set[str]:
    """The keys of a part, `<input>` and `<stage>` spelt out."""
    keys = {key for row in rows(f'\n`{part}`') for key in names(row[0])}
    for placeholder, values in (
        ('<input>', ('image', 'radar', 'camera_info')),
        ('<stage>', LATENCY_STAGES),
    ):
        keys = {key.replace(placeholder, value) for key in keys for value in values}
    return keys


def test_the_page_has_the_keys_that_a_node_publishes(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(stamp_tolerance=10.0, diagnostics_window=60.0, drop_warn=0.0)
    rig.bring_up()
    rig.talk('input/camera_info', CameraInfo).publish(camera_info_message(SECOND))
    for stamp in (0, rig.node.get_clock().now().nanoseconds):
        rig.pair(stamp, radar_message(stamp), image_message(stamp))
    wait_until(
        lambda: any(key.startswith('latency_ms.since_stamp') for key in rig.values()),
        lambda: str(rig.values()),
    )
    wait_until(lambda: 'finding.radar_drops.for_s' in rig.values(), lambda: str(rig.values()))
    report = rig.reports[-1]
    assert set(report) == set(PARTS)
    for part, status in report.items():
        published = {
            re.sub(r'(dropped|finding)\.\w+', _placeholder, value.key) for value in status.values
        }
        assert published == documented_keys(part), part


def _placeholder(found: re.Match[str]) -> str:
    return f'{found[1]}.<reason>' if found[1] == 'dropped' else f'{found[1]}.<code>'


def test_the_page_has_the_findings_their_levels_and_their_parameters() -> None:
    documented = {code: row for row in rows('\n## Findings') for code in names(row[0])}
    assert set(documented) == set(PROVOKED)
    for code, (_, level, _, parameters, _) in documented.items():
        (finding,) = findings(PROVOKED[code])
        assert {WARN: 'WARN', ERROR: 'ERROR'}[finding.level] in level.split(', ')
        assert set(names(parameters)) <= {*rows_of(Settings), 'use_sim_time'}, code


def test_the_page_names_the_statuses() -> None:
    told = [names(row[0])[0] for row in rows('in the namespace')]
    assert told == [f'reflection_heatmap: {part}' for part in PARTS]
