# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.progress import INFERENCES_A_STEP, DriveProgress, Progress


def progress_of_one() -> tuple[DriveProgress, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    together = Progress(1, lambda *told: seen.append(told))
    return DriveProgress(lambda word, steps: together.hear(0, word, steps), every_s=0.0), seen


def test_inferences_after_the_last_pair_are_expected_and_counted() -> None:
    progress, seen = progress_of_one()
    progress.expect(2, 3 * INFERENCES_A_STEP)
    progress.step()
    progress.step()
    for _ in range(2 * INFERENCES_A_STEP):
        progress.inferred()
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5)]
    progress.finish()
    assert seen[-1] == (5, 5)


def test_more_inferences_than_expected_do_no_harm() -> None:
    progress, seen = progress_of_one()
    progress.expect(1)
    for _ in range(2 * INFERENCES_A_STEP):
        progress.inferred()
    progress.finish()
    assert seen == [(1, 1), (2, 2)]


def test_the_bar_is_not_full_before_retrieval_and_the_search_of_the_rig(
    block_drive: Callable[..., Path], tiny_model: Path
) -> None:
    seen: list[tuple[int, int]] = []
    evaluate_bags(
        [block_drive(frames=60, period_s=0.3)],
        tiny_model,
        None,
        overlay=False,
        progress=lambda *told: seen.append(told),
    )
    total = seen[-1][1]
    assert seen[-1] == (total, total)
    assert seen[59] == (60, total)
    assert total > 100
    assert seen[-2][0] > 0.8 * total
