#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures durable queues beside ours, at equal durability: what a submit returned is synced.

usage: queue_peers.py BUILD [--folder DIR]... [--rounds N] [--seconds S] [--jobs N]

Every round measures each queue in turns: how many jobs a second are accepted from many
producers, and how many live their whole life: submitted, run, ended. Figures are medians of
the rounds. Ours has 16 producers in one process; a peer's producers are processes, as many
of 1, 4 and 16 as it is fastest with, and two processes work. Servers are private ones in
the folder; a peer whose package or server is not there is left out.
"""

import argparse
import asyncio
import contextlib
import glob
import logging
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PRODUCERS = (1, 4, 16)
WORKERS = 2


def wait_for(path, process):
    """Until a server listens on its socket."""
    deadline = time.monotonic() + 20
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args[0]} did not start")
        time.sleep(0.01)


@contextlib.contextmanager
def server(command, socket):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(socket, process)
        yield
    finally:
        process.terminate()
        process.wait()


class File:
    """A database in the folder, which needs no server."""

    def __init__(self, folder):
        self.path = f"{folder}/jobs.db"

    @contextlib.contextmanager
    def serve(self):
        yield


class Huey(File):
    """huey on SQLite: WAL, synchronous=FULL, results stored."""

    name, store = "huey", "SQLite"

    def open(self):
        from huey import SqliteHuey

        self.huey = SqliteHuey(filename=self.path, fsync=True, timeout=60)
        self.task = self.huey.task()(count)

    def submit(self):
        self.task(1)

    def work(self):
        while task := self.huey.dequeue():
            self.huey.execute(task)


class LiteQueue(File):
    """litequeue on SQLite: WAL, synchronous=FULL, which it does not set itself."""

    name, store = "litequeue", "SQLite"

    def open(self):
        from litequeue import LiteQueue as Queue

        self.queue = Queue(self.path, timeout=60)
        self.queue.conn.execute("PRAGMA synchronous = FULL")

    def submit(self):
        self.queue.put("1")

    def work(self):
        while message := self.queue.pop():
            count(1)
            self.queue.done(message.message_id)


class Rq:
    """RQ on Redis: an append-only file, synced at every write."""

    name, store = "RQ", "Redis"

    def __init__(self, folder):
        self.folder, self.socket = folder, f"{folder}/redis.sock"

    def serve(self):
        command = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return server(command, self.socket)

    def open(self):
        import redis
        import rq

        connection = redis.Redis(unix_socket_path=self.socket)
        self.queue = rq.Queue(connection=connection)
        self.worker = rq.SimpleWorker([self.queue], connection=connection, log_job_description=False)

    def submit(self):
        self.queue.enqueue("math.sqrt", 1)

    def work(self):
        self.worker.work(burst=True, logging_level="ERROR")


class Beanstalkd:
    """beanstalkd: a binlog, synced at every write; jobs are deleted when done."""

    name, store = "beanstalkd", "binlog"

    def __init__(self, folder):
        self.folder, self.socket = folder, f"{folder}/beanstalkd.sock"

    def serve(self):
        command = ["beanstalkd", "-l", f"unix:{self.socket}", "-b", self.folder, "-f", "0"]
        return server(command, self.socket)

    def open(self):
        import greenstalk

        self.greenstalk = greenstalk
        self.client = greenstalk.Client(self.socket)

    def submit(self):
        self.client.put("1")

    def work(self):
        with contextlib.suppress(self.greenstalk.TimedOutError):
            while True:
                job = self.client.reserve(timeout=0)
                count(1)
                self.client.delete(job)


class Postgres:
    """A private server that syncs every commit."""

    def __init__(self, folder):
        self.folder, self.data = folder, f"{folder}/postgres"
        self.programs = max(glob.glob("/usr/lib/postgresql/*/bin"), default="")
        self.conninfo = f"host={folder} user=postgres dbname=postgres"

    def as_owner(self, program, *arguments):
        """It refuses to run as root."""
        command = [f"{self.programs}/{program}", *arguments]
        return ["runuser", "-u", "postgres", "--", *command] if os.getuid() == 0 else command

    @contextlib.contextmanager
    def serve(self):
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run(self.as_owner("initdb", "-U", "postgres", "-A", "trust", self.data), **quiet)
        options = f"-k {self.folder} -c listen_addresses= -c max_connections=200"
        subprocess.run(
            self.as_owner("pg_ctl", "-D", self.data, "-w", "-l", "/dev/null", "-o", options, "start"),
            **quiet,
        )
        try:
            yield
        finally:
            subprocess.run(self.as_owner("pg_ctl", "-D", self.data, "-m", "fast", "stop"), **quiet)


class Procrastinate(Postgres):
    """procrastinate on PostgreSQL: every commit synced."""

    name, store = "procrastinate", "PostgreSQL"

    @contextlib.contextmanager
    def serve(self):
        import procrastinate

        with super().serve():
            app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=self.conninfo))
            with app.open():
                app.schema_manager.apply_schema()
            yield

    def open(self):
        import procrastinate

        self.app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=self.conninfo))
        self.app.open()
        self.task = self.app.task(name="count")(count)
        self.loop_app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=self.conninfo))
        self.loop_app.task(name="count")(count)

    def submit(self):
        self.task.defer(number=1)

    def work(self):
        async def run():
            async with self.loop_app.open_async():
                await self.loop_app.run_worker_async(
                    wait=False, concurrency=16, install_signal_handlers=False, listen_notify=False
                )

        asyncio.run(run())


PEERS = (Huey, LiteQueue, Rq, Beanstalkd, Procrastinate)


def count(number):
    """The job."""
    return number


def produce(peer, barrier, seconds, jobs, submitted):
    """Submits until the time is over, or a number of jobs when `jobs` is given."""
    peer.open()
    barrier.wait()
    done, deadline = 0, time.monotonic() + seconds
    while done < jobs if jobs else time.monotonic() < deadline:
        peer.submit()
        done += 1
    with submitted.get_lock():
        submitted.value += done


def consume(peer, barrier, is_over):
    peer.open()
    barrier.wait()
    last = False
    while not last:
        last = is_over.is_set()
        peer.work()


def run(peer_class, folder, producers, workers, seconds, jobs):
    """Jobs a second in a store of its own: submitted, or with workers all that they did."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        peer = peer_class(place)
        with peer.serve():
            submitted, is_over = multiprocessing.Value("q", 0), multiprocessing.Event()
            barrier = multiprocessing.Barrier(producers + workers + 1)
            share = (peer, barrier, seconds, jobs // producers, submitted)
            makers = [multiprocessing.Process(target=produce, args=share) for _ in range(producers)]
            takers = [
                multiprocessing.Process(target=consume, args=(peer, barrier, is_over))
                for _ in range(workers)
            ]
            for process in makers + takers:
                process.start()
            barrier.wait(60)
            begin = time.monotonic()
            for process in makers:
                process.join()
            is_over.set()
            for process in takers:
                process.join()
            took = time.monotonic() - begin
            if any(process.exitcode for process in makers + takers):
                raise RuntimeError(f"a process of {peer.name} failed")
            return submitted.value / took


def measure_peer(peer, folder, options):
    submits = {n: run(peer, folder, n, 0, options.seconds, 0) for n in PRODUCERS}
    best = max(submits, key=submits.get)
    return submits[best], run(peer, folder, best, WORKERS, 0, options.jobs)


def measure_ours(build, url, seconds):
    command = [f"{build}/bench/queue", str(seconds), url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = dict(re.findall(r"^  (\S.*?)  +(\d+) jobs/s", text, re.M))
    sync = re.search(r"fdatasync +([\d.]+) us", text)
    single = (float(rows["durable submit, 16 producers"]), float(rows["whole life, 16 producers, 4 slots"]))
    bulk = (
        float(rows["durable submit, 16 producers of 64"]),
        float(rows["whole life, 16 producers of 64, 4 slots"]),
    )
    return single, bulk, float(sync[1]) if sync else None


def measure_folder(folder, options):
    """One round after the other; prints the table."""
    figures, syncs, left_out = {}, [], set()
    for _ in range(options.rounds):
        single, bulk, sync = measure_ours(options.build, f"sqlite:{folder}/mls-bench.db", options.seconds)
        figures.setdefault(("libmlscale", "SQLite"), []).append(single)
        figures.setdefault(("libmlscale, 64 at once", "SQLite"), []).append(bulk)
        syncs.append(sync)
        for peer in PEERS:
            if peer in left_out:
                continue
            try:
                figures.setdefault((peer.name, peer.store), []).append(
                    measure_peer(peer, folder, options)
                )
            except (ImportError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
                print(f"{peer.name} is left out: {error}", file=sys.stderr)
                left_out.add(peer)
    print(f"\n{folder}: writing 4 KiB and fdatasync takes {statistics.median(syncs):.1f} us\n")
    print("| queue | kept in | durable submits/s | whole life, jobs/s |")
    print("|---|---|--:|--:|")
    for (name, store), rows in figures.items():
        if rows:
            medians = [statistics.median(column) for column in zip(*rows)]
            print(f"| {name} | {store} | {medians[0]:.0f} | {medians[1]:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--folder", action="append", help="default /var/tmp and /dev/shm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--jobs", type=int, default=2000, help="of a whole life")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    for folder in options.folder or ["/var/tmp", "/dev/shm"]:
        measure_folder(folder, options)


if __name__ == "__main__":
    main()
