"""Real processes that race and die."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

DIED = 9


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a forked process, which ends without any cleaning up; return its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns beside threads
        child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001  (a fork must never return into the test session)
        traceback.print_exc()
    finally:
        os._exit(status)


def wait(child: int) -> int:
    """Return a child's exit status; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    assert wait(child) == -signal.SIGKILL


def die_at_line(number: int, file: str, work: Callable[[], None]) -> Callable[[], None]:
    """Wrap `work` to exit at once before the `number`-th line it runs in `file`."""
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != file:
            return None
        if event == "line":
            if lines == number:
                os._exit(DIED)
            lines += 1
        return trace

    def doomed() -> None:
        sys.settrace(trace)
        work()

    return doomed
