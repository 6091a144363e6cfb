"""What can go wrong with a backbone.

BackboneError
├── SourceError          no usable model under this name (missing files, no safetensors, …)
├── UnsupportedModel     the model was found, but cannot be given prefixes
├── ShapeMismatch        a prefix, bank or array does not fit; also a ValueError
├── InvalidInput         an input this modality cannot read; also a ValueError
└── RoutingUnavailable   a row of -1 - k asks for router k, and the bank has no such router
"""


class BackboneError(Exception):
    """Base of every error this room raises on purpose."""


class SourceError(BackboneError):
    """No usable model under this name."""


class UnsupportedModel(BackboneError):
    """The model exists, but its architecture cannot take a prefix."""


class ShapeMismatch(BackboneError, ValueError):
    """A prefix, a bank or an array does not have the shape the backbone needs."""


class InvalidInput(BackboneError, ValueError):
    """An input that this backbone's modality cannot read."""


class RoutingUnavailable(BackboneError):
    """A row of -1 - k asks for routing inside the pass, and the bank has no router k."""
