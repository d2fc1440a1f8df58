"""Extension points: one abstract class a file, each with a conformance suite in `mainspring.testing`."""
