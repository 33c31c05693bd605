"""How far two runs of the same network may be apart, and why.

Differences are relative: the largest absolute difference over the largest absolute
value of the reference tensor.
"""

from __future__ import annotations

# float32 on a CPU, both sides in one process. Sums run in another order where the graph
# optimizer fuses convolution, batch norm and activation on one side and not on the other.
# TensorFlow 1.15.5 and 2.21 themselves agree to 2e-7 .. 4e-6 on the logits of the networks
# here, and to 5e-5 at the worst end point.
LOGITS = 1e-5
END_POINTS = 1e-4
