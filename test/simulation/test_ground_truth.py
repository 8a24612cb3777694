# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from radar_camera_ssl.simulation.config import DriveConfig, generator
from radar_camera_ssl.simulation.cube import cube_axes, hann_response, power_cube
from radar_camera_ssl.simulation.drive import Simulator
from radar_camera_ssl.simulation.mesh import MeshBuilder
from radar_camera_ssl.simulation.radar import Echoes, cartesian
from radar_camera_ssl.simulation.radar_signature import (
    REFLECTING_KINDS,
    aspect_gain_db,
    signature,
)
from radar_camera_ssl.simulation.rendering import painters_order
from radar_camera_ssl.simulation.view import NEAR_M, View, clip_near


@pytest.fixture(scope='module', params=[0, 5, 11])
def simulator(request: pytest.FixtureRequest) -> Simulator:
    return Simulator(DriveConfig(seed=request.param, duration_s=20.0))


def single_echo(range_m: float, azimuth: float, velocity: float, snr_db: float) -> Echoes:
    one = [np.array([float(v)]) for v in (range_m, azimuth, 0.0, velocity, 10.0, snr_db)]
    return Echoes(*one, np.array([1]), np.array([False]), np.array([False]))


def test_true_echoes_project_onto_their_sources(simulator: Simulator) -> None:
    config = simulator.config
    mount = config.radar.mounting.transform()
    hits, total = 0, 0
    for k in range(10):
        state = simulator.scene.state(1.0 + 1.7 * k)
        picture = simulator.renderer.render(state, generator(0, 'image_noise', k))
        echoes = simulator.radar.echoes(state, k)
        echoes = echoes[(echoes.instance > 0) & ~echoes.shadowed & (echoes.snr_db > 10.0)]
        view = View.at(config.camera.intrinsics(), config.camera.mounting, state.ego)
        body = mount.apply(cartesian(echoes.range_m, echoes.azimuth, echoes.elevation))
        optical = view.optical(body @ state.ego.rotation.T + state.ego.translation)
        pixel = np.round(view.pixels(optical)).astype(int)
        for (u, v), z, source in zip(pixel, optical[:, 2], echoes.instance, strict=True):
            if z < 1.0 or not (8 <= u < 632 and 8 <= v < 472):
                continue
            nearby = picture.instances[v - 8 : v + 9, u - 8 : u + 9]
            # What covers the source before the camera need not cover it before the radar.
            total += 1
            hits += bool((nearby == source).any())
    assert total > 20
    assert hits / total > 0.93


def test_sources_are_exactly_what_reflects(simulator: Simulator) -> None:
    for thing in simulator.scene.objects:
        assert (thing.instance > 0) == (thing.kind in REFLECTING_KINDS)
    numbers = [o.instance for o in simulator.scene.objects if o.instance]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_clutter_and_ghosts_have_no_source(simulator: Simulator) -> None:
    state = simulator.scene.state(4.0)
    frames = [simulator.radar.frame(simulator.radar.echoes(state, k), k) for k in range(20)]
    assert any((f.instance == 0).any() for f in frames)
    for frame in frames:
        assert (frame.instance[frame.echoes.ghost] == 0).all()
        assert (
            np.linalg.norm(frame.position, axis=1) < simulator.config.radar.max_range_m + 1
        ).all()


def test_static_echoes_have_the_doppler_of_the_ego_motion(simulator: Simulator) -> None:
    state = simulator.scene.state(3.0)
    echoes = simulator.radar.echoes(state, 0)
    still = {
        o.instance
        for i, o in enumerate(simulator.scene.objects)
        if o.instance and i not in set(simulator.scene._moving.tolist())
    }
    chosen = echoes[np.isin(echoes.instance, list(still)) & (np.abs(echoes.elevation) < 0.05)]
    mount = simulator.config.radar.mounting
    expected = -state.ego.speed * np.cos(chosen.azimuth + mount.yaw)
    assert np.abs(chosen.velocity - expected).max(initial=0.0) < 0.5


def test_state_is_continuous_and_velocity_its_derivative(simulator: Simulator) -> None:
    a, b = simulator.scene.state(5.01), simulator.scene.state(5.03)
    _, i, j = np.intersect1d(a.index, b.index, return_indices=True)
    speed = (b.position[j] - a.position[i])[:, :2] / 0.02
    np.testing.assert_allclose(speed, a.velocity[i, :2], atol=0.2)


def test_instances_are_hidden_by_what_stands_in_front() -> None:
    order = painters_order(
        np.array([20.0, 10.0]),
        np.array([24.0, 14.0]),
        np.array([-1.0, -1.0]),
        np.array([1.0, 1.0]),
        np.array([False, False]),
    )
    assert order.tolist() == [0, 1]


