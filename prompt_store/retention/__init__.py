"""Retention: which versions are kept, and how what nothing needs any more is deleted."""

from prompt_store.retention.config import RetentionConfig
from prompt_store.retention.forgotten import Forgotten, forgotten_reports
from prompt_store.retention.retention import Retention, Round

__all__ = ["Forgotten", "Retention", "RetentionConfig", "Round", "forgotten_reports"]
