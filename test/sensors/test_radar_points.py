# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sensor_messages as messages
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.radar_points import (
    FIELD_ALIASES,
    RadarPoints,
    decode_points,
    decode_radar_scan,
    structured_view,
)

FIELDS = ('x', 'y', 'z', 'velocity', 'rcs')
PLAIN = np.dtype([(name, 'f4') for name in FIELDS])


def floats(names: str) -> np.dtype[Any]:
    return np.dtype([(name, 'f4') for name in names.split()])


def points(count: int, dtype: np.dtype[Any] = PLAIN) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(count).normal(0, 20, (len(dtype.names or ()), count))
    array = np.zeros(count, dtype)
    for name, column in zip(dtype.names or (), values, strict=True):
        array[name] = column if dtype[name].shape == () else column[:, None]
    return array


def reason_of(msg: Any, **arguments: Any) -> str:
    with pytest.raises(SensorDataError) as caught:
        decode_points(msg, **arguments)
    return caught.value.reason


def test_a_plain_cloud() -> None:
    cloud = points(7)
    returns = decode_points(messages.cloud(cloud), FIELDS)
    np.testing.assert_array_equal(returns.as_array(FIELDS), np.array(cloud.tolist(), np.float32))
    assert returns.row.tolist() == list(range(7))
    assert returns.not_finite == 0
    assert returns.position.dtype == returns.velocity.dtype == returns.rcs.dtype == np.float32


def test_rclpy_messages_are_taken_as_they_are() -> None:
    sensor_msgs = pytest.importorskip('sensor_msgs.msg', reason='sensor_msgs is not installed')
    msg = messages.cloud(points(7))
    same = messages.as_rclpy(msg, sensor_msgs.PointCloud2)
    np.testing.assert_array_equal(
        decode_points(same).as_array(FIELDS), decode_points(msg).as_array(FIELDS)
    )


AWKWARD = np.dtype(
    {
        'names': ['rcs', 'x', 'spectrum', 'velocity', 'y', 'id'],
        'formats': ['>i2', '>f8', ('>u2', (3,)), '>f4', '>f4', 'u1'],
        'offsets': [1, 3, 12, 19, 24, 31],
        'itemsize': 37,
    }
)


def test_any_layout_padding_and_byte_order() -> None:
    cloud = points(12, AWKWARD)
    msg = messages.cloud(cloud, row_padding=5, height=3)
    np.testing.assert_array_equal(structured_view(msg)['spectrum'], cloud['spectrum'])
    returns = decode_points(msg)
    for name, column in zip('xy', returns.position.T[:2], strict=True):
        np.testing.assert_array_equal(column, cloud[name].astype(np.float32))
    np.testing.assert_array_equal(returns.rcs, cloud['rcs'].astype(np.float32))
    np.testing.assert_array_equal(returns.position[:, 2], 0)


def test_the_structured_view_copies_nothing() -> None:
    msg = messages.cloud(points(7))
    assert np.shares_memory(structured_view(msg), msg.data)


def test_a_message_of_nothing_is_no_returns() -> None:
    nothing = messages.TYPES['sensor_msgs/msg/PointCloud2'](
        messages.header(), 0, 0, [], False, 0, 0, np.zeros(0, np.uint8), False
    )
    assert len(decode_points(nothing)) == 0


