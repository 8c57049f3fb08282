"""Options for JVMs that the environment states, beside ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

OPTIONS = ("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS")


def chosen_collector(environ: Mapping[str, str]) -> str | None:
    """The garbage collector that the environment states, as in `G1`. A JVM with two of them does not start."""
    for name in OPTIONS:
        found = re.search(r"-XX:\+Use(\w+GC)\b", environ.get(name, ""))
        if found is not None:
            return found.group(1)
    return None


def mention(environ: Mapping[str, str]) -> str:
    """The options of the environment, for the message about a JVM that did not start; empty if there are none."""
    stated = [f"{name}={environ[name]!r}" for name in OPTIONS if environ.get(name)]
    return f"\n  The environment gives every JVM further options: {', '.join(stated)}." if stated else ""
