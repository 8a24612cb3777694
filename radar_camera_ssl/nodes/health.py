# SPDX-License-Identifier: Apache-2.0
"""What the node knows of itself at one moment: its diagnostics are made from it. No ROS."""

from __future__ import annotations

from dataclasses import dataclass, field

from .agreement_watch import AgreementFacts
from .error_memory import ErrorFacts
from .input_meter import InputFacts
from .intake import Account
from .monitor import Seen
from .parameters import Settings


@dataclass(frozen=True)
class InputStatus:
    """One input: its topic, what arrived of it, and who publishes it."""

    topic: str
    facts: InputFacts
    publishers: int
    other_types: str = ''
    """Publishers of another message type, which are never heard; asked for a silent input only."""


@dataclass(frozen=True)
class Mismatch:
    """A QoS `policy` (reliability, durability ...) of the nodes `peers` does not match ours."""

    topic: str
    policy: str
    peers: tuple[str, ...]
    is_input: bool


@dataclass(frozen=True)
class Configured:
    """What there is to know of a node that is inactive or active.

    active_s: since it was activated. silent_s: since the last published pair, or activation.
    recent: growth of the counters within `diagnostics_window`, as `radar.received`,
    `radar.dropped.too_old`, `image.lost`.
    """

    active_s: float
    silent_s: float
    worker_alive: bool
    clock_started: bool
    inputs: dict[str, InputStatus]
    account: Account
    recent: dict[str, int]
    seen: Seen
    agreement: AgreementFacts
    model: dict[str, str]
    camera_info_error: str = ''
    mismatches: tuple[Mismatch, ...] = ()
    providers_passed_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """Everything the diagnostics rest on.

    failure: why the node could not be configured, or went to ErrorProcessing. executor_age_s:
    since the executor last came round. transition: what is being done, and for how many seconds.
    """

    state: str
    settings: Settings
    failure: str = ''
    errors: ErrorFacts = field(default_factory=ErrorFacts)
    executor_age_s: float = 0.0
    transition: tuple[str, float] | None = None
    configured: Configured | None = None
