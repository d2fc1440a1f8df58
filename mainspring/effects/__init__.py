"""Activity side: touches the world, may run twice. One module an activity, plus the ledger they read."""
