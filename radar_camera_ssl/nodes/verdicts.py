# SPDX-License-Identifier: Apache-2.0
"""From what the node knows of itself to one verdict a part: level, message, values. No ROS."""

from __future__ import annotations

from dataclasses import dataclass

from .findings import (
    AGREEMENT,
    INFERENCE,
    INPUTS,
    OK,
    PAIRING,
    PARTS,
    PERCEPTION,
    Finding,
    findings,
)
from .health import Configured, Snapshot
from .health_values import key_values


@dataclass(frozen=True)
class Verdict:
    """One diagnostic status: of a part of the node, or of the whole (`perception`)."""

    part: str
    level: int
    message: str
    values: dict[str, str]


class Judge:
    """Turns snapshots into verdicts, and remembers since when each finding stands."""

    def __init__(self) -> None:
        """Start without findings."""
        self._since_s: dict[str, float] = {}

    def verdicts(self, snapshot: Snapshot, now_s: float) -> list[Verdict]:
        """Return the verdict of the whole, then that of each part."""
        found = findings(snapshot)
        self._since_s = {finding.code: self._since_s.get(finding.code, now_s) for finding in found}
        values = key_values(snapshot)
        values[PERCEPTION]['findings'] = ', '.join(self._since_s)
        for code, since_s in self._since_s.items():
            values[PERCEPTION][f'finding.{code}.for_s'] = f'{now_s - since_s:.1f}'
        return [self._verdict(part, snapshot, found, values[part], now_s) for part in PARTS]

    def _verdict(
        self,
        part: str,
        snapshot: Snapshot,
        found: list[Finding],
        values: dict[str, str],
        now_s: float,
    ) -> Verdict:
        worst = max((finding.level for finding in found), default=OK)
        if part == PERCEPTION:
            told = [finding for finding in found if finding.level == worst]
        else:
            told = [finding for finding in found if finding.part == part]
        level = max((finding.level for finding in told), default=OK)
        message = '; '.join(self._told(finding, now_s) for finding in told)
        return Verdict(part, level, message or _when_well(part, snapshot), values)

    def _told(self, finding: Finding, now_s: float) -> str:
        for_s = now_s - self._since_s[finding.code]
        return f'{finding.text}: {finding.remedy} [{finding.code} for {for_s:.0f} s]'


def _when_well(part: str, snapshot: Snapshot) -> str:
    """The message of a part without findings: its figure of merit, or the state."""
    configured = snapshot.configured
    if part == PERCEPTION or snapshot.state != 'active' or configured is None:
        return snapshot.state
    return {INPUTS: _inputs, PAIRING: _pairing, INFERENCE: _inference, AGREEMENT: _agreement}[
        part
    ](configured)


def _inputs(configured: Configured) -> str:
    rates = (f'{name} {status.facts.rate_hz:.1f} Hz' for name, status in configured.inputs.items())
    return ', '.join(rates)


def _pairing(configured: Configured) -> str:
    gap = configured.seen.gap_ms
    return f'median gap {gap.median:.1f} ms' if gap else 'no pair yet'


def _inference(configured: Configured) -> str:
    took = configured.seen.latency_ms.get('infer')
    provider = configured.model['provider']
    return f'{took.median:.1f} ms on {provider}' if took else f'waits for a pair, on {provider}'


def _agreement(configured: Configured) -> str:
    window = configured.agreement.window
    return 'window not filled' if window is None else f'agreement {window:.2f}'
