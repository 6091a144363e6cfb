"""The ONNX Runtime engine: one graph a backbone, into which prefixes, rows and routers are fed."""
