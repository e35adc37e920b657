# SPDX-License-Identifier: Apache-2.0
"""Agents come and go: nothing stays in the kernel, no service notices, and who may not run is told
why."""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import frameworks
import harness
import load
from expect import assert_exact, assert_same, expected, truth_counts
from harness import AGENT, free_port, wait_for

NEEDED = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"]  # README.md and deploy/ name them
KINDS = ["prog", "map", "link"]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def listed(kind):
    """id -> what bpftool says of every program, map or link of this kernel."""
    bpftool = shutil.which("bpftool", path=os.environ["PATH"] + ":/usr/sbin")
    listing = subprocess.run([bpftool, "-j", kind, "list"], capture_output=True, check=True).stdout
    return {entry["id"]: entry for entry in json.loads(listing or b"[]")}


def kernel_objects(agent):
    """(kind, id) of all that the agent has in the kernel: by its descriptors and its programs."""
    objects = set()
    for info in pathlib.Path(f"/proc/{agent.pid}/fdinfo").iterdir():
        try:
            for kind, number in re.findall(r"^(prog|map|link)_id:\s*(\d+)", info.read_text(), re.M):
                objects.add((kind, int(number)))
        except FileNotFoundError:
            pass
    programs = listed("prog")
    for number in [number for kind, number in objects if kind == "prog"]:
        objects |= {("map", of_program) for of_program in programs[number].get("map_ids", [])}
    assert {kind for kind, _ in objects} == set(KINDS), objects
    return objects


def assert_nothing_left(objects):
    """The kernel frees them a moment after the last descriptor was closed."""
    def left():
        return {(kind, number): entry.get("name") for kind in KINDS
                for number, entry in listed(kind).items() if (kind, number) in objects}
    wait_for(lambda: not left(), lambda: f"end of {left()}", timeout=10, step=0.2)


def one_line(completed, status):
    """The one line on standard error of a program that ended with the status, silent otherwise."""
    assert (completed.returncode, completed.stdout) == (status, ""), completed
    assert re.fullmatch(r"[^\n]+\n", completed.stderr), completed
    return completed.stderr


def bittern(*options, prefix=()):
    return subprocess.run([*prefix, AGENT, *options], capture_output=True, text=True, timeout=20)


def user_options(name):
    """For setpriv: to be this user, without its groups."""
    user = pwd.getpwnam(name)
    return [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def with_capabilities(*names, user="root"):
    """A command in front of another one: as that user, without any capability but these."""
    only = ",".join(["-all"] + ["+" + name for name in names])
    kept = [] if user == "root" else [*user_options(user), "--ambient-caps", only]
    return ["setpriv", "--bounding-set", only, "--inh-caps", only, "--no-new-privs", *kept]


# --- coming and going ---

def test_two_agents_at_once_both_count_everything(service, agent):
    first, shop, second = agent(), service("node"), agent()
    result = load.run(shop.address, load.mixed(1000))
    assert not result.errors
    truth = truth_counts(shop.truth(1000))
    for each in (first, second):
        assert_exact(each.scrape(), "node-shop", truth)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
                         ids=lambda s: s.name)
def test_an_agent_that_ends_under_load_leaves_nothing_and_disturbs_nobody(service, agent, end):
    shop = service("fastapi-httptools-uvloop")
    ended = threading.Event()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(load.run, shop.address, load.until(ended, 500))
        try:
            first = agent()
            objects = kernel_objects(first)
            os.kill(first.pid, end)
            status = first.process.wait(5)
        finally:
            ended.set()
    result = running.result()
    assert status == (-signal.SIGKILL if end == signal.SIGKILL else 0), first.output()
    assert not result.errors
    assert_same(truth_counts(shop.truth(len(result.samples))), result.counts(), "the service")
    assert_nothing_left(objects)

    again = agent()
    after = load.run(shop.address, load.mixed(500))
    shop.truth(len(result.samples) + 500)
    assert not after.errors
    assert_exact(again.scrape(), "fastapi_shop", after.counts())


def test_ten_agents_in_a_row_leave_nothing(agent):
    objects = set()
    for _ in range(10):
        started = agent()
        objects |= kernel_objects(started)
        started.stop_clean()
    assert_nothing_left(objects)


def nice_values(agent):
    """Of the first thread, and of the others."""
    values = {}
    for stat in pathlib.Path(f"/proc/{agent.pid}/task").glob("*/stat"):
        values[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[16])
    return values.pop(agent.pid), sorted(values.values())


def wait_nice_values(agent, first, others):
    """Threads that take probes off come and go."""
    wait_for(lambda: nice_values(agent) == (first, others), f"{(first, others)}")


