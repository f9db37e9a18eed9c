#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tree.py TREE STAGED [PACKAGE...]: makes the root of a small machine in TREE.

Its files are those that the installed packages below and those that are named list, and of the packages that these depend on; the programs that
were installed under STAGED (make install DESTDIR=STAGED) go on top, with the libraries that they need. About 60 MB.
"""
import os
import re
import shutil
import subprocess
import sys

# What the driver and systemd use. Not dbus: systemctl speaks with PID 1 directly when it is root.
PACKAGES = ["base-files", "base-passwd", "bash", "coreutils", "curl", "findutils", "grep", "jq", "libc-bin", "mount", "procps",
            "sed", "systemd", "util-linux"]
# Depended on, but by maintainer scripts alone.
SKIPPED = {"adduser", "debconf", "debianutils", "dpkg", "init-system-helpers", "passwd", "perl-base", "python3", "ucf"}
USELESS = re.compile(r"^/usr/(share/(bash-completion|bug|doc|gtk-doc|i18n|info|lintian|locale|man|zsh)/|lib/udev/hwdb.d/|lib/[^/]*/gconv/)")
# Units that would look for a network, for updates, for terminals.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "getty.target",
          "systemd-firstboot.service", "systemd-networkd.service", "systemd-pstore.service", "systemd-timesyncd.service"]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def package_name(text):
    return re.sub(r"[:( ].*", "", text.strip())


def installed():
    """name -> (name for dpkg, [alternatives of a dependency]), and who provides what"""
    packages, provided = {}, {}
    form = "${binary:Package}\t${Package}\t${db:Status-Abbrev}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
    for line in output("dpkg-query", "-W", "-f", form).splitlines():
        binary, name, status, depends, provides = line.split("\t")
        if not status.startswith("ii"):
            continue
        alternatives = [[package_name(a) for a in d.split("|")] for d in depends.split(",") if d.strip()]
        packages[name] = (binary, alternatives)
        for p in provides.split(","):
            provided.setdefault(package_name(p), name)
    return packages, provided


def closure(wanted):
    packages, provided = installed()
    missing = [w for w in wanted if w not in packages]
    if missing:
        sys.exit("not installed: " + " ".join(missing))
    names, queue = set(), list(wanted)
    while queue:
        name = queue.pop()
        if name not in packages:
            name = provided.get(name)
        if not name or name in names or name in SKIPPED:
            continue
        names.add(name)
        for alternatives in packages[name][1]:
            queue += [a for a in alternatives if a in packages or a in provided][:1]
    return [packages[n][0] for n in sorted(names)]


def libraries(staged):
    """What the loader of this machine would load for the staged programs."""
    found = set()
    for folder, _, files in os.walk(staged):
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                if os.path.islink(path) or f.read(4) != b"\x7fELF":
                    continue
            ldd = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
            found.update(re.findall(r"(/\S+) \(0x", ldd))
    return found | {os.path.realpath(f) for f in found}


def copy(path, tree):
    # Where it really lies: packages still name /lib and /bin.
    folder = os.path.realpath(os.path.dirname(path))
    source = os.path.join(folder, os.path.basename(path))
    target = tree + source
    if not os.path.lexists(source) or os.path.lexists(target):
        return
    os.makedirs(tree + folder, exist_ok=True)
    if os.path.isdir(source) and not os.path.islink(source):
        os.mkdir(target)
        shutil.copystat(source, target)
    elif os.path.isfile(source) or os.path.islink(source):
        shutil.copy2(source, target, follow_symlinks=False)


def write(tree, path, text):
    os.makedirs(os.path.dirname(tree + path), exist_ok=True)
    with open(tree + path, "w") as f:
        f.write(text)


def settle(tree):
    """What the installer of a distribution would have made."""
    for folder in ["dev", "mnt", "proc", "root", "run", "sys", "tmp", "var/log/journal", "var/tmp", "etc/systemd/system"]:
        os.makedirs(os.path.join(tree, folder), exist_ok=True)
    for name in ["passwd", "group"]:
        shutil.copy(f"/usr/share/base-passwd/{name}.master", f"{tree}/etc/{name}")
    write(tree, "/etc/machine-id", "uninitialized\n")
    write(tree, "/etc/hostname", "socle-test\n")
    write(tree, "/etc/fstab", "")
    write(tree, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
    for unit in MASKED:
        os.symlink("/dev/null", f"{tree}/etc/systemd/system/{unit}")


def main():
    tree, staged = (os.path.realpath(a) for a in sys.argv[1:3])
    os.makedirs(tree + "/usr", exist_ok=True)
    for name in ["bin", "sbin", "lib", "lib64"]:
        os.makedirs(f"{tree}/usr/{name}", exist_ok=True)
        os.symlink(f"usr/{name}", f"{tree}/{name}")
    for path in output("dpkg-query", "-L", *closure(PACKAGES + sys.argv[3:])).splitlines():
        if path.startswith("/") and path != "/." and not USELESS.search(path):
            copy(path, tree)
    for path in libraries(staged):
        copy(path, tree)
    settle(tree)
    shutil.copytree(staged, tree, symlinks=True, dirs_exist_ok=True)
    subprocess.run(["ldconfig", "-r", tree], check=True)


if __name__ == "__main__":
    main()
