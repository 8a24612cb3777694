# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radar_camera_ssl.evaluation.comparison import (
    ComparisonError,
    Reference,
    Verdict,
    compare,
    read_reference,
)
from radar_camera_ssl.evaluation.summary import HEADLINES, goodness, resolution

SCHEMA = 7
MIRRORED = {
    Verdict.BETTER: Verdict.WORSE,
    Verdict.WORSE: Verdict.BETTER,
    Verdict.NEW: Verdict.LOST,
    Verdict.LOST: Verdict.NEW,
    Verdict.SAME: Verdict.SAME,
    Verdict.UNJUDGED: Verdict.UNJUDGED,
}


def an_evaluation(**figures: tuple[float, float, float] | float) -> dict[str, Any]:
    """What metrics.json would hold; a figure is (low, value, high), or a value alone."""
    metrics: dict[str, Any] = {
        'schema': SCHEMA,
        'model': {'sha256': 'a' * 64, 'radar': 'points', 'name': 'points'},
        'slop_s': 0.05,
        'pairs': 100,
        'bags': [a_bag('drive')],
        'confidence_95': dict.fromkeys(HEADLINES),
        **dict.fromkeys(HEADLINES),
    }
    for key, told in figures.items():
        if isinstance(told, tuple):
            metrics['confidence_95'][key] = [told[0], told[2]]
        metrics[key] = told[1] if isinstance(told, tuple) else told
    return metrics


def a_bag(name: str, digest: str | None = 'd') -> dict[str, Any]:
    return {'bag': name, 'fingerprint': None if digest is None else {'sha256': digest}}


shares = st.floats(0, 1)
figure = st.one_of(st.none(), shares, st.tuples(shares, shares, shares).map(sorted).map(tuple))
evaluations = st.fixed_dictionaries(dict.fromkeys(HEADLINES, figure)).map(
    lambda drawn: an_evaluation(**{k: v for k, v in drawn.items() if v is not None})
)


def verdict(key: str, now: dict[str, Any], then: dict[str, Any]) -> Verdict:
    return compare(now, Reference('then', then)).changes[key].verdict


@settings(deadline=None)
@given(evaluations, evaluations)
def test_the_other_way_round_says_the_opposite(a: dict[str, Any], b: dict[str, Any]) -> None:
    forth, back = compare(a, Reference('b', b)).changes, compare(b, Reference('a', a)).changes
    assert forth.keys() == back.keys()
    for key, change in forth.items():
        assert MIRRORED[change.verdict] is back[key].verdict


@settings(deadline=None)
@given(evaluations)
def test_nothing_has_changed_against_itself(metrics: dict[str, Any]) -> None:
    comparison = compare(metrics, Reference('itself', copy.deepcopy(metrics)))
    assert {c.verdict for c in comparison.changes.values()} <= {Verdict.SAME, Verdict.UNJUDGED}
    assert comparison.unlike == ()
    assert comparison.likeness.startswith('Like with like')
    assert comparison.models.startswith('The same model')


@settings(deadline=None)
@given(evaluations, evaluations, st.sampled_from(list(HEADLINES)), shares, shares)
def test_a_wider_interval_never_makes_a_change(
    a: dict[str, Any], b: dict[str, Any], key: str, below: float, above: float
) -> None:
    before = compare(a, Reference('b', b)).changes
    if key not in before or a['confidence_95'][key] is None:
        return
    low, high = a['confidence_95'][key]
    a['confidence_95'][key] = [low - below, high + above]
    after = verdict(key, a, b)
    assert after in (before[key].verdict, Verdict.SAME)


@settings(deadline=None)
@given(evaluations, evaluations)
def test_a_change_is_a_visible_difference_to_the_better_or_the_worse_side(
    a: dict[str, Any], b: dict[str, Any]
) -> None:
    for key, change in compare(a, Reference('b', b)).changes.items():
        if change.verdict in (Verdict.BETTER, Verdict.WORSE):
            assert change.difference is not None
            assert abs(change.difference) >= resolution(key) / 2
            mine, theirs = (
                goodness(key, [value, value])[0] for value in (change.value, change.reference)
            )
            assert (mine > theirs) == (change.verdict is Verdict.BETTER)


@settings(deadline=None)
@given(evaluations, evaluations)
def test_a_pass_means_judged_and_nothing_worse_or_lost(
    a: dict[str, Any], b: dict[str, Any]
) -> None:
    comparison = compare(a, Reference('b', b))
    said = {change.verdict for change in comparison.changes.values()}
    passed = not said & {Verdict.WORSE, Verdict.LOST} and said & {Verdict.SAME, Verdict.BETTER}
    assert (not comparison.failures()) == bool(passed)


