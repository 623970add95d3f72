# SPDX-License-Identifier: Apache-2.0
"""The hls4ml backend ``Hwflow``.

hls4ml loads it as a plugin while it is itself being imported. Importing hls4ml first makes that so whichever
of the two a program names first; otherwise the plugin would find these modules half imported.
"""

import hls4ml  # noqa: F401
