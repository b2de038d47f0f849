"""A proxy that passes on what comes in pieces with pauses, as a real network does.

On localhost every frame arrives whole, which hides whatever goes wrong in the middle of one.
"""

import asyncio
import contextlib
import random
import threading
from types import TracebackType

from sqlalchemy import make_url


class Pieces:
    """Stands before the server of an address while it is entered.

    `uri` is its own address; a piece has 1 to `most` bytes, after which comes a pause of up to
    `longest` seconds. The same seed cuts the same way.
    """

    def __init__(self, uri: str, seed: int = 1, most: int = 20_000, longest: float = 0.05) -> None:
        self._server = make_url(uri)
        self._random = random.Random(seed)
        self._most, self.longest = most, longest
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: set[asyncio.Task[None]] = set()
        self.uri = ""

    def __enter__(self) -> "Pieces":
        self._thread.start()
        listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)
        port = listener.sockets[0].getsockname()[1]
        here = self._server.set(host="127.0.0.1", port=port)
        self.uri = here.render_as_string(hide_password=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def break_off(self) -> None:
        """End all connections that are open now."""
        asyncio.run_coroutine_threadsafe(self._break_off(), self._loop).result(5)

    async def _break_off(self) -> None:
        others = list(self._open)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _listen(self) -> asyncio.Server:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._listener

    async def _close(self) -> None:
        self._listener.close()
        await self._break_off()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        # `break_off` cancels, and may do so before the server has been reached
        with contextlib.closing(writer), contextlib.suppress(asyncio.CancelledError, OSError):
            answers, server = await asyncio.open_connection(self._server.host, self._server.port)
            await asyncio.gather(self._pass_on(reader, server), self._pass_on(answers, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while data := await reader.read(self._random.randint(1, self._most)):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(self._random.uniform(0, self.longest))
