# SPDX-License-Identifier: Apache-2.0
"""The parameter table: defaults that are allowed, documentation, and the shipped file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rcl_interfaces.msg import ParameterDescriptor

from radar_camera_ssl.nodes.bag_player_parameters import PlayerSettings
from radar_camera_ssl.nodes.parameter_declaration import descriptor
from radar_camera_ssl.nodes.parameter_table import markdown_table, rows_of, settings_from
from radar_camera_ssl.nodes.parameters import (
    Settings,
    parameter_table_markdown,
    radar_field_aliases,
)
from radar_camera_ssl.nodes.synchronizers import make_synchronizer
from radar_camera_ssl.sensors.pairing import NearestTimePairing

CONFIG = Path(__file__).parents[2] / 'config' / 'reflection_heatmap.yaml'


@pytest.mark.parametrize('table', [Settings, PlayerSettings])
def test_each_default_is_allowed_and_each_row_is_complete(table: type[Any]) -> None:
    for name, row in rows_of(table).items():
        assert row.problem(row.default) is None, name
        assert row.description.endswith('.'), name
        assert row.type_name
        assert isinstance(descriptor(row), ParameterDescriptor)
        assert f'`{name}`' in markdown_table(table)


def test_the_table_has_one_line_for_each_parameter() -> None:
    lines = parameter_table_markdown().splitlines()
    assert len(lines) == 2 + len(rows_of(Settings))
    assert all(line.count('|') == lines[0].count('|') for line in lines)


def test_the_shipped_file_has_each_parameter_with_an_allowed_value() -> None:
    document = yaml.safe_load(CONFIG.read_text())
    values = document['/**']['ros__parameters']
    settings = settings_from(Settings, {k: v for k, v in values.items() if k != 'use_sim_time'})
    assert settings == Settings()
    assert set(values) == set(rows_of(Settings))
    for name, value in values.items():
        default = rows_of(Settings)[name].default
        assert type(value) is (list if isinstance(default, tuple) else type(default)), name


def test_the_shipped_file_says_what_the_table_says() -> None:
    text = CONFIG.read_text()
    for name, row in rows_of(Settings).items():
        (comment,) = re.findall(rf'((?:^ +# .*\n)+)^ +{name}:', text, re.MULTILINE)
        said = ' '.join(line.strip(' #') for line in comment.splitlines())
        unit = f' [{row.unit}]' if row.unit else ''
        assert said == row.description.replace('`', '') + unit, name


def test_aliases_are_read_as_ours_and_theirs() -> None:
    settings = settings_from(Settings, {'radar_fields': ['rcs=power', ' x = px', '']})
    assert radar_field_aliases(settings) == {'rcs': 'power', 'x': 'px'}


@pytest.mark.parametrize(
    ('values', 'named'),
    [
        ({'slop': float('nan')}, 'slop'),
        ({'radar_fields': ['weight=power']}, 'radar_fields'),
        ({'cube_axes': [0.0, 50.0, 1.0, 1.0, -10.0, 10.0]}, 'cube_axes'),
        ({'image_transport': 'theora'}, 'image_transport'),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        settings_from(Settings, values)


def test_our_pairing_is_the_default() -> None:
    assert isinstance(make_synchronizer(Settings()), NearestTimePairing)
