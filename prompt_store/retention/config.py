"""What retention can be told."""

from pydantic import BaseModel, ConfigDict, Field

from prompt_store.log import GRACE


class RetentionConfig(BaseModel):
    """How much of the past is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    versions: int = Field(
        100,
        ge=1,
        description="newest versions that were live and are kept, and the candidates between "
        "them; pinned ones besides",
    )
    grace_seconds: float = Field(
        24 * GRACE,
        ge=GRACE,
        description="nothing younger is deleted; no process may stand still for longer in the "
        "midst of its work",
    )
    every_seconds: float = Field(
        600.0, gt=0, description="how often the learner looks what can be deleted"
    )
