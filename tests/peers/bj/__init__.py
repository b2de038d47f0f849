"""A system of Beijing that does not exist: prompt and strict, written from docs/federation.md alone.

It signs with ES256, speaks version 1.1, refuses what comes early, its clock is four minutes ahead, and five
levels of its people decide one after the other. It knows nothing of the services on the other side.
"""
