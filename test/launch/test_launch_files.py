# SPDX-License-Identifier: Apache-2.0
"""What can be told of the launch files and RViz's settings without ROS."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LAUNCH_FILES = sorted((ROOT / 'launch').glob('*.launch.py'))


def test_the_launch_files_are_python() -> None:
    names = ['demo.launch.py', 'perception.launch.py', 'two_cameras.launch.py']
    assert [path.name for path in LAUNCH_FILES] == names
    for path in LAUNCH_FILES:
        compile(path.read_text(), str(path), 'exec')


def test_rviz_shows_the_heatmap_as_it_is() -> None:
    document = yaml.safe_load((ROOT / 'config' / 'perception.rviz').read_text())
    displays = {d['Name']: d for d in document['Visualization Manager']['Displays']}
    assert displays['Heatmap']['Normalize Range'] is False
    assert (displays['Heatmap']['Min Value'], displays['Heatmap']['Max Value']) == (0, 1)
    assert displays['Reflections']['Channel Name'] == 'likelihood'
    topics = {display['Topic']['Value'] for name, display in displays.items() if name != 'Grid'}
    assert topics == {
        f'/reflection_heatmap/output/{name}' for name in ('overlay', 'heatmap', 'reflections')
    }
