# SPDX-License-Identifier: Apache-2.0
"""The attempts on an installed base, which systemd has started: what tests/system makes in its machine (guest/attempts.sh).

SOCLE_BUILD is a folder with the staged modules. With the page in SOCLE_ATTEMPTS_TABLE the column VM is written."""

import os
import subprocess
import sys
import tempfile

import attempts
from harness import Base, Failure, wait
from test_attempts import judge, write

FOLDERS = {
    "etc": "/etc/socle", "log": "/var/log/socle", "run": "/run/socle", "modules": "/var/lib/socle/modules",
    "state": "/var/lib/socle", "open": "/srv/open", "home": "/srv/home",
}
PORT = 8080


class Installed(Base):
    """The base of this machine. Its state is not in a folder of its own, and it is systemd that starts it."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="attempts-", dir="/run")
        self.port = PORT
        if not os.path.exists(self.path("etc/socled.conf")):
            self.write("etc/socled.conf", "; all as it is\n")

    def path(self, *parts):
        first, *rest = os.path.join(*parts).split("/")
        return os.path.join(FOLDERS.get(first) or os.path.join(self.root, first), *rest)

    def start(self):
        subprocess.run(["systemctl", "restart", "socled.service"], check=True)
        wait(self.try_status, "the base to answer")

    @property
    def pid(self):
        return int(subprocess.run(["systemctl", "show", "-P", "MainPID", "socled.service"], check=True, capture_output=True).stdout)

    def ctl(self, *args, check=True):
        p = subprocess.run(["soclectl", *args], capture_output=True, text=True)
        if check and p.returncode != 0:
            raise Failure(f"soclectl {' '.join(args)}: status {p.returncode}: {p.stdout}{p.stderr}")
        return p


def main():
    # An emulated processor takes its time.
    suite = attempts.Suite(Installed(), changes=[("request-timeout = 20s", "request-timeout = 60s")])
    results = []
    try:
        for attempt, result in suite.run():
            if results and results[-1][0].section != attempt.section:
                write(results, "VM")  # should the machine be ended before the end
                os.sync()
            results.append((attempt, result))
        judge(results, suite.host, "VM")
    except Failure as e:
        print(e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