def test_larger_or_smaller_is_better_by_the_figure() -> None:
    high, low = (0.8, 0.85, 0.9), (0.1, 0.15, 0.2)
    for key in ('pointing_accuracy', 'heatmap_ap'):
        assert verdict(key, an_evaluation(**{key: high}), an_evaluation(**{key: low})) is (
            Verdict.BETTER
        )
    for key in ('ece', 'column_error_deg', 'projection_distance_px'):
        assert verdict(key, an_evaluation(**{key: high}), an_evaluation(**{key: low})) is (
            Verdict.WORSE
        )


def test_narrow_intervals_do_not_make_a_change_out_of_rounding() -> None:
    now = an_evaluation(lit_area_empty_radar=(0.0001, 0.0001, 0.0001))
    then = an_evaluation(lit_area_empty_radar=(0.0, 0.0, 0.0))
    assert verdict('lit_area_empty_radar', now, then) is Verdict.SAME


def test_what_differs_between_the_two_is_said() -> None:
    now, then = an_evaluation(), an_evaluation()
    now['bags'] = [a_bag('renamed', 'd'), a_bag('new', 'n')]
    then['slop_s'] = 0.02
    then['model'] = {'sha256': 'b' * 64, 'radar': 'cube'}
    comparison = compare(now, Reference('then', then))
    assert comparison.models == 'Another model: points (aaaaaaaaaaaa) here, bbbbbbbbbbbb there.'
    assert comparison.unlike == (
        'Other recordings. Only here: new. Only there: none.',
        'Pairs may lie 50 ms apart here, 20 ms there.',
        'The model reads the radar as points here, as cube there.',
    )
    now = an_evaluation()
    now['pairs'] = 40
    assert compare(now, Reference('then', an_evaluation())).unlike == (
        '40 pairs here, 100 there, of as many drives.',
    )


def test_recordings_without_a_fingerprint_are_known_by_name_only() -> None:
    now, then = an_evaluation(), an_evaluation()
    now['bags'] = [a_bag('drive', None)]
    comparison = compare(now, Reference('then', then))
    assert comparison.unlike == ()
    assert 'without fingerprints nobody knows' in comparison.likeness
    now['bags'] = [a_bag(f'drive {i}', None) for i in range(5)]
    comparison = compare(now, Reference('then', then))
    assert comparison.likeness == 'Not like with like.'
    (doubt,) = comparison.unlike
    assert 'Only here: drive 0, drive 1, drive 2 and 2 more. Only there: drive.' in doubt


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = an_evaluation(ece=(0.1, 0.2, 0.3))
    path = tmp_path / 'metrics.json'
    path.write_text(json.dumps(written))
    assert read_reference(path, SCHEMA) == Reference(str(path), written)


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'schema': SCHEMA + 1}, 'has schema 8, this version writes 7'),
        ({'model': 'points'}, 'damaged: model'),
        ({'slop_s': '0.05'}, 'damaged: slop_s'),
        ({'pairs': None}, 'damaged: pairs'),
        ({'bags': [{'name': 'drive'}]}, 'damaged: bags'),
        ({'bags': [{'bag': 'drive', 'fingerprint': 'd'}]}, 'damaged: bags'),
        ({'confidence_95': None}, 'damaged: confidence_95'),
        ({'confidence_95': {'ece': [0.3, 0.1]}}, r'damaged: confidence_95\.ece'),
        ({'ece': float('nan')}, 'damaged: ece'),
        ({'ece': True}, 'damaged: ece'),
        ({'by_range': [{'from': 0}]}, 'damaged: by_range'),
    ],
)
def test_a_damaged_reference_is_refused_by_its_part(
    change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    path = tmp_path / 'metrics.json'
    path.write_text(json.dumps({**an_evaluation(), **change}))
    with pytest.raises(ComparisonError, match=says):
        read_reference(path, SCHEMA)


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match=r'cannot read .*: No such file'):
        read_reference(tmp_path / 'metrics.json', SCHEMA)
    (tmp_path / 'metrics.json').write_bytes(b'\xff\xfe broken')
    with pytest.raises(ComparisonError, match='no JSON'):
        read_reference(tmp_path / 'metrics.json', SCHEMA)
    (tmp_path / 'metrics.json').write_text('[' * 100_000)
    with pytest.raises(ComparisonError, match='no JSON'):
        read_reference(tmp_path / 'metrics.json', SCHEMA)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(st.sampled_from([*an_evaluation(), 'by_range', 'by_azimuth']), anything))
def test_whatever_is_in_the_file_it_is_compared_or_refused(
    tmp_path: Path, replaced: dict[str, Any]
) -> None:
    path = tmp_path / 'metrics.json'
    path.write_text(json.dumps({**an_evaluation(ece=0.1), **replaced, 'schema': SCHEMA}))
    try:
        reference = read_reference(path, SCHEMA)
    except ComparisonError as error:
        said = str(error)
    else:
        compare(an_evaluation(ece=(0.1, 0.2, 0.3)), reference)
        said = 'compared'
    assert len(said.splitlines()) == 1
