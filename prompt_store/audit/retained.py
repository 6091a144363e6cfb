"""Whether the records of retention are readable: pins, condemned blobs, reports."""

from prompt_store.audit.faults import RESTORE, UNREADABLE, Faults
from prompt_store.condemned import CONDEMNED, Condemned, condemned_key
from prompt_store.errors import NotFound
from prompt_store.pins import PINS, Pin, pin_key
from prompt_store.records import RecordType, decode
from prompt_store.retention.forgotten import Forgotten
from prompt_store.store import FORGOTTEN

DERIVED = "delete it, and its blob is condemned anew if nothing names it"


def audit_retained(faults: Faults) -> None:
    """Read each."""
    for key in faults.backend.list_after(PINS):
        pin = _read(faults, Pin, key)
        if pin is not None and key != pin_key(pin.version):
            faults.add(key, f"holds what belongs at {pin_key(pin.version)}", "rename it")
    for key in faults.backend.list_after(FORGOTTEN):
        _read(faults, Forgotten, key)
    for key in faults.backend.list_after(CONDEMNED):
        condemned = _read(faults, Condemned, key, DERIVED)
        if condemned is not None and key != condemned_key(condemned.digest):
            faults.add(key, f"speaks of {condemned.digest}", DERIVED)


def _read(
    faults: Faults, record_type: type[RecordType], key: str, remedy: str = RESTORE
) -> RecordType | None:
    try:
        return decode(record_type, faults.backend.read(key), key)
    except NotFound:
        return None
    except UNREADABLE as error:
        faults.unreadable(key, error, remedy)
        return None