def test_the_agent_goes_before_others_but_not_its_threads(agent):
    """But for that which stands in for it while a probe is attached."""
    started = agent("--otlp-endpoint", agent().url)  # which takes none
    wait_nice_values(started, -10, [-10, 0])
    group = pathlib.Path(f"/proc/{started.pid}/autogroup")
    if group.exists():  # it is in a session of its own
        assert group.read_text().endswith(" nice -10\n")
    started.stop_clean()  # while the other is there to refuse what it sends last


def test_a_priority_that_is_refused_is_one_line_for_who_debugs(capable_agent):
    started = capable_agent(*NEEDED, options=("--log-level", "debug"))
    wait_nice_values(started, 0, [0])
    lines = re.findall("^.*no higher priority: .*CAP_SYS_NICE$", started.output(), re.M)
    assert len(lines) == 1, started.output()
    assert "priority" not in capable_agent(*NEEDED).output()


# --- wrong use ---

@pytest.mark.parametrize("options", [
    "walk", "run check", "--no-such-option", "--listen", "--listen=here",
    "--listen=127.0.0.1:99999", "--console=yes", "--interval=0", "--interval=nan", "--runtime=ruby",
    "--runtime=", "--service=shop", "--service=shop=tcp:1", "--route=orders", "--ring-size=3000000",
    "--ring-size=-1", "--max-series=0", "--max-routes=1e3", "--log-level=loud", "--timeout=0s",
    "--timeout=-1s", "--timeout=8", "--timeout=25h", "--timeout==1s", "--timeout=shop:=1s",
    "--timeout=/orders=1s", "--timeout=shop=", "--slo=0", "--slo=100", "--slo=99@", "--slo=99@8",
    "--slo=shop", "--slo=/orders=99", "--slo-ignore=ping", "--slo-ignore=shop",
    " ".join(f"--slo={n}" for n in range(90, 99))])
def test_wrong_use_is_one_line_and_status_2(options):
    line = one_line(bittern(*options.split()), 2)
    assert options.split()[-1].partition("=")[0] in line


def test_limits_can_be_given_by_service_and_route_many_times():
    """The page of help comes after what is in front of it was understood."""
    completed = bittern(
        "--timeout=2s", "--timeout=1.5m", "--timeout=shop=300ms", "--timeout=shop:8001:/a=b=1000us",
        "--slo=99", "--slo=99.9@300ms", "--slo=shop:{unread}=90@1h",
        "--slo-ignore=/ping", "--slo-ignore=shop:/status", "--help")
    assert (completed.returncode, completed.stderr) == (0, ""), completed


def test_the_agent_runs_as_its_configuration_file_says(agent, tmp_path):
    file = tmp_path / "bittern.yaml"
    file.write_text("listen: off\nring-size: 128K\n")  # the harness gives it --listen
    assert agent("--config", str(file)).scrape().total("bittern_agent_ring_size_bytes") == 128 << 10
    file.write_text("\nring-sizes: 128K\n")
    assert f"{file}:2: unknown key 'ring-sizes'" in one_line(
        bittern("check", "--config", str(file)), 2)


@as_root
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_a_port_in_use_is_one_line_and_status_1(address):
    family = harness.socket.AF_INET6 if "[" in address else harness.socket.AF_INET
    with harness.socket.create_server((address.strip("[]"), 0), family=family) as taken:
        at = f"{address}:{taken.getsockname()[1]}"
        line = one_line(bittern("--listen", at), 1)
    assert at in line and "in use" in line


# --- privileges ---

def check(*capabilities):
    """(exit status, verdict, warnings) of `bittern check` with these capabilities."""
    checked = bittern("check", prefix=with_capabilities(*capabilities))
    assert not checked.stderr, checked
    lines = checked.stdout.splitlines()
    assert lines[-1].startswith("verdict "), checked
    warnings = [line.removeprefix("warning").strip() for line in lines
                if line.startswith("warning ")]
    return checked.returncode, lines[-1].removeprefix("verdict").strip(), warnings


def names_what_is_needed(line):
    return all(f"CAP_{name.upper()}" in line for name in NEEDED)


@as_root
@pytest.mark.parametrize("capabilities",
                         [[], ["bpf"], ["perfmon"], ["sys_ptrace", "dac_read_search"]],
                         ids=lambda c: "+".join(c) or "none")
def test_too_little_privilege_is_one_line_and_status_1_and_check_says_so(capabilities):
    line = one_line(bittern("--listen", f"127.0.0.1:{free_port()}",
                            prefix=with_capabilities(*capabilities)), 1)
    assert names_what_is_needed(line)
    status, verdict, _ = check(*capabilities)
    assert (status, verdict.partition(":")[0]) == (1, "bittern cannot run here")
    assert names_what_is_needed(verdict)


INVISIBLE = "without CAP_SYS_PTRACE other users' services stay invisible"
UNNAMED = ("without CAP_DAC_READ_SEARCH services in folders closed to this user are not named by "
           "their package.json")


