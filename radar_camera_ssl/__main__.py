# SPDX-License-Identifier: Apache-2.0
"""`python -m radar_camera_ssl`, the same as the command `radar_camera_ssl`."""

import sys

from radar_camera_ssl.cli import main

if __name__ == '__main__':
    sys.exit(main())
