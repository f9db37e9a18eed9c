# SPDX-License-Identifier: Apache-2.0
"""Many connections to one address, in a process of their own, for they need more descriptors than others should be given.
`many_clients.py PORT N`: makes them, has each answered once, prints how many were, and then answers each line of its standard
input: "ask" has each answered once more and prints how many were."""

import resource
import socket
import sys

REQUEST = b"GET /whose HTTP/1.1\r\nHost: x\r\n\r\n"


def ask(clients):
    """A hundred at a time."""
    n = 0
    for i in range(0, len(clients), 100):
        some = clients[i:i + 100]
        for c in some:
            c.sendall(REQUEST)
        n += sum(c.recv(4096).startswith(b"HTTP/1.1 200") for c in some)
    return n


def main(port, n):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = []
    for _ in range(n):
        clients.append(socket.create_connection(("127.0.0.1", port), timeout=60))
    print(ask(clients), flush=True)
    for line in sys.stdin:
        if line.strip() == "ask":
            print(ask(clients), flush=True)


main(int(sys.argv[1]), int(sys.argv[2]))
