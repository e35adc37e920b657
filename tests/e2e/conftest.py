# SPDX-License-Identifier: Apache-2.0
import fcntl
import inspect
import os

import pytest

import frameworks
from certificate import Certificate
from harness import SERVICES, Agent, Service
from pace import Late, Pulse

TRIES = 5  # of a test that was too late


def pytest_configure(config):
    config.addinivalue_line("markers", "agent: needs the agent, and so root")


def pytest_collection_modifyitems(items):
    for item in items:
        if "agent" in getattr(item, "fixturenames", ()) and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="the agent needs root"))


@pytest.fixture
def host_to_ourselves():
    """One test at a time, also of several runs: an agent sees the services of the whole host."""
    with open("/tmp/bittern-e2e.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def programs(request, host_to_ourselves):
    """Started programs: all are gone when the test ends; if it failed, the end of their output is
    shown."""
    started = request.node.programs = []
    yield started
    for program in started:
        program.kill()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Calls a test again that was too late to judge anything, when what it started is gone. Pytest
    itself calls it the last time, and takes it for a failure if it is late even then."""
    test, arguments = pyfuncitem.obj, pyfuncitem.funcargs
    names = inspect.signature(test).parameters
    for _ in range(TRIES - 1):
        try:
            test(**{name: arguments[name] for name in names})
            return True
        except Late as late:
            print(f"again: {late}")
            for program in pyfuncitem.programs:
                program.kill()
            pyfuncitem.programs.clear()
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for program in getattr(item, "programs", []):
            report.sections.append(
                (f"output of {program.process.args[0]}", program.output()[-3000:]))
    return report


@pytest.fixture
def pulse():
    with Pulse() as beating:
        yield beating


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def service(programs, tmp_path):
    """Starts a framework of frameworks.py, by id, or any command with a folder below services/."""
    def start(what, folder=None, **options):
        if isinstance(what, str):
            what = frameworks.BY_ID[what]
        if isinstance(what, frameworks.Framework):
            what, folder = what.command, what.folder
        started = Service(what, SERVICES / (folder or ""), tmp_path, **options)
        programs.append(started)
        return started
    return start


@pytest.fixture
def agent(programs, tmp_path):
    """Starts the agent; it must end clean."""
    agents = []

    def start(*options, env=None):
        agents.append(Agent(tmp_path, *options, env=env))
        programs.append(agents[-1])
        return agents[-1]
    yield start
    for started in agents:
        if started.process.returncode is None:
            started.stop_clean()
