"""The bus: topology, publishing with confirms, batch consumers on nameko's extension API, calls with time-outs.

`docs/adr/0002-bus.md` says what of nameko is used, and which of its pitfalls each part answers.
"""
