"""The ONNX Runtime engine: one graph a backbone, into which prefixes, rows and routers are fed.

ONNX Runtime tells its maker about machine and models unless this variable is set before it is first
imported; a server of ours talks to nobody. Who wants it otherwise sets the variable to 0.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
