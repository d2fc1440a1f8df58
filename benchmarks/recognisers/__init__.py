"""How well personal data and secrets are found in labelled texts, and how fast: `make bench-recognisers`."""
