"""Everything that can be set, with its default and its meaning.

Sources, the first that names a value wins: arguments (the CLI's flags), environment variables
(`PERENNIAL_PORT=9000`, nested `PERENNIAL_LIMITS__TEXT_CHARACTERS=5000`), the TOML file, defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypedDict

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from backbones.engines import Precision, Runtime
from backbones.images import MAX_PIXELS
from learner.config import LearnerConfig
from prompt_store import RetentionConfig
from serving.logs import Form, Level, Logging
from serving.names import LONGEST_NAME

Scope = Literal["predict", "learn", "admin"]

ANYBODY = "anybody"
THIS_MACHINE = "this-machine"
"""Who calls where there are no keys."""

RUNTIME_OF: Final[Mapping[Precision, Runtime]] = {"int8": "onnx", "bf16": "torch"}
"""The one that computes in this precision."""

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class ImageOptions(TypedDict, total=False):
    """Of `backbones.load`: the side an image is seen as, and the pixels it may have."""

    image_size: int | None
    max_pixels: int


class Key(BaseModel):
    """One bearer key. Only its digest is kept: `printf %s "$KEY" | sha256sum`.

    It is better made by `perennial keys create`, which keeps it in the store.
    """

    model_config = _FROZEN

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = Field(
        description="who holds it; appears in logs"
    )
    sha256: Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")] = Field(
        description="SHA-256 of the key, hex"
    )
    scopes: frozenset[Scope] = Field(
        min_length=1, description="what it allows: admin includes learn, learn includes predict"
    )
    inputs_per_second: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="as in limits, for this key"
    )
    burst: int | None = Field(None, ge=1, description="as in limits, for this key")
    expires_at: AwareDatetime | None = Field(None, description="when it ends; none: never")

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name in (ANYBODY, THIS_MACHINE):
            raise ValueError(f"{name!r} is what callers without keys are called; take another name")
        return name

    @property
    def has_ended(self) -> bool:
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


class Limits(BaseModel):
    """What one caller may ask for at once."""

    model_config = _FROZEN

    body_bytes: int = Field(10 * 2**20, ge=1024, description="bytes of one request body")
    inputs: int = Field(256, ge=1, description="inputs of one classify request")
    stream_bytes: int = Field(
        2**30,
        ge=1024,
        description="bytes of one stream of lines, and of answers its client has yet to read; one "
        "line may have body_bytes",
    )
    stream_idle_seconds: float = Field(
        60.0, gt=0, description="longest time a stream's client may send, or then read, nothing"
    )
    text_characters: int = Field(20_000, ge=1, description="characters of one text")
    image_bytes: int = Field(8 * 2**20, ge=1, description="bytes of one image file")
    image_pixels: int = Field(
        MAX_PIXELS,
        ge=1,
        le=10 * MAX_PIXELS,
        description="width × height of one image; checked before it is decoded",
    )
    examples: int = Field(1_000, ge=1, description="examples of one batch")
    labels_per_task: int = Field(1_000, ge=1, description="labels of one task")
    name_characters: int = Field(
        LONGEST_NAME, ge=1, le=LONGEST_NAME, description="characters of a task's name or a label"
    )
    queue_depth: int = Field(
        1_024,
        ge=1,
        description="inputs that may wait for a forward pass; beyond it, 429",
    )
    inputs_per_second: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="inputs that one key may send to one replica, on the average; beyond it, 429; "
        "none: as many as it likes",
    )
    burst: int | None = Field(
        None,
        ge=1,
        description="inputs that one key may send at once after a quiet time; none: those of ten "
        "seconds",
    )
    queue_seconds: float = Field(
        0.5,
        gt=0,
        description="longest time a request may be expected to wait for the forward passes before "
        "its own, or 8 times what it takes itself; beyond it, 429",
    )
    deadline_seconds: float = Field(
        30.0, gt=0, description="longest time from a request's start to the start of its answer"
    )


class Batching(BaseModel):
    """How waiting inputs are put together into forward passes."""

    model_config = _FROZEN

    inputs: int = Field(128, ge=1, description="inputs of one forward pass")
    tokens: int | None = Field(
        None,
        ge=1,
        description="tokens of one forward pass, padding included; none: what the engine does best",
    )


class Polling(BaseModel):
    """How often the store is looked at. Nudges make it faster; these are the upper bounds."""

    model_config = _FROZEN

    versions_seconds: float = Field(0.5, gt=0, description="between looks at the log and the keys")
    heartbeat_seconds: float = Field(15.0, gt=0, description="event stream: between heartbeats")


class Stopping(BaseModel):
    """How the local engine ends when it is told to."""

    model_config = _FROZEN

    drain_seconds: float = Field(
        1.0,
        ge=0,
        description="how long everything is still answered after /health/ready says no; over as "
        "soon as no connection is open",
    )
    grace_seconds: float = Field(
        15.0, ge=1, description="how long requests under way may then take to finish"
    )


class Settings(BaseSettings):
    """The settings of one server."""

    model_config = SettingsConfigDict(
        env_prefix="PERENNIAL_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
        frozen=True,
        extra="forbid",
        validate_default=True,
    )

    config: Path | None = Field(None, description="TOML file with any of these settings")
    store: str = Field(
        "perennial-data",
        min_length=1,
        description="where all state lies: a folder, or a bucket as s3://, gs:// or az://name/prefix",
    )
    backbone: str = Field(
        "minilm",
        min_length=1,
        description="the encoder: minilm, a Hugging Face id, a timm name, or a folder",
    )
    image_size: int | None = Field(
        None,
        ge=16,
        le=2048,
        description="side of the square an image is seen as, pixels; none: the backbone's own",
    )
    runtime: Runtime = Field(
        "auto",
        description="what computes a replica's passes: onnx (ONNX Runtime), torch, fastest (both "
        "are timed at start), or auto: onnx on a CPU where it is installed, fastest on a GPU",
    )
    precision: Precision = Field(
        "fp32",
        description="what replicas compute in; bf16 (torch): everything, features differ by about "
        "1e-2; int8 (ONNX Runtime on a CPU): versions that the learner found as good in it (by "
        "200 kept examples at least), and all others in fp32",
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="local: one process and a learner beside it; ray: Ray Serve"
    )
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on, 0 for any free one")
    tls_certificate: Path | None = Field(
        None, description="PEM file of a certificate and its chain: answers by HTTPS (engine local)"
    )
    tls_key: Path | None = Field(
        None, description="PEM file of its private key, where the certificate's file has none"
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description="addresses or networks of proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed (engine local)",
    )
    replicas: int = Field(1, ge=1, description="classifier replicas (engine ray)")
    threads: int | None = Field(
        None, ge=1, description="CPU threads of one replica's encoder; none: all but one core"
    )
    pinned_versions: int = Field(
        4, ge=1, description="versions besides the live one that a replica keeps loaded"
    )
    limits: Limits = Field(Limits(), description="bounds on requests")
    batching: Batching = Field(Batching(), description="size of forward passes")
    polling: Polling = Field(Polling(), description="how often the store is looked at")
    stopping: Stopping = Field(Stopping(), description="how the server ends (engine local)")
    learner: LearnerConfig = Field(LearnerConfig(), description="how the learner learns")
    log_format: Form = Field(
        "auto", description="of log lines: json, text, or auto: text where a terminal shows them"
    )
    log_level: Level = Field("info", description="the least that is logged")
    retention: RetentionConfig = Field(
        RetentionConfig(), description="how much of the past is kept"
    )
    keys: tuple[Key, ...] = Field(
        (),
        description="bearer keys beside those in the store; none in both: anybody may predict, and "
        "only this machine may learn",
    )

    @field_validator("config")
    @classmethod
    def _config_exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"there is no file {path}; name a TOML file, or leave config out")
        return path

    def image_options(self) -> ImageOptions:
        """What `backbones.load` is told of images."""
        return {"image_size": self.image_size, "max_pixels": self.limits.image_pixels}

    def logging(self) -> Logging:
        """How every process of the server writes its log."""
        return Logging(self.log_format, self.log_level)

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        for member in ("name", "sha256"):
            values = [getattr(key, member) for key in self.keys]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"keys must differ in {member}; given twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _replicas_need_ray(self) -> Self:
        if self.engine == "local" and self.replicas > 1:
            raise ValueError(
                f"engine local runs one replica, not {self.replicas}; use engine ray for more"
            )
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if self.tls_key is not None and self.tls_certificate is None:
            raise ValueError("tls_key is nothing without tls_certificate; set both")
        if self.engine == "ray" and self.tls_certificate is not None:
            raise ValueError(
                "engine ray speaks no TLS; put a proxy that does in front, or use engine local"
            )
        return self

    @model_validator(mode="after")
    def _precision_fits_runtime(self) -> Self:
        needed = RUNTIME_OF.get(self.precision, self.runtime)
        if self.runtime not in ("auto", needed):
            raise ValueError(
                f"precision {self.precision} needs runtime {needed}, and runtime is "
                f"{self.runtime}; use runtime {needed}, or precision fp32"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, then the TOML file that either of them names."""
        path = _config_path(init_settings) or _config_path(env_settings)
        file = TomlConfigSettingsSource(settings_cls, toml_file=path)
        return init_settings, env_settings, file


def _config_path(source: PydanticBaseSettingsSource) -> Path | None:
    given: dict[str, Any] = source()
    path = given.get("config")
    return Path(path) if path else None