def test_an_empty_cloud_is_no_returns() -> None:
    returns = decode_points(messages.cloud(points(0)))
    assert len(returns) == 0
    assert returns.as_array(FIELDS).shape == (0, 5)
    assert len(RadarPoints.empty()) == 0
    assert returns.strongest(5).as_array(FIELDS).shape == (0, 5)


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        pytest.param(
            'x y z radial_speed power rcs noise snr azimuth_angle elevation_angle range',
            {'velocity': 'radial_speed', 'rcs': 'rcs'},
            id='smartmicro',
        ),
        pytest.param(
            'x y z v r RCS azimuth elevation', {'velocity': 'v', 'rcs': 'RCS'}, id='ARS548'
        ),
        pytest.param(
            'x y z RCS v_r v_r_compensated time',
            {'velocity': 'v_r', 'rcs': 'RCS'},
            id='ZF FRGen21',
        ),
        pytest.param(
            'x y z Doppler Range Power Alpha Beta',
            {'velocity': 'Doppler', 'rcs': 'Power'},
            id='Oculii',
        ),
        pytest.param(
            'x y z rgb range azimuth elevation doppler power range_bin power_value',
            {'velocity': 'doppler', 'rcs': 'power'},
            id='Arbe',
        ),
        pytest.param(
            'x y z snr range noise doppler adjusted_doppler power',
            {'velocity': 'doppler', 'rcs': 'power'},
            id='Zadar',
        ),
        pytest.param(
            'x y z snr_db noise_db v_doppler_mps',
            {'velocity': 'v_doppler_mps', 'rcs': 'snr_db'},
            id='TI, with noise',
        ),
        pytest.param(
            'x y z intensity velocity', {'velocity': 'velocity', 'rcs': 'intensity'}, id='TI'
        ),
        pytest.param(
            'x y azimuth range range_rate radar_cross_section',
            {'velocity': 'range_rate', 'rcs': 'radar_cross_section'},
            id='Nebula',
        ),
        pytest.param(
            'X Y Radial_Velocity Rcs',
            {'x': 'X', 'velocity': 'Radial_Velocity', 'rcs': 'Rcs'},
            id='capitals',
        ),
        pytest.param(
            'x y radialVelocity radarCrossSection',
            {'velocity': 'radialVelocity', 'rcs': 'radarCrossSection'},
            id='camel case',
        ),
    ],
)
def test_the_names_of_drivers_are_known(names: str, expected: dict[str, str]) -> None:
    cloud = points(5, floats(names))
    returns = decode_points(messages.cloud(cloud))
    for quantity, name in expected.items():
        np.testing.assert_array_equal(returns.as_array([quantity])[:, 0], cloud[name])


def test_a_pixels_row_is_no_velocity() -> None:
    assert reason_of(messages.cloud(points(3, floats('x y u v rcs')))) == 'points_field_missing'


def test_a_quantity_under_a_colours_name_must_be_told() -> None:
    cloud = points(5, floats('x y z h s v'))
    assert reason_of(messages.cloud(cloud)) == 'points_field_missing'
    told = decode_points(messages.cloud(cloud), aliases={'velocity': 'h', 'rcs': 's'})
    np.testing.assert_array_equal(told.velocity, cloud['h'])
    np.testing.assert_array_equal(told.rcs, cloud['s'])


def test_a_sweep_without_velocity_says_so() -> None:
    """As Navtech's radars give it: intensities over range and azimuth, no Doppler."""
    msg = messages.cloud(points(5, floats('x y z intensity')))
    with pytest.raises(SensorDataError, match=r"velocity.*found \['x', 'y', 'z', 'intensity'\]"):
        decode_points(msg)


def test_angles_in_degrees_are_refused() -> None:
    cloud = points(5, floats('range azimuth elevation velocity rcs'))
    cloud['azimuth'] = [-40, -10, 0, 20, 45]
    assert reason_of(messages.cloud(cloud)) == 'points_angle_unit'
    # A narrow view: no value is beyond a turn, but all together are.
    cloud['azimuth'] = [-4, -1, 0, 2, 5]
    assert reason_of(messages.cloud(cloud)) == 'points_angle_unit'
    for possible in ([0, 1, 3, 5, 2 * np.pi], [-np.pi, -1, 0, 1, np.pi], [-0.01, 1, 3, 5, 6.2]):
        cloud['azimuth'] = possible
        assert len(decode_points(messages.cloud(cloud))) == 5


def test_no_alias_stands_for_two_quantities() -> None:
    names = [name for names in FIELD_ALIASES.values() for name in names]
    assert len(names) == len(set(names))


def test_aliases_of_the_user_override_the_table() -> None:
    cloud = points(5, floats('x y velocity rcs power'))
    returns = decode_points(messages.cloud(cloud), aliases={'rcs': 'power'})
    np.testing.assert_array_equal(returns.rcs, cloud['power'])
    assert reason_of(messages.cloud(cloud), aliases={'rcs': 'pwr'}) == 'points_field_missing'


