"""The bus: topology, publishing with confirms, batch consumers, calls with time-outs.

The consumers stand on nameko's extension API. `docs/adr/0002-bus.md` says what of nameko is used,
and which of its pitfalls each part answers.
"""
