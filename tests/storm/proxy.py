"""A network that may be hurt: each link is a port of its own that leads to one of some servers.

    python -m tests.storm.proxy LINKS.json

It runs in a process of its own; `Network` starts it and tells it, a line of JSON each, how a link
behaves from then on: `pass`, `delay` (each packet waits), `pieces` (cut into small ones, with
pauses), `swallow` (nothing arrives, nobody is told), `refuse` (connections end at once, new ones,
too), or once: `reset` (those that are there end at once).
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
READ = 65_536
LARGEST_PIECE, LONGEST_PAUSE = 20_000, 0.05
DELAY = 0.1


class Link:
    """One listening port and the connections that came through it."""

    def __init__(self, name: str, port: int, upstreams: list[int]) -> None:
        self.name, self.port, self.upstreams = name, port, upstreams
        self.mode = "pass"
        self.dice = random.Random(name)
        self.writers: set[asyncio.StreamWriter] = set()
        self.healed = asyncio.Event()
        self.healed.set()

    def becomes(self, mode: str) -> None:
        """Change how the link behaves."""
        if mode in ("reset", "refuse"):
            for writer in list(self.writers):
                _reset(writer)
        if mode == "reset":
            return
        self.mode = mode
        if mode == "swallow":
            self.healed.clear()
        else:
            self.healed.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to the first server that answers."""
        await self.healed.wait()
        for port in self.upstreams if self.mode != "refuse" else ():
            try:
                there = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                continue
        else:
            _reset(writer)
            return
        self.writers |= {writer, there[1]}
        try:
            await asyncio.gather(self._carry(reader, there[1]), self._carry(there[0], writer))
        finally:
            for one in (writer, there[1]):
                self.writers.discard(one)
                one.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ):
                await self.healed.wait()
                if self.mode == "pieces":
                    await self._in_pieces(data, writer)
                    continue
                if self.mode == "delay":
                    await asyncio.sleep(DELAY)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _in_pieces(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while data:
            # as often of a few bytes as of many
            size = int(LARGEST_PIECE ** self.dice.random())
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            await asyncio.sleep(self.dice.random() * LONGEST_PAUSE)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset, as a router does that has forgotten it."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):  # it has just been closed from the other side
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _main(links: dict[str, Any]) -> None:
    made = {name: Link(name, *value) for name, value in links.items()}
    for link in made.values():
        await asyncio.start_server(link.serve, "127.0.0.1", link.port)
    print("up", flush=True)
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        name, mode = json.loads(line)
        made[name].becomes(mode)


class Network:
    """The links by name, and the process that carries them."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.file, self.ports = folder / "links.json", iter(ports)
        self.links: dict[str, tuple[int, list[int]]] = {}
        self.process: subprocess.Popen[str] | None = None

    def link(self, name: str, upstreams: list[int]) -> int:
        """Add a link to the first of these ports that answers; return its own. Before `start`."""
        self.links[name] = next(self.ports), upstreams
        return self.links[name][0]

    def start(self) -> None:
        """Start carrying."""
        self.file.write_text(json.dumps(self.links))
        with (self.file.parent / "proxy.log").open("a") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.storm.proxy", str(self.file)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "up":
            raise OSError("the proxy does not start; see proxy.log")

    def set(self, name: str, mode: str) -> None:
        """Let a link behave in another way."""
        assert self.process is not None and self.process.stdin is not None
        if self.process.poll() is not None:
            sys.exit(
                "the network of the storm has ended by itself; see proxy.log: nothing that follows counts"
            )
        self.process.stdin.write(json.dumps([name, mode]) + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """End it, with all connections."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()  # waits, and closes the pipes


if __name__ == "__main__":
    asyncio.run(_main(json.loads(Path(sys.argv[1]).read_text())))
