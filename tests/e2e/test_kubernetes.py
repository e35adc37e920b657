# SPDX-License-Identifier: Apache-2.0
"""deploy/kubernetes/bittern.yaml: every Kubernetes takes it, and its pod, in a container of runc's,
counts exactly what a service in another pod serves.

No kubelet runs here. Node is what kubelet and containerd make of such a pod, as far as it decides
what bittern may do and see: namespaces, capabilities, memory, the root file system, the network.
"""

import concurrent.futures
import contextlib
import copy
import ctypes
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess

import kubernetes_validate
import pytest
import yaml

import load
from expect import assert_exact, truth_counts
from harness import AGENT, HERE, START_S, Page, Program, wait_for

DEPLOY = HERE.parent.parent
MANIFEST = (DEPLOY / "deploy/kubernetes/bittern.yaml").read_text()
EVERYTHING = re.sub(r"(?m)^( +)#(?! \S)", r"\1", MANIFEST)  # "#this" is to be switched on
BUNDLES = pathlib.Path("/run/containerd/io.containerd.runtime.v2.task/k8s.io")


def resources(text=MANIFEST):
    return {resource["kind"]: resource for resource in yaml.safe_load_all(text)}


def pod():
    return resources()["DaemonSet"]["spec"]["template"]


# --- its form ---

