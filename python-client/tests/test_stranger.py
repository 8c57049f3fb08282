"""A client with the gateway's token and Py4J's own library reaches the entry point's methods and nothing else."""

import json

import pytest
from py4j.java_gateway import GatewayParameters, JavaGateway, java_import
from py4j.protocol import Py4JError, Py4JNetworkError

import crossmesh as cm

# Py4J's own client leaves sockets of refused connections to the collector.
pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def door():
    with cm.LocalCluster(["a"], arena="16MiB") as cluster:
        yield cluster._infos["a"]["gateway"]


def enter(door):
    return JavaGateway(
        gateway_parameters=GatewayParameters(port=door["port"], auth_token=door["token"], read_timeout=10)
    )


@pytest.fixture
def stranger(door):
    gateway = enter(door)
    yield gateway
    gateway.close()


def still_answers(door):
    """Whether the next one finds the door as it was; the connection of who was refused is closed."""
    gateway = enter(door)
    try:
        return json.loads(gateway.entry_point.hello())["ok"]["name"] == "a"
    finally:
        gateway.close()


def command(gateway, text):
    """What the door says to a command of Py4J's protocol; empty when it hangs up."""
    try:
        return gateway._gateway_client.send_command(text, retry=False)
    except Py4JNetworkError:
        return ""


ATTEMPTS = {
    "a static method": lambda g: g.jvm.java.lang.Runtime.getRuntime(),
    "a command to run": lambda g: g.jvm.java.lang.Runtime.getRuntime().exec("true"),
    "a system property": lambda g: g.jvm.java.lang.System.getProperty("user.home"),
    "a static field": lambda g: g.jvm.java.io.File.separator,
    "a file": lambda g: g.jvm.java.io.File("/etc/passwd").length(),
    "a reader": lambda g: g.jvm.java.io.FileReader("/etc/passwd").read(),
    "a class by name": lambda g: g.jvm.java.lang.Class.forName("java.lang.Runtime"),
    "an import": lambda g: java_import(g.jvm, "java.io.*"),
    "an array": lambda g: g.new_array(g.jvm.int, 3),
    "a list": lambda g: g.jvm.java.util.ArrayList(),
    "the entry point's class": lambda g: g.entry_point.getClass(),
    "its class's loader": lambda g: g.entry_point.getClass().getClassLoader(),
    "its hash": lambda g: g.entry_point.hashCode(),
    "its monitor": lambda g: g.entry_point.notifyAll(),
    "its end": lambda g: g.entry_point.close(),
    "help": lambda g: g.help(g.entry_point, display=False),
    "the agent's classes": lambda g: g.jvm.io.crossmesh.agent.Main.main(None),
    "a view": lambda g: g.new_jvm_view("mine").java.lang.Runtime.getRuntime(),
    "a cast to a static": lambda g: g.jvm.java.nio.file.Files.readString(None),
}

COMMANDS = [
    "c\nz:java.lang.Runtime\ngetRuntime\ne\n",
    "c\nz:java.lang.System\nexit\ni1\ne\n",
    "c\nj\ngetNewConnection\ne\n",
    "c\nGATEWAY_SERVER\nshutdown\ne\n",
    "c\nt\ngetClass\ne\n",
    "c\nt\nwait\ne\n",
    "c\no0\ntoString\ne\n",
    "i\njava.io.File\ns/etc/passwd\ne\n",
    "i\njava.lang.ProcessBuilder\nstrue\ne\n",
    "r\nu\njava.lang.Runtime\nrj\ne\n",
    "r\nm\njava.lang.Runtime\ngetRuntime\ne\n",
    "f\ng\nt\nsessions\ne\n",
    "f\ns\nt\nsessions\ns\ne\n",
    "d\nm\nt\ne\n",
    "d\ns\nt\ne\n",
    "h\no\nt\n\nse\ntrue\ne\n",
    "j\ni\nrj\nsjava.io.*\ne\n",
    "l\na\nt\ni1\ne\n",
    "a\nc\njava.lang.Object\ni3\ne\n",
    "a\ng\nt\ni0\ne\n",
    "S\nt\nhello\ne\n",
    "p\nt\ne\n",
    "m\nd\nt\ne\n",
    "A\nanother\n",
    "s\n",
]


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_by_the_library(door, stranger, attempt):
    with pytest.raises((Py4JError, TypeError)):
        attempt(stranger)
    assert still_answers(door)


@pytest.mark.parametrize("text", COMMANDS, ids=[text.split("\n", 1)[0] + str(i) for i, text in enumerate(COMMANDS)])
def test_by_commands_of_the_protocol(door, stranger, text):
    assert not command(stranger, text).startswith("y"), "the door said yes"
    assert still_answers(door)


def test_without_the_token_nothing_is_answered(door):
    for token in (None, "wrong", door["token"][:-1]):
        gateway = JavaGateway(
            gateway_parameters=GatewayParameters(port=door["port"], auth_token=token, read_timeout=10)
        )
        with pytest.raises(Exception, match=r"(?i)answer|authenticat|connect|network"):
            gateway.entry_point.hello()
        gateway.close()
