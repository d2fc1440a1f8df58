"""Workflow side: replayed code. It acts only on recorded facts and knows only core and contracts."""