@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("text", [MANIFEST, EVERYTHING], ids=["as it is", "with all options"])
def test_kubernetes_knows_every_field(text, version):
    found = resources(text)
    assert list(found) == ["Namespace", "ServiceAccount", "DaemonSet"]
    for resource in found.values():
        kubernetes_validate.validate(resource, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_refused():
    wrong = copy.deepcopy(resources()["DaemonSet"])
    wrong["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="hostPid"):
        kubernetes_validate.validate(wrong, "1.30", strict=True)


def test_its_parts_belong_together():
    found = resources()
    template, name = pod(), found["Namespace"]["metadata"]["name"]
    daemons, account = found["DaemonSet"], found["ServiceAccount"]["metadata"]
    assert daemons["metadata"]["namespace"] == account["namespace"] == name
    assert template["spec"]["serviceAccountName"] == account["name"]
    assert daemons["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]


# --- its pod ---

def bytes_of(quantity):
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi)", quantity).groups()
    return int(number) << {"Ki": 10, "Mi": 20, "Gi": 30}[unit]


def make_image(root):
    """What the Dockerfile puts together, with names that are not the host's, as images have."""
    found = subprocess.run(["ldd", AGENT], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(/\S+) \(0x", found):
        (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library[1:])
    for folder in ("usr/bin", "etc", "proc", "sys", "dev"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(AGENT, root / "usr/bin/bittern")
    (root / "etc/machine-id").write_text("f" * 32 + "\n")
    (root / "etc/hostname").write_text("bittern-x7k2p\n")


def entrypoint():
    return json.loads(re.search(r"(?m)^ENTRYPOINT (.*)$", (DEPLOY / "Dockerfile").read_text())[1])


def mounts():
    def mount(kind, to, *options):
        return {"destination": to, "type": kind, "source": kind,
                "options": ["nosuid", "noexec", "nodev", *options]}
    return [mount("proc", "/proc"), mount("sysfs", "/sys", "ro"),
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]}]


def container_config(spec, cgroup):
    """The container of the pod for an OCI runtime."""
    container, = spec["containers"]
    context = container["securityContext"]
    assert context["capabilities"]["drop"] == ["ALL"]
    added = [f"CAP_{name}" for name in context["capabilities"]["add"]]
    own = ["mount", "ipc", "cgroup"]
    own += [] if spec.get("hostPID") else ["pid"]
    own += [] if spec.get("hostNetwork") else ["network", "uts"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": context["runAsUser"], "gid": 0},
            "args": [*entrypoint(), *container["args"]],
            "cwd": "/",
            "env": [],
            "capabilities": {kind: added for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": not context["allowPrivilegeEscalation"],
        },
        "root": {"path": "rootfs", "readonly": context["readOnlyRootFilesystem"]},
        "hostname": "bittern-x7k2p",
        "mounts": mounts(),
        "linux": {
            "namespaces": [{"type": namespace} for namespace in own],
            "cgroupsPath": cgroup,
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}],
                "memory": {"limit": bytes_of(container["resources"]["limits"]["memory"])},
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
        },
    }


class Node(Program):
    """One container of the pod, ready when the constructor returns."""

    def __init__(self, tmp):
        self.spec = pod()["spec"]
        self.name = f"bittern-{secrets.token_hex(8)}"
        self.runc = ["runc", "--root", tmp / "runc"]
        (tmp / "rootfs").mkdir()
        make_image(tmp / "rootfs")
        (tmp / "config.json").write_text(
            json.dumps(container_config(self.spec, f"/{self.name}")))
        self.pid_file = tmp / "pid"
        super().__init__([*self.runc, "run", "--bundle", tmp, "--pid-file", self.pid_file,
                          self.name], tmp / "bittern.log")
        try:
            wait_for(lambda: self.alive() and self.probe("readinessProbe") == 200, "readiness",
                     timeout=START_S)
        except BaseException as error:
            self.kill()
            raise RuntimeError(f"bittern did not become ready:\n{self.output()}") from error

    def kill(self):
        """The container first: runc's own end does not end it, but its end ends runc, clean."""
        subprocess.run([*self.runc, "kill", self.name, "KILL"], capture_output=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        super().kill()

    def _connect(self, port):
        """From inside its network."""
        with open(f"/proc/{self.pid_file.read_text()}/ns/net") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")
        return socket.create_connection(("127.0.0.1", port), timeout=START_S / 2)

    def ask(self, path, port):
        """The status and the text of the answer."""
        connection = http.client.HTTPConnection("pod")
        with (concurrent.futures.ThreadPoolExecutor(1) as in_its_network,
              contextlib.closing(connection)):
            connection.sock = in_its_network.submit(self._connect, port).result()
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def probe(self, kind):
        """The status that kubelet gets; None: no answer."""
        container, = self.spec["containers"]
        asked = container[kind]["httpGet"]
        port, = [p["containerPort"] for p in container["ports"] if p["name"] == asked["port"]]
        try:
            return self.ask(asked["path"], port)[0]
        except (FileNotFoundError, ValueError, ConnectionError):
            return None

    def scrape(self):
        """As the annotations say."""
        annotations = pod()["metadata"]["annotations"]
        assert annotations["prometheus.io/scrape"] == "true"
        status, text = self.ask("/metrics", int(annotations["prometheus.io/port"]))
        assert status == 200, text
        return Page(text)


@pytest.fixture
def pod_of_a_deployment():
    """A command in front of another one: in the cgroup of a container of a pod, of which
    containerd's folder tells the name."""
    container = secrets.token_hex(32)
    root = pathlib.Path("/sys/fs/cgroup")
    folder = (root if (root / "cgroup.procs").exists() else root / "systemd") / (
        f"pod{secrets.token_hex(8)}") / container
    bundle = BUNDLES / container
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps({"annotations": {
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.sandbox-name": "till-6d4cf56db6-x7k2p",
        "io.kubernetes.cri.sandbox-namespace": "prod"}}))
    folder.mkdir(parents=True)
    try:
        yield ["sh", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$@"', "sh"]
        wait_for(lambda: not (folder / "cgroup.procs").read_text(), "empty cgroup")
    finally:
        for emptied in (folder, folder.parent):
            emptied.rmdir()
        shutil.rmtree(bundle)
        with contextlib.suppress(OSError):  # what containerd itself keeps there
            for parent in [BUNDLES, *BUNDLES.parents][:3]:
                parent.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_its_pod_counts_what_a_service_in_another_pod_serves(pod_of_a_deployment, service,
                                                             programs, tmp_path):
    (tmp_path / "pod").mkdir()
    till = service("node", prefix=pod_of_a_deployment)
    node = Node(tmp_path / "pod")
    programs.append(node)
    result = load.run(till.address, load.mixed(1000))
    assert not result.errors
    truth = truth_counts(till.truth(1000))
    page = node.scrape()
    assert_exact(page, "till", truth)
    info, = page.values("target_info")
    for label, file in (("host_name", "/etc/hostname"), ("host_id", "/etc/machine-id")):
        if pathlib.Path(file).exists():  # not in each image of a machine
            assert info.labels[label] == pathlib.Path(file).read_text().strip()
    assert node.probe("livenessProbe") == 200
    assert node.stop() == 0, node.output()
