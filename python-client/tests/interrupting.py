"""Raising an exception at one line of crossmesh after another while the main thread is in a call.

A tracer raises before a line runs. That is harsher than a signal, whose handler runs between some byte codes only.
"""

import sys
from contextlib import contextmanager
from pathlib import Path

import crossmesh as cm

HERE = str(Path(cm.__file__).parent)


class Interrupt(BaseException):
    """What is raised, by nobody else."""


@contextmanager
def interrupting(at):
    """Raise before the line of crossmesh that is run as number `at`, on this thread; yields what was hit, if it was."""
    hit = []
    count = 0

    def trace(frame, what, _):
        nonlocal count
        if not frame.f_code.co_filename.startswith(HERE):
            return None
        if what == "line":
            count += 1
            if count == at:
                sys.settrace(None)
                hit.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} ({frame.f_code.co_name})")
                raise Interrupt(hit[0])
        return trace

    sys.settrace(trace)
    try:
        yield hit
    except Interrupt:
        pass
    finally:
        sys.settrace(None)