@pytest.mark.parametrize('camera_side', [-1.0, 1.0])
def test_a_walker_beside_a_long_truck_is_drawn_after_it(camera_side: float) -> None:
    # The truck's middle is nearer than the walker, yet the walker stands between it and the road.
    truck_d = np.array([3.0, 5.5]) * camera_side
    walker_d = np.array([2.0, 2.5]) * camera_side
    order = painters_order(
        np.array([4.0, 13.0]),
        np.array([16.0, 13.5]),
        np.array([truck_d.min(), walker_d.min()]),
        np.array([truck_d.max(), walker_d.max()]),
        np.array([False, False]),
    )
    assert order.tolist() == [0, 1]


def test_clipping_keeps_what_is_in_front() -> None:
    square = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 3], [-1, 0, 3]], dtype=float)
    clipped = clip_near(square)
    assert clipped[:, 2].min() == pytest.approx(NEAR_M)
    assert cv2.contourArea(clipped[:, [0, 2]].astype(np.float32)) == pytest.approx(2 * 2.7)
    assert len(clip_near(square - [0, 0, 5])) == 0


def test_aspect_lowers_the_strength_away_from_the_square_view() -> None:
    gain = aspect_gain_db(np.cos(np.radians([0, 20, 60, 120])), np.full(4, 8.0))
    assert gain[0] == pytest.approx(0.0)
    assert gain[0] > gain[1] > gain[2] > -20.0
    assert gain[3] == -np.inf


def test_strength_is_ordered_by_kind() -> None:
    box = MeshBuilder()
    box.box((-2, -0.9, 0), (2, 0.9, 1.5), (0, 0, 0))
    mesh = box.build()

    def strongest(kind: str) -> float:
        drawn = [signature(kind, mesh, np.random.default_rng(k)).rcs_dbsm.max() for k in range(30)]
        return float(np.mean(drawn))

    assert strongest('truck') > strongest('car') > strongest('cyclist') > strongest('pedestrian')
    for kind in ('tree', 'cardboard', 'painted_vehicle', 'bush', 'poster', 'building'):
        assert len(signature(kind, mesh, np.random.default_rng(0))) == 0


def test_the_cube_peaks_where_the_echo_is() -> None:
    config = DriveConfig().radar
    ranges, azimuths, dopplers = cube_axes(config).centres(config.cube_shape)
    for k, (range_m, azimuth, velocity) in enumerate(
        [(20.3, 0.3, -7.0), (45.0, -0.5, 3.2), (9.7, 0.02, 40.0)]
    ):
        cube = power_cube(single_echo(range_m, azimuth, velocity, 45.0), 8.0, config, 1, k)
        assert cube.dtype == np.float32
        r, a, d = np.unravel_index(cube.argmax(), cube.shape)
        assert abs(ranges[r] - range_m) < 1.0
        assert abs(azimuths[a] - azimuth) < np.radians(3.0)
        span = 2 * config.max_doppler_mps
        folded = (velocity + config.max_doppler_mps) % span - config.max_doppler_mps
        assert abs(dopplers[d] - folded) < 3.1
        assert cube.max() == pytest.approx(45.0, abs=4.0)
        # Far from the echo there is speckle, about 0 dB.
        far = cube[(np.abs(ranges - range_m) > 10.0)]
        assert abs(10 * np.log10(np.mean(10 ** (far / 10)))) < 4.0


def test_points_and_cube_come_from_the_same_echoes(simulator: Simulator) -> None:
    config = simulator.config
    ranges, azimuths, _ = cube_axes(config.radar).centres(config.radar.cube_shape)
    strengths = []
    for k in range(10):
        state = simulator.scene.state(1.0 + k)
        echoes = simulator.radar.echoes(state, k)
        frame = simulator.radar.frame(echoes, k)
        cube = power_cube(echoes, state.ego.speed, config.radar, config.seed, k).max(2)
        strong = frame.echoes[frame.echoes.snr_db > 15.0]
        for range_m, azimuth in zip(strong.range_m, strong.azimuth, strict=True):
            r = np.abs(ranges - range_m).argmin()
            a = np.abs(azimuths - azimuth).argmin()
            strengths.append(cube[max(r - 1, 0) : r + 2, max(a - 1, 0) : a + 2].max())
    assert np.mean(np.array(strengths) > 9.0) > 0.95


def test_hann_response_halves_after_one_bin() -> None:
    response = hann_response(np.array([0.0, 1.0, 2.0, 3.0, -1.0]))
    np.testing.assert_allclose(response, [1.0, 0.5, 0.0, 0.0, 0.5], atol=1e-5)


def test_nominal_azimuth_noise_of_strong_returns() -> None:
    simulator = Simulator(DriveConfig(seed=0))
    n = 400
    strong = Echoes(
        np.linspace(3, 55, n),
        np.zeros(n),
        np.zeros(n),
        np.linspace(-400, 400, n),
        np.full(n, 10.0),
        np.full(n, 40.0),
        np.ones(n, dtype=int),
        np.zeros(n, dtype=bool),
        np.zeros(n, dtype=bool),
    )
    frame = simulator.radar.frame(strong, 0)
    assert len(frame.position) == n
    azimuth = np.arctan2(frame.position[:, 1], frame.position[:, 0])
    assert np.degrees(azimuth.std()) == pytest.approx(1.0, rel=0.15)