@as_root
@pytest.mark.parametrize("missing, warnings", [
    (set(), []), ({"sys_ptrace"}, [INVISIBLE]), ({"dac_read_search"}, [UNNAMED]),
    ({"sys_ptrace", "dac_read_search"}, [INVISIBLE, UNNAMED])],
    ids=lambda c: "+".join(sorted(c)) if isinstance(c, set) else "")
def test_check_warns_of_what_stays_unseen_where_bittern_can_run(missing, warnings):
    assert check(*[name for name in NEEDED if name not in missing]) == (
        0, "bittern can run here", warnings)


@pytest.fixture
def open_copy():
    """A copy of the program that every user can start: the tree may be closed to others."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bittern-open-", dir="/tmp"))
    folder.chmod(0o755)
    shutil.copy(AGENT, folder / "bittern")
    yield folder / "bittern"
    shutil.rmtree(folder)


@as_root
def test_a_user_without_privilege_is_told_in_one_line(open_copy):
    completed = subprocess.run(["setpriv", *user_options("nobody"), open_copy], cwd="/",
                               capture_output=True, text=True, timeout=20)
    assert names_what_is_needed(one_line(completed, 1))


@as_root
def test_files_that_only_root_may_read_are_read_as_the_unit_runs(open_copy, tmp_path):
    """Neither the file, which may hold secrets, nor a key has to be open to bittern's own user."""
    file, key = tmp_path / "bittern.yaml", tmp_path / "key.pem"
    key.touch(0o600)
    file.touch(0o600)
    file.write_text("otlp-endpoint: https://localhost\n"
                    f"otlp-client-certificate: {key}\notlp-client-key: {key}\n")
    command = [open_copy, "check", "--config", file]
    for capabilities, status in ((NEEDED, 0), (NEEDED[:-1], 2)):
        ran = subprocess.run([*with_capabilities(*capabilities, user="daemon"), *command],
                             cwd="/", capture_output=True, text=True, timeout=20)
        assert ran.returncode == status, ran
    assert "Permission denied" in one_line(ran, 2)


@pytest.fixture
def capable_agent(agent, tmp_path, monkeypatch, open_copy):
    """Starts an agent with these capabilities only."""
    def start(*capabilities, user="root", options=()):
        script = tmp_path / "capable"
        command = " ".join([*with_capabilities(*capabilities, user=user), str(open_copy)])
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setattr(harness.Agent, "program", str(script))
        return agent(*options)
    return start


@pytest.fixture
def closed_service(service):
    """A Node service of nobody's, in a folder only nobody may read, named by its package.json."""
    nobody = pwd.getpwnam("nobody")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bittern-closed-", dir="/tmp"))
    try:
        shutil.copytree(harness.SERVICES / "node-shop", folder / "shop")
        for module in ("shop.js", "truth.js", "http-shop.js"):
            shutil.copy(harness.SERVICES / module, folder)
        shutil.copy(os.path.realpath(frameworks.NODE), folder / "node")
        (folder / "served").touch()
        (folder / "big").write_bytes(b"x" * 1_000_000)
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        folder.chmod(0o700)
        shop = service(
            [folder / "node", "server.js"], folder / "shop",
            env={"TRUTH_FILE": str(folder / "served"), "BIG_FILE": str(folder / "big")},
            prefix=["setpriv", *user_options("nobody")])
        shop.truth_file = folder / "served"
        yield shop
        shop.kill()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("user", ["root", "daemon"])
def test_the_needed_capabilities_are_enough_for_other_users(closed_service, capable_agent, user):
    assert check(*NEEDED) == (0, "bittern can run here", [])
    before = load.run(closed_service.address, load.mixed(500))
    started = capable_agent(*NEEDED, user=user)
    result = load.run(closed_service.address, load.mixed(500))
    assert not before.errors + result.errors
    closed_service.truth(1000)
    assert_exact(started.scrape(), "node-shop", result.counts())
    objects = kernel_objects(started)
    started.stop_clean()
    assert_nothing_left(objects)


@pytest.mark.parametrize("missing, name", [("sys_ptrace", None), ("dac_read_search", "shop")])
def test_what_each_capability_for_proc_is_for(closed_service, capable_agent, missing, name):
    """Without CAP_SYS_PTRACE another user's process is unknown, without CAP_DAC_READ_SEARCH its
    files are."""
    started = capable_agent(*[needed for needed in NEEDED if needed != missing])
    result = load.run(closed_service.address, load.mixed(100))
    assert not result.errors
    closed_service.truth(100)
    page = started.scrape()
    assert page.services_on(closed_service.port) == ({name} if name else set())
    if name:
        assert_same(page.counts(name), expected(result.counts()), "bittern")
