# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from radar_camera_ssl.evaluation.baselines import BASELINES
from radar_camera_ssl.evaluation.evaluate import EvaluationOptions, evaluate_bags
from radar_camera_ssl.evaluation.metrics import METRIC_KEYS
from radar_camera_ssl.sensors.recording import Recording, RecordingError

DESIGN_KEYS = {
    *('pointing_accuracy', 'column_error_deg', 'heatmap_ap', 'heatmap_max_f1', 'ciou'),
    *('ghost_auroc', 'ece', 'lit_area_empty_radar', 'mismatch_auroc', 'yaw_error_deg'),
    *('time_offset_ms', 'pairs', 'dropped', 'gap_ms', 'latency_ms', 'baselines', 'oracle'),
}

Drive = Callable[..., Path]


def test_a_drive_with_everything_has_every_figure(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    slow = block_drive('a', seed=1, frames=60, period_s=0.3)
    bags = [slow, block_drive('b', seed=2, frames=30)]
    out = tmp_path / 'out'
    metrics = evaluate_bags(bags, tiny_model, out, record=True)
    assert metrics.keys() >= DESIGN_KEYS
    for key in METRIC_KEYS:
        if key != 'yaw_alarm_auroc':
            assert metrics[key] is not None, metrics['null_because']
    assert 'prior_pixel' in metrics['null_because']['yaw_alarm_auroc']  # the tiny model has none
    assert metrics['pairs'] == 90
    assert metrics['matched_share'] == 1.0
    assert metrics['gap_ms']['median'] == pytest.approx(10.0, rel=0.01)
    assert metrics['pointing_accuracy'] > 0.9
    assert metrics['ghost_auroc'] > 0.99
    assert metrics['mismatch_auroc'] is not None
    assert metrics['lit_area_empty_radar'] == 0.0
    assert set(metrics['baselines']) == set(BASELINES)
    blind = metrics['baselines']
    for name in ('centre', 'best_fixed', 'mean_heatmap', 'image_only', 'another_radar'):
        assert blind[name]['pointing_accuracy'] < 0.8, name
        assert blind[name]['heatmap_ap'] < metrics['heatmap_ap'], name
    assert metrics['oracle']['pointing_accuracy'] > 0.9
    assert metrics['oracle']['heatmap_ap'] > 0.8
    assert [row['from'] for row in metrics['by_range']] == [10, 20]
    assert sum(row['returns'] for row in metrics['by_azimuth']) > 400
    assert 'timeline' not in metrics
    assert [len(row['timeline']['agreement']) for row in metrics['bags']] == [60, 30]
    assert set(metrics['bags'][0]['timeline']['gap_ms']) == {10.0}
    assert (out / 'report.html').read_text(encoding='utf-8').count(' on their source; ') >= 20
    assert [row['bag'] for row in metrics['bags']] == ['a', 'b']
    assert json.loads((out / 'metrics.json').read_text()) == json.loads(json.dumps(metrics))
    for name in ('report.html', 'overlay.mp4', 'overlay.png'):
        assert (out / name).stat().st_size > 1000, name
    assert (out / 'recorded' / 'a').is_dir()


def test_pooled_figures_weigh_frames_not_drives(block_drive: Drive, tiny_model: Path) -> None:
    bags = [block_drive('a', seed=1, frames=12), block_drive('b', seed=2, frames=4)]
    pooled = evaluate_bags(bags, tiny_model, None)
    first, second = (evaluate_bags([bag], tiny_model, None) for bag in bags)
    returns = np.array([12.0, 4.0]) * 6  # roughly: some blocks may be out of sight
    expected = np.average(
        [first['pointing_accuracy'], second['pointing_accuracy']], weights=returns
    )
    assert pooled['pointing_accuracy'] == pytest.approx(expected, abs=0.02)
    assert pooled['pairs'] == first['pairs'] + second['pairs']


def test_evaluation_repeats_itself(block_drive: Drive, tiny_model: Path) -> None:
    bag = block_drive(frames=15)
    once, again = (evaluate_bags([bag], tiny_model, None) for _ in range(2))
    for metrics in (once, again):
        del metrics['latency_ms']
        del metrics['bags'][0]['latency_ms']
    assert once == again


def test_without_ground_truth_what_needs_it_is_null_and_says_why(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    metrics = evaluate_bags(
        [block_drive(ground_truth=False, frames=30)], tiny_model, tmp_path / 'out'
    )
    assert metrics['pointing_accuracy'] is None
    assert metrics['heatmap_ap'] is None
    assert metrics['null_because']['pointing_accuracy'] == 'no ground truth in the recording'
    assert metrics['lit_area_empty_radar'] == 0.0
    assert metrics['mismatch_auroc'] is not None
    assert (tmp_path / 'out' / 'report.html').exists()


def test_without_camera_info_there_is_no_angle_and_no_oracle(
    block_drive: Drive, tiny_model: Path
) -> None:
    metrics = evaluate_bags([block_drive(camera_info=False, frames=10)], tiny_model, None)
    assert metrics['column_error_deg'] is None
    assert metrics['null_because']['column_error_deg'] == 'no camera_info'
    assert metrics['oracle'] is None
    assert metrics['pointing_accuracy'] > 0.9


def test_without_transforms_there_is_no_oracle(block_drive: Drive, tiny_model: Path) -> None:
    metrics = evaluate_bags([block_drive(transforms=False, frames=10)], tiny_model, None)
    assert metrics['oracle'] is None
    assert 'oracle' in metrics['null_because']
    assert metrics['column_error_deg'] is not None


def test_a_drive_without_a_pair_is_told_not_scored(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    bag = block_drive(radar_delay_s=0.04, frames=5)
    metrics = evaluate_bags([bag], tiny_model, tmp_path / 'out', slop_s=0.005)
    assert metrics['pairs'] == 0
    assert metrics['dropped']['radar'] == {'no_partner': 5}
    assert metrics['matched_share'] == 0.0
    assert metrics['notes'] == ['drive: no pair could be used']
    assert metrics['pointing_accuracy'] is None
    assert not (tmp_path / 'out' / 'overlay.png').exists()


def test_pictures_of_another_evaluation_do_not_stay_beside_the_figures(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'out'
    evaluate_bags([block_drive('a', frames=5)], tiny_model, out)
    assert 'overlay.mp4' in (out / 'report.html').read_text(encoding='utf-8')
    evaluate_bags([tmp_path / 'a'], tiny_model, out, overlay=False)
    assert sorted(file.name for file in out.iterdir()) == ['metrics.json', 'report.html']
    evaluate_bags([tmp_path / 'a'], tiny_model, out)
    apart = block_drive('apart', radar_delay_s=0.04, frames=5)
    evaluate_bags([apart], tiny_model, out, slop_s=0.005)
    assert sorted(file.name for file in out.iterdir()) == ['metrics.json', 'report.html']
    assert 'overlay.mp4' not in (out / 'report.html').read_text(encoding='utf-8')


def test_a_drive_given_twice_is_refused(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    bag, again = block_drive('a', frames=5), tmp_path / 'again'
    again.symlink_to(bag)
    (file,) = bag.glob('*.mcap')
    for same in (bag, again, file):
        with pytest.raises(ValueError, match='given more than once'):
            evaluate_bags([bag, same], tiny_model, None)


def test_a_drive_without_frames_does_not_take_the_others_down(
    block_drive: Drive, tiny_model: Path
) -> None:
    bags = [block_drive('none', frames=3, radar_delay_s=0.04), block_drive('b', frames=9)]
    metrics = evaluate_bags(bags, tiny_model, None, slop_s=0.02)
    alone = evaluate_bags(bags[1:], tiny_model, None, slop_s=0.02)
    assert metrics['pointing_accuracy'] == alone['pointing_accuracy']
    assert metrics['oracle'] == alone['oracle']
    for name in ('best_fixed', 'mean_heatmap', 'centre'):
        assert metrics['baselines'][name] == alone['baselines'][name]


def test_max_pairs_ends_a_drive_early(block_drive: Drive, tiny_model: Path) -> None:
    options = EvaluationOptions(max_pairs=7)
    metrics = evaluate_bags([block_drive(frames=30)], tiny_model, None, options=options)
    assert metrics['pairs'] == 7


def test_progress_counts_up_to_the_radar_frames(block_drive: Drive, tiny_model: Path) -> None:
    seen: list[tuple[int, int]] = []
    evaluate_bags(
        [block_drive(frames=8)], tiny_model, None, progress=lambda *step: seen.append(step)
    )
    assert seen == [(i, 8) for i in range(1, 9)]


def test_recordings_of_answers_are_not_overwritten(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip('rerun', reason='the Rerun SDK is not installed: requirements/rerun.txt')
    bag, file = block_drive(frames=3), tmp_path / 'answers' / 'a.rrd'
    evaluate_bags([bag], tiny_model, tmp_path / 'out', record=True, rerun=file)
    assert (tmp_path / 'out' / 'recorded' / 'drive' / 'metadata.yaml').exists()
    assert file.stat().st_size > 1000
    for options in ({'record': True}, {'rerun': file}):
        with pytest.raises(FileExistsError, match='exists already'):
            evaluate_bags([bag], tiny_model, tmp_path / 'out', **options)  # type: ignore[arg-type]


def test_each_of_several_drives_has_its_recordings(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    """One of them has no pair: its recordings are empty."""
    pytest.importorskip('rerun', reason='the Rerun SDK is not installed: requirements/rerun.txt')
    bags = [block_drive('a', frames=2), block_drive('b', frames=2, radar_delay_s=0.04)]
    evaluate_bags(bags, tiny_model, tmp_path / 'out', 0.02, record=True, rerun=tmp_path / 'x.rrd')
    assert sorted(path.name for path in tmp_path.glob('*.rrd')) == ['x_a.rrd', 'x_b.rrd']
    for name, count in (('a', 4 * 2 + 1), ('b', 0)):
        with Recording(tmp_path / 'out' / 'recorded' / name) as recording:
            assert sum(recording.message_counts.values()) == count


def test_a_bag_that_is_not_there_is_named(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match='nowhere'):
        evaluate_bags([tmp_path / 'nowhere'], tiny_model, None)
    with pytest.raises(ValueError, match='no recordings'):
        evaluate_bags([], tiny_model, None)


def test_undecodable_pairs_are_counted_and_the_rest_is_scored(
    block_drive: Drive, tmp_path: Path
) -> None:
    from model_factory import write_tiny_model

    failing = write_tiny_model(tmp_path / 'failing.onnx', throw_above=15.0)
    metrics = evaluate_bags([block_drive(frames=40)], failing, None)
    failed = metrics['dropped']['pairs']['inference_failed']
    assert 0 < failed < 40
    assert metrics['frames_with_truth'] == 40 - failed
