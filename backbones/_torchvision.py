"""Keep a mismatched torchvision from breaking torch users that need none of its operators.

A CUDA build of torchvision beside a CPU build of torch (or the other way round) cannot load its
compiled operators, and `import torchvision` fails with "operator torchvision::nms does not exist".
timm and some transformers modules import it all the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from typing import Any, Final

_log = logging.getLogger(__name__)
_SIGNATURE: Final = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: Final[list[Any]] = []  # a torch Library undoes its definitions when it is collected


def define_missing_operators() -> bool:
    """Make `import torchvision` work by declaring its operators where they cannot be loaded.

    Does nothing where torchvision is absent or healthy. Call it before timm or transformers models
    are imported. True if operators had to be declared; calling one of them fails, as it would have.
    """
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _log.info("torchvision does not match this torch (%s); its operators are off", error)
    else:
        return False
    _forget_torchvision()
    _declare("nms", "qnms")
    importlib.import_module("torchvision")
    return True


def _forget_torchvision() -> None:
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]


def _declare(*operators: str) -> None:
    import torch

    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in operators:
        if not hasattr(torch.ops.torchvision, operator):
            library.define(operator + _SIGNATURE)
    _libraries.append(library)
