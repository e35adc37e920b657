# SPDX-License-Identifier: Apache-2.0
"""bittern on a kernel that it does not run on. Runs in a guest: see run.sh."""

import subprocess

from harness import AGENT

WHY = "the kernel has no tp_btf/sock_recv_length: it takes Linux 6.3 or later with BTF\n"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_bittern_refuses_in_one_line():
    ran = run(AGENT)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "bittern: error: " + WHY)


def test_check_says_why():
    ran = run(AGENT, "check")
    lines = ran.stdout.splitlines(keepends=True)
    assert (ran.returncode, ran.stderr) == (1, ""), ran.stdout
    assert "  tp_btf/sock_recv_length      missing\n" in lines
    assert "variant                        none\n" in lines
    assert lines[-1] == "verdict                        bittern cannot run here: " + WHY
