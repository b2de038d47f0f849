"""FJ, the untidy other system: written from docs/federation.md; README.md says how it is started."""
