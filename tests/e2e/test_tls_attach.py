# SPDX-License-Identifier: Apache-2.0
"""When TLS is seen: sessions older than the agent, libraries that are loaded late, files that were
replaced, processes that end while they are looked at."""

import asyncio
import collections
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest

import frameworks
import load
from expect import assert_same, truth_counts
from frameworks import BIN, NODE
from harness import free_port, wait_for
from test_tls import PYTHON, tls_service  # noqa: F401 (a fixture)

DURATION = "http_server_request_duration_seconds_count"
USER = ("GET", "/users/{id}", "200")


def users(count):
    return [load.Request("GET", f"/users/{n}") for n in range(1, count + 1)]


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
        return response.read().decode()


def https_counts(page, service):
    counts = collections.Counter()
    for s in page.values(DURATION, service_name=service, url_scheme="https"):
        counts[s.labels["http_request_method"], s.labels["http_route"],
               s.labels["http_response_status_code"]] += int(s.value)
    return counts


@pytest.mark.parametrize("framework", [f for f in PYTHON if f != "flask-sync"] + ["node"])
def test_a_session_older_than_the_agent_is_seen_at_its_next_request(agent, tls_service,
                                                                    certificate, framework):
    shop = tls_service(framework)
    loop = asyncio.new_event_loop()
    tls = certificate.client()

    async def ask(connections, count):
        for request in users(count):
            for connection in connections:
                await connection.send(request.encode())
                response = await connection.response(request.method)
                assert response.status == 200

    async def connect():
        return [await load.Connection.open(shop.address, tls) for _ in range(4)]

    connections = loop.run_until_complete(connect())
    loop.run_until_complete(ask(connections, 3))
    bittern = agent()
    loop.run_until_complete(ask(connections, 10))
    lines = shop.truth(4 * 13)
    since_ns = bittern.ready_ns
    page = bittern.scrape()
    name = frameworks.BY_ID[framework].name
    assert sum(truth_counts(lines, since_ns).values()) == 40
    assert_same(page.counts(name), collections.Counter({USER: 40}), "bittern")
    assert {(s.labels["url_scheme"], s.labels["server_port"])
            for s in page.values(DURATION, service_name=name)} == {("https", str(shop.port))}
    loop.close()


def test_a_library_that_is_loaded_to_ask_others_is_seen_from_the_first_request(
        agent, service, tls_service, certificate):
    bittern = agent()
    backend = tls_service("aiohttp")
    caller = service([BIN / "python", "server.py"], "late_tls", env=certificate.environment)
    answers = [get(caller.port, f"/call?port={backend.port}") for _ in range(5)]
    assert answers == ["200 first"] + 4 * ["200 again"]
    page = bittern.scrape()
    asked = page.values("http_client_request_duration_seconds_count", service_name="late_tls")
    assert [(s.labels["url_scheme"], s.labels["server_port"], s.value) for s in asked] == [
        ("https", str(backend.port), 5)]


def test_a_library_that_is_loaded_to_serve_is_seen_from_the_first_request(agent, service,
                                                                          certificate):
    bittern = agent()
    shop = service([BIN / "python", "server.py"], "late_tls", env=certificate.environment)
    assert get(shop.port, "/") == "plain first"
    port = free_port()
    assert get(shop.port, f"/serve?port={port}") == "serving first"
    result = load.run(("127.0.0.1", port), users(50), connections=5, tls=certificate.client())
    assert not result.errors
    shop.settle()
    assert https_counts(bittern.scrape(), "late_tls") == {USER: 50}


# --- node: probes that are on the way of plain HTTP, or of TLS servers, are not there for good ---

LONG = 150  # requests after which a process is taken for what it has done so far


@pytest.fixture
def node(service, certificate):
    def start(**env):
        return service([NODE, "server.js"], "late-tls", env={**certificate.environment, **env})
    return start


def lost(page):
    assert set(page.losses()) <= {"tls_probe_late"}, page.losses()
    return page.losses().get("tls_probe_late", 0)


def wait_taken_off(bittern):
    """Until the probes are gone of which the agent knows by now that nobody needs them: threads of
    its own take them off. What stays are its loop and who stands in for that."""
    bittern.scrape()
    wait_for(lambda: len(os.listdir(f"/proc/{bittern.pid}/task")) == 2, "end of its threads")


