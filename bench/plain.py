#!/usr/bin/env python3
"""CPU time of one proxied request: Outrigger beside nginx and HAProxy, in one run.

Each proxy has one worker, warm keep-alive connections on both sides, and adds the same
forwarding headers; the upstream is nginx, which answers 12 bytes. The load is h2load
at a fixed rate, the same for all: so a proxy that is slower does not get an easier load. CPU time
is the worker's own, from /proc, divided by the requests. Rounds alternate, the median is shown.

Needs nginx, haproxy, h2load (Debian: nginx-light haproxy nghttp2-client) and, for system
calls, strace. `bench/plain.py [--rate N] [--connections N] [--seconds N] [--rounds N]`
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
GATEWAY = ROOT / "target/release/outrigger"
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing listens on port {port}")


def nginx(folder, name, server, upstream=""):
    path = folder / f"{name}.conf"
    path.write_text(
        f"worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 100000000; {upstream} server {{ {server} }} }}\n"
    )
    return ["nginx", "-c", str(path), "-g", "master_process off;"]


def subjects(folder, upstream):
    """Name, command, port and target of each proxy."""
    port = free_port()
    forward = (
        f"listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; proxy_set_header Host $http_host;'
        " proxy_set_header X-Real-IP $remote_addr;"
        " proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
        " proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;"
        " proxy_set_header X-Forwarded-Port $server_port; }"
    )
    pool = f"upstream u {{ server 127.0.0.1:{upstream}; keepalive 320; keepalive_requests 100000000; }}"
    yield "nginx", nginx(folder, "nginx", forward, pool), port, "/plain"

    port = free_port()
    (folder / "haproxy.cfg").write_text(
        "global\n nbthread 1\n maxconn 4096\n"
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
        " http-reuse always\n"
        f"frontend f\n bind 127.0.0.1:{port}\n option forwardfor\n"
        " http-request set-header X-Real-IP %[src]\n"
        " http-request set-header X-Forwarded-Proto http\n"
        " http-request set-header X-Forwarded-Host %[req.hdr(host)]\n"
        f" http-request set-header X-Forwarded-Port {port}\n default_backend b\n"
        f"backend b\n server s 127.0.0.1:{upstream}\n"
    )
    yield "haproxy", ["haproxy", "-f", str(folder / "haproxy.cfg")], port, "/plain"

    port = free_port()
    (folder / "config.yaml").write_text(
        f"apisix: {{node_listen: [{{ip: 127.0.0.1, port: {port}}}]}}\n"
        "deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}\n"
        f"ext-plugin: {{cmd: [{GATEWAY}, demo-runner]}}\n"
        "outrigger: {workers: 1}\n"
    )
    node = f"{{nodes: {{'127.0.0.1:{upstream}': 1}}, keepalive_pool: {{requests: 100000000}}}}"
    conf = "[{name: header-rewrite, value: {headers: {X-Plugin: was-here}}}]"
    (folder / "apisix.yaml").write_text(
        f"routes:\n- {{uri: /plain, upstream: {node}}}\n"
        f"- {{uri: /plugin, plugins: {{ext-plugin-pre-req: {{conf: {conf}}}}}, upstream: {node}}}\n#END\n"
    )
    command = [str(GATEWAY), "run", "-c", str(folder / "config.yaml")]
    yield "outrigger", command, port, "/plain"
    yield "outrigger, a runner's call", None, port, "/plugin"


def cpu(pid):
    """User and system seconds of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def load(port, target, options, seconds):
    """Requests that were answered with 2xx."""
    out = subprocess.run(
        ["h2load", "--h1", "-t1", f"-c{options.connections}", f"-D{seconds}",
         f"--rps={max(1, options.rate // options.connections)}", f"http://127.0.0.1:{port}{target}"],
        capture_output=True, text=True, check=True,
    ).stdout
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", out)
    if not codes or any(int(count) for count in codes.groups()[1:]):
        sys.exit(f"port {port}: not every request was answered with 2xx:\n{out}")
    return int(codes.group(1))


def system_calls(pid, port, target, options):
    """System calls per request while `strace -c` looks on, by name."""
    trace = subprocess.Popen(["strace", "-c", "-f", "-p", str(pid)],
                             stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    time.sleep(0.3)
    requests = load(port, target, options, 2)
    trace.send_signal(signal.SIGINT)
    table = trace.communicate()[1]
    calls = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", table, re.M)
    shown = [(int(count) / requests, name) for count, name in calls if name != "total"]
    return ", ".join(f"{count:.2f} {name}" for count, name in shown if count >= 0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=20000, help="requests per second")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=4, help="of one round of one proxy")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for tool in ("nginx", "haproxy", "h2load"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed (Debian: nginx-light haproxy nghttp2-client)")
    if not GATEWAY.exists():
        sys.exit("first: cargo build --release -p outrigger")

    running, measured, pids = [], {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        try:
            upstream = free_port()
            answer = f"listen 127.0.0.1:{upstream}; location / {{ return 200 'hello world\\n'; }}"
            running.append(subprocess.Popen(nginx(folder, "upstream", answer), stderr=subprocess.DEVNULL))
            wait_for(upstream)
            proxies = list(subjects(folder, upstream))
            for _, command, port, target in proxies:
                if command:
                    running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
                    wait_for(port)
                    pids[port] = running[-1].pid
                load(port, target, options, 1)
            for number in range(options.rounds):
                for name, _, port, target in proxies:
                    print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
                    before = cpu(pids[port])
                    requests = load(port, target, options, options.seconds)
                    spent = [1e6 * (b - a) / requests for a, b in zip(before, cpu(pids[port]))]
                    measured.setdefault(name, []).append((*spent, sum(spent)))
            medians = {n: [statistics.median(column) for column in zip(*rows)] for n, rows in measured.items()}
            base = medians["nginx"][2]
            print(f"\n{options.rate} requests/s, {options.connections} connections, CPU time per request in µs\n")
            print(f"| {'':27}| user | system | total | of nginx |\n|{'-' * 28}|-----:|-------:|------:|---------:|")
            for name, (user, system, total) in medians.items():
                print(f"| {name:27}| {user:4.1f} | {system:6.1f} | {total:5.1f} | {total / base:8.2f} |")
            if shutil.which("strace"):
                print("\nsystem calls per request")
                for name, _, port, target in proxies:
                    print(f"  {name:27} {system_calls(pids[port], port, target, options)}")
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
