#!/usr/bin/env python3
"""Stored bytes to a socket: by sendfile, or read into memory and written, as a Fetch of old records does.

    scripts/measure/sendfile.py [DIRECTORY]

A file of 256 MiB is sent over loopback in ranges of a size, three times each way, from the page cache. The sender and the
receiver are pinned to a core each. Printed are GB/s and the sender's CPU time for a GB (user and system), best of three. "checked" also
computes a checksum over what was read (zlib's CRC-32, which is slower than the one that the gateway uses).
"""
import os
import resource
import socket
import sys
import tempfile
import time
import zlib

FILE_BYTES = 256 << 20


def by_sendfile(out, file, at, length, _buffer):
    end = at + length
    while at < end:
        at += os.sendfile(out.fileno(), file, at, end - at)


def by_copy(out, file, at, length, buffer):
    view = memoryview(buffer)[:length]
    os.preadv(file, [view], at)
    out.sendall(view)


def by_checked_copy(out, file, at, length, buffer):
    view = memoryview(buffer)[:length]
    os.preadv(file, [view], at)
    zlib.crc32(view)
    out.sendall(view)


def once(way, file, length):
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        with socket.create_server(("127.0.0.1", 0)) as server:
            os.write(write_end, str(server.getsockname()[1]).encode())
            os.close(write_end)
            os.sched_setaffinity(0, {1 % os.cpu_count()})
            connection, _ = server.accept()
            buffer = bytearray(1 << 20)
            while connection.recv_into(buffer):
                pass
        os._exit(0)
    os.close(write_end)
    port = int(os.read(read_end, 16))
    os.close(read_end)
    os.sched_setaffinity(0, {0})
    buffer = bytearray(length)
    with socket.create_connection(("127.0.0.1", port)) as out:
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        for at in range(0, FILE_BYTES, length):
            way(out, file, at, length, buffer)
        out.shutdown(socket.SHUT_WR)
        os.waitpid(child, 0)
        took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return FILE_BYTES / took / 1e9, cpu / (FILE_BYTES / 1e9)


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()
    with tempfile.TemporaryFile(dir=directory) as stored:
        for _ in range(FILE_BYTES >> 20):
            stored.write(os.urandom(1 << 20))
        stored.flush()
        print(f"{'range':>8} {'way':<10} {'GB/s':>6} {'CPU s a GB':>11}")
        for length in (4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20):
            for name, way in (("sendfile", by_sendfile), ("copy", by_copy), ("checked", by_checked_copy)):
                runs = [once(way, stored.fileno(), length) for _ in range(3)]
                print(f"{length >> 10:>6} K {name:<10} {max(run[0] for run in runs):>6.2f} {min(run[1] for run in runs):>11.3f}", flush=True)


if __name__ == "__main__":
    main()
