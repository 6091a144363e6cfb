"""adaptive-classifier's own server, of what it has learnt: `serve.py CONTENT.json PORT`.

ONNX Runtime in fp32 encodes, its default on a CPU; a lock lets one prediction in at a time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import uvicorn
from adaptive_classifier import AdaptiveClassifier  # type: ignore[import-not-found]
from adaptive_classifier.serving import create_app  # type: ignore[import-not-found]

if __name__ == "__main__":
    content = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(content["threads"])
    np.random.seed(0)  # what the library draws its rehearsal rows from
    classifier = AdaptiveClassifier(content["model"], seed=0)
    classifier.add_examples(content["texts"], content["labels"])
    app = create_app(classifier)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
