"""The commands and programs of README.md and SECURITY.md, run as they are written."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 200
PORT = re.compile(r"127\.0\.0\.1:(\d+)|--flight-port (\d+)")


def blocks(page, language):
    """What stands in the fences of a page."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def block_with(page, language, text):
    (found,) = [block for block in blocks(page, language) if text in block]
    return found


def on_free_ports(text):
    """The same with other ports of loopback, so that nothing else on this machine is met."""
    replaced = {}
    for match in PORT.finditer(text):
        port = match.group(1) or match.group(2)
        if port not in replaced:
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                replaced[port] = str(found.getsockname()[1])
    return re.sub(rf"\b({'|'.join(replaced)})\b", lambda match: replaced[match.group()], text)


def ready(agents):
    """A command that waits for the Flight doors of these agents."""
    ports = " ".join(re.findall(r"--flight-port (\d+)", agents))
    look = "(: </dev/tcp/127.0.0.1/$port) 2>/dev/null"
    return f"for port in {ports}; do for try in {{1..600}}; do {look} && break; sleep 0.1; done; done"


def run(folder, *commands):
    """The commands in one shell, as they would be pasted; what they leave in the background is ended."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CROSSMESH")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment["JAX_PLATFORMS"] = "cpu"
    # The file stands in for a pipe, whose end would come with the last agent only.
    with (folder / "output").open("w+") as output:
        shell = subprocess.Popen(
            ["bash", "-euc", "\n".join(commands)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = shell.wait(SECONDS_MAX)
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
        output.seek(0)
        said = output.read()
    assert status == 0, said
    return said


@pytest.fixture
def programs(tmp_path):
    """The programs of the README, as files under their names; all with the same free ports as the commands."""
    files = {}
    for block in blocks("README.md", "python"):
        name = re.match(r"# (\w+\.py)\b", block)
        if name:
            files[name.group(1)] = block
    agents = block_with("README.md", "sh", "crossmesh agent --name a")
    stages = block_with("README.md", "sh", "stage0.py")
    job = block_with("README.md", "sh", "job.py")
    mark = "\n# next\n"
    parts = on_free_ports(mark.join([*files.values(), agents, stages, job])).split(mark)
    for name, text in zip(files, parts, strict=False):
        (tmp_path / name).write_text(text)
    return tmp_path, parts[-3:]


@pytest.mark.timeout(SECONDS_MAX + 40)
def test_the_stages_of_the_readme_move_every_step(programs):
    folder, (agents, stages, _) = programs
    said = run(folder, agents, ready(agents), stages)
    assert "{0: ((64, 256), 7.0), 1: ((64, 256), 7.0), 2: ((64, 256), 7.0), 3: ((64, 256), 7.0)}" in said


@pytest.mark.timeout(SECONDS_MAX + 40)
def test_the_job_of_the_readme_hands_weights_over(programs):
    folder, (agents, _, job) = programs
    said = run(folder, agents, ready(agents), job)
    assert "1 P(None, 'model') [(1024, 128), (1024, 128), (1024, 128), (1024, 128)]" in said


@pytest.mark.timeout(SECONDS_MAX + 40)
def test_the_certificates_of_the_security_page_let_agents_and_clients_in(tmp_path):
    mark = "\n# next\n"
    certificates, agents, look = on_free_ports(mark.join(blocks("SECURITY.md", "sh"))).split(mark)
    said = run(tmp_path, certificates, agents, ready(agents), look)
    assert "moves bytes by flight" in " ".join(said.split())


def test_commands_that_need_no_agent_are_as_the_program_takes_them():
    command = block_with("README.md", "sh", "crossmesh schedule --compare")
    done = subprocess.run(
        [Path(sys.executable).with_name("crossmesh"), *command.split()[1:]],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "adaptive" in done.stdout


def test_without_jax_it_is_said_how_to_install_it():
    hidden = "import sys; sys.modules['jax'] = None; import crossmesh as cm; cm.Mesh((1,), hosts=['a']); cm.jax"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith('ImportError: cm.jax needs JAX. Install it with: pip install "crossmesh[jax]"\n')


@pytest.mark.parametrize("example", ["gpt3/train.py", "u_transformer/train.py", "weight_refit/refit.py"])
def test_an_example_says_what_it_misses(example):
    hidden = (
        "import importlib.util as u, runpy\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name in ('jax', 'flax') else found(name, *more)\n"
        f"runpy.run_path({str(ROOT / 'examples' / example)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert 'jax: pip install "crossmesh[jax]"' in done.stderr
