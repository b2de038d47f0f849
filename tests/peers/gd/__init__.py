"""GD: the other side of a bridge, written from docs/federation.md alone; README.md says how it is run."""
