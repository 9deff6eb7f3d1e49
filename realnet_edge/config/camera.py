"""What the camera loop does unless told otherwise; here so that the command line can show it at once."""

from __future__ import annotations

# Seconds without a picture after which a camera counts as lost.
CAMERA_TIMEOUT_S = 5.0
# Milliseconds that a frame waits for others, where the engine takes several at a time.
BATCH_WAIT_MS = 5.0