def test_a_node_that_serves_tls_late_is_seen_from_the_first_request(agent, node, certificate):
    bittern = agent()
    shop = node()
    assert not load.run(shop.address, users(LONG)).errors
    wait_taken_off(bittern)
    port = free_port()
    assert get(shop.port, f"/serve?port={port}") == "serving"
    bittern.scrape()  # by the answer the probe is back; on a busy machine that takes its time
    result = load.run(("127.0.0.1", port), users(50), connections=5, tls=certificate.client())
    assert not result.errors
    shop.settle()
    page = bittern.scrape()
    assert https_counts(page, "late-tls") == {USER: 50}
    assert lost(page) == 0


@contextlib.contextmanager
def held(bittern):
    """As if the host left the agent no CPU for so long."""
    os.kill(bittern.pid, signal.SIGSTOP)
    yield
    os.kill(bittern.pid, signal.SIGCONT)


@pytest.fixture
def older_node(agent, node):
    """The agent has not seen that this node can serve TLS, and it does not for long."""
    def start():
        tls_port = free_port()
        shop = node(TLS_PORT=str(tls_port))
        bittern = agent()
        assert not load.run(shop.address, users(LONG)).errors
        wait_taken_off(bittern)
        return bittern, shop, ("127.0.0.1", tls_port)
    return start


def test_a_node_that_is_older_than_the_agent_is_seen_with_its_first_session(older_node,
                                                                            certificate):
    bittern, shop, address = older_node()
    tls = certificate.client()
    assert not load.run(address, users(300), connections=5, tls=tls).errors
    shop.settle()
    page = bittern.scrape()
    assert https_counts(page, "late-tls")[USER] + lost(page) == 300


def test_what_passes_before_a_probe_is_back_is_counted_as_lost(older_node, certificate):
    bittern, shop, address = older_node()
    tls = certificate.client()
    with held(bittern):
        assert not load.run(address, users(70), connections=5, tls=tls).errors
    bittern.scrape()
    assert not load.run(address, users(50), connections=5, tls=tls).errors
    shop.settle()
    page = bittern.scrape()
    assert https_counts(page, "late-tls") == {USER: 50}
    assert lost(page) == 70


def asked(page):
    counts = collections.Counter()
    for s in page.values("http_client_request_duration_seconds_count", service_name="late-tls"):
        counts[s.labels["url_scheme"], s.labels["server_port"],
               s.labels.get("http_response_status_code")] += int(s.value)
    return counts


def test_a_node_that_asks_by_tls_late_is_seen_with_its_first_session(agent, node, tls_service):
    bittern = agent()
    backend = tls_service("aiohttp")
    shop = node()
    assert not load.run(shop.address, users(LONG)).errors
    bittern.scrape()
    assert get(shop.port, f"/call?port={backend.port}&count=5") == str([200] * 5).replace(" ", "")
    backend.truth(5)
    page = bittern.scrape()
    counted = asked(page)
    assert set(counted) == {("https", str(backend.port), "200")}
    assert sum(counted.values()) + lost(page) == 5


@pytest.fixture(params=["http", "https"])
def asker(request, agent, node, tls_service, certificate):
    """The agent, a backend, and what has a node ask that at a path of its own: one that has served
    for long by HTTP or HTTPS, and asked nobody."""
    bittern = agent()
    backend = tls_service("aiohttp")
    tls_port = free_port()
    is_tls = request.param == "https"
    shop = node(TLS_PORT=str(tls_port)) if is_tls else node()
    address = ("127.0.0.1", tls_port) if is_tls else shop.address
    tls = certificate.client() if is_tls else None
    assert not load.run(address, users(LONG), tls=tls).errors

    def ask(path):
        requests = [load.Request("GET", f"{path}&port={backend.port}")]
        assert not load.run(address, requests, connections=1, tls=tls).errors
    return bittern, backend, ask


