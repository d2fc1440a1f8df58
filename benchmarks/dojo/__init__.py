"""AgentDojo's attacks on agents of ours: `make bench-guards`."""
