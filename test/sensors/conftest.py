# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

# So that `import sensor_messages` works under importmode=importlib.
sys.path.append(str(Path(__file__).parent))