def test_what_is_asked_while_probes_are_being_taken_off_has_its_response_or_is_lost(asker):
    bittern, backend, ask = asker
    bittern.scrape()
    with held(bittern):
        ask("/call-at-once?count=5&path=/sleep400/plain")
    backend.truth(5)
    page = bittern.scrape()
    assert set(asked(page)) <= {("https", str(backend.port), "200")}
    assert sum(asked(page).values()) + lost(page) == 5


def test_what_is_asked_before_a_probe_is_back_is_counted_as_lost(asker):
    bittern, backend, ask = asker
    time.sleep(1)
    wait_taken_off(bittern)
    with held(bittern):
        ask("/call?count=40")
    backend.truth(40)
    page = bittern.scrape()
    assert (asked(page), lost(page)) == ({}, 40)
    ask("/call?count=40")
    backend.truth(80)
    page = bittern.scrape()
    assert asked(page) == {("https", str(backend.port), "200"): 40}
    assert lost(page) == 40


# --- files that change ---

def mapped_library(name):
    """The file of that name that the tests' Python maps."""
    code = ("import ssl; "
            f"print([l.split()[-1] for l in open('/proc/self/maps') if '{name}' in l][0])")
    return pathlib.Path(subprocess.run([BIN / "python", "-c", code], check=True, text=True,
                                       capture_output=True).stdout.strip())


def replace(path, by):
    """As a package manager does: the new file takes the name, the old one stays where it is in
    use."""
    fresh = path.with_name(path.name + ".new")
    shutil.copy(by, fresh)
    fresh.rename(path)


def check_both(bittern, shops, certificate, name):
    """Each served the same; both were seen."""
    __tracebackhide__ = True
    for shop in shops:
        result = load.run(shop.address, users(50), connections=5, tls=certificate.client())
        assert not result.errors
    for shop in shops:
        shop.truth(50)
    page = bittern.scrape()
    counts = {int(s.labels["server_port"]): int(s.value)
              for s in page.values(DURATION, url_scheme="https") if
              s.labels["service_name"].startswith(name)}
    assert counts == {shop.port: 50 for shop in shops}
    assert not page.values("bittern_agent_tls_refused_files_total")


def test_a_replaced_library_is_seen_in_old_and_new_processes(agent, service, certificate,
                                                             tmp_path):
    folder = tmp_path / "lib"
    folder.mkdir()
    library = mapped_library("libssl")
    for file in (library, mapped_library("libcrypto")):
        shutil.copy(file, folder)
    copy = folder / library.name

    def start():
        return service([BIN / "python", "server.py"], "aiohttp-shop",
                       env={**certificate.environment, "LD_LIBRARY_PATH": str(folder)})

    running, unseen = start(), start()
    replace(copy, library)
    bittern = agent()  # finds a file that has lost its name
    replace(copy, library)
    shops = [running, unseen, start()]
    replace(copy, library)
    check_both(bittern, [*shops, start()], certificate, "aiohttp-shop")


def test_a_replaced_node_is_seen_in_old_and_new_processes(agent, service, certificate, tmp_path):
    node = tmp_path / "node"
    binary = pathlib.Path(subprocess.run([NODE, "-p", "process.execPath"], check=True, text=True,
                                         capture_output=True).stdout.strip())
    shutil.copy(binary, node)

    def start():
        return service([node, "server.js"], "node-shop", env=certificate.environment)

    running = start()
    bittern = agent()
    replace(node, binary)
    check_both(bittern, [running, start()], certificate, "node-shop")


def test_processes_that_end_while_they_are_looked_at_leave_nothing(agent, tls_service,
                                                                   certificate):
    bittern = agent()

    def files():  # this very process maps some
        return bittern.scrape().total("bittern_agent_tls_files")

    wait_for(files, "file of this process")
    before = files()
    commands = [[BIN / "python", "-c", "import ssl"], [NODE, "-e", "require('https')"]]
    for n in range(40):
        process = subprocess.Popen(commands[n % 2], stdout=subprocess.DEVNULL)
        time.sleep(n / 400)  # from not yet mapped to nearly done
        process.kill()
        process.wait()
    assert not bittern.scrape().values("bittern_agent_tls_refused_files_total")
    wait_for(lambda: files() == before, "end of their probes")
    shop = tls_service("aiohttp")
    check_both(bittern, [shop], certificate, "aiohttp-shop")