@pytest.mark.parametrize('quantity', ['x', 'z', 'velocity', 'rcs'])
def test_nothing_stands_in_for_a_field_that_the_user_named(quantity: str) -> None:
    cloud = points(3, floats('x y z vx vy vr_meas range azimuth rcs'))
    with pytest.raises(SensorDataError, match=f"'{quantity}': .'TYPO',") as caught:
        decode_points(messages.cloud(cloud), ('x', 'y'), {quantity: 'TYPO'})
    assert caught.value.reason == 'points_field_missing'


def test_polar_returns_become_cartesian() -> None:
    cloud = points(9, floats('range azimuth elevation velocity rcs'))
    cloud['range'] = np.abs(cloud['range']) + 1
    cloud['azimuth'], cloud['elevation'] = np.linspace(-1, 1, 9), np.linspace(-0.3, 0.3, 9)
    returns = decode_points(messages.cloud(cloud), FIELDS)
    np.testing.assert_allclose(returns.range, cloud['range'], rtol=1e-5)
    np.testing.assert_allclose(returns.azimuth, cloud['azimuth'], atol=1e-6)
    assert (returns.position[6:, 1] > 0).all()
    assert (returns.position[6:, 2] > 0).all()


def test_a_velocity_vector_is_projected_on_the_line_of_sight() -> None:
    cloud = np.zeros(3, floats('x y vx vy rcs'))
    cloud['x'], cloud['y'] = [10, 0, 0], [0, -10, 0]
    cloud['vx'], cloud['vy'] = [-5, 3, 1], [2, 4, 1]
    assert decode_points(messages.cloud(cloud)).velocity.tolist() == [-5, -4, 0]


def test_a_missing_field_names_wanted_and_found() -> None:
    cloud = points(3, floats('x y z'))
    with pytest.raises(SensorDataError, match=r"velocity.*found \['x', 'y', 'z'\]") as caught:
        decode_points(messages.cloud(cloud))
    assert caught.value.reason == 'points_field_missing'
    assert len(decode_points(messages.cloud(cloud), ('x', 'y'))) == 3


def test_unknown_wanted_fields_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match='unknown radar fields'):
        decode_points(messages.cloud(points(3)), ('x', 'colour'))
    with pytest.raises(ValueError, match='unknown radar fields'):
        decode_points(messages.cloud(points(3))).as_array(['colour'])


def test_returns_that_are_not_finite_are_removed_and_counted() -> None:
    cloud = points(6)
    cloud['x'][1] = np.nan
    cloud['rcs'][4] = np.inf
    cloud['z'][2] = np.nan
    returns = decode_points(messages.cloud(cloud))
    assert returns.row.tolist() == [0, 2, 3, 5]
    assert returns.not_finite == 2
    # z was not asked for: unknown counts as 0, as where it is absent.
    assert returns.position[1, 2] == 0
    assert decode_points(messages.cloud(cloud), FIELDS).not_finite == 3


@pytest.mark.parametrize('value', [np.finfo(np.float32).max, -1e20, np.inf, np.nan])
def test_a_mark_of_an_invalid_return_is_no_measurement(value: float) -> None:
    cartesian, polar = points(4), points(4, floats('range azimuth elevation vx vy rcs'))
    polar['azimuth'] = polar['elevation'] = 0.1
    for whole in (cartesian, polar):
        for name in whole.dtype.names or ():
            cloud = whole.copy()
            cloud[name][1] = value
            returns = decode_points(messages.cloud(cloud), FIELDS)
            assert returns.row.tolist() == [0, 2, 3], name
            assert returns.not_finite == 1, name


def test_values_beyond_float32_are_not_finite() -> None:
    cloud = points(2, np.dtype([(name, 'f8') for name in FIELDS]))
    cloud['x'][0] = 1e300
    assert decode_points(messages.cloud(cloud)).not_finite == 1


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'data': np.zeros(10, np.uint8)}, 'points_truncated'),
        ({'width': 8}, 'points_truncated'),
        ({'width': 2**32 - 1, 'height': 2**32 - 1}, 'points_truncated'),
        ({'height': 2, 'row_step': 20}, 'points_truncated'),
        ({'point_step': 0}, 'points_datatype'),
        ({'point_step': 19}, 'points_datatype'),
        ({'fields': []}, 'points_field_missing'),
    ],
)
def test_bad_clouds_have_a_reason(change: dict[str, Any], reason: str) -> None:
    msg = messages.cloud(points(7))
    for name, value in change.items():
        setattr(msg, name, value)
    assert reason_of(msg) == reason


