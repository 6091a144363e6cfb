"""Who caused a record."""

from prompt_store.fields import Name
from prompt_store.records import Record


class Actor(Record):
    """name: of the key, or what stands for one; request: the id that the answer carried."""

    name: Name
    request: Name | None = None