@pytest.mark.parametrize(
    'change', [{'datatype': 0}, {'datatype': 9}, {'offset': 17}, {'name': 'x'}, {'count': 2**31}]
)
def test_bad_fields_have_a_reason(change: dict[str, Any]) -> None:
    msg = messages.cloud(points(7))
    for name, value in change.items():
        setattr(msg.fields[-1], name, value)
    assert reason_of(msg) == 'points_datatype'


def test_drivers_forget_row_step_and_count() -> None:
    msg = messages.cloud(points(7))
    msg.row_step = 0
    for point_field in msg.fields:
        point_field.count = 0
    assert len(decode_points(msg)) == 7


def test_the_strongest_are_kept_in_their_order() -> None:
    cloud = points(6)
    cloud['rcs'] = [5, 9, 5, -3, 9, 5]
    returns = decode_points(messages.cloud(cloud))
    assert returns.strongest(4).row.tolist() == [0, 1, 2, 4]
    assert returns.strongest(2).row.tolist() == [1, 4]
    assert returns.strongest(0).row.tolist() == []
    assert returns.strongest(6) is returns


def test_radar_scan() -> None:
    def scan_return(**values: float) -> SimpleNamespace:
        return SimpleNamespace(**values)

    good = {'range': 10.0, 'azimuth': 0.5, 'elevation': 0.1,
            'doppler_velocity': -3.0, 'amplitude': 20.0}  # fmt: skip
    msg = SimpleNamespace(
        returns=[scan_return(**good), scan_return(**(good | {'range': float('nan')}))]
    )
    returns = decode_radar_scan(msg)
    assert returns.range.tolist() == pytest.approx([10.0])
    assert returns.azimuth.tolist() == pytest.approx([0.5])
    assert (returns.velocity[0], returns.rcs[0], returns.not_finite) == (-3.0, 20.0, 1)
    assert len(decode_radar_scan(SimpleNamespace(returns=[]))) == 0
    with pytest.raises(SensorDataError, match='elevation'):
        decode_radar_scan(SimpleNamespace(returns=[scan_return(range=1.0, azimuth=0.0)]))


@given(hnp.arrays(PLAIN, st.integers(0, 40)), st.integers(0, 50))
def test_every_return_is_kept_removed_or_weaker(cloud: np.ndarray[Any, Any], n: int) -> None:
    returns = decode_points(messages.cloud(cloud))
    assert len(returns) + returns.not_finite == len(cloud)
    assert np.isfinite(returns.as_array(FIELDS)).all()
    kept = returns.strongest(n)
    assert len(kept) == min(n, len(returns))
    assert (np.diff(kept.row) > 0).all()
    weaker = returns.rcs[~np.isin(returns.row, kept.row)]
    if len(kept) and len(weaker):
        assert weaker.max() <= kept.rcs.min()


@settings(max_examples=150)
@given(
    st.integers(0, 5),
    st.integers(0, 9),
    st.integers(0, 40),
    st.integers(0, 200),
    st.binary(max_size=300),
    st.lists(
        st.tuples(st.sampled_from('xyz'), st.integers(0, 40), st.integers(0, 10)), max_size=4
    ),
)
def test_any_header_gives_returns_or_a_reason(
    height: int, width: int, point_step: int, row_step: int, data: bytes, fields: list[Any]
) -> None:
    msg = SimpleNamespace(
        height=height, width=width, point_step=point_step, row_step=row_step, data=data,
        is_bigendian=False,
        fields=[SimpleNamespace(name=n, offset=o, datatype=d, count=1) for n, o, d in fields],
    )  # fmt: skip
    reason = ''
    try:
        returns = decode_points(msg, ('x',))
        assert len(returns) + returns.not_finite == height * width
    except SensorDataError as error:
        reason = error.reason
    assert reason in (
        *('', 'points_field_missing', 'points_truncated', 'points_datatype'),
        'points_angle_unit',
    )


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(SensorDataError('cube_shape', 'is flat')))
    assert (error.reason, str(error)) == ('cube_shape', 'is flat')
