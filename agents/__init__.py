"""YOUR agents: one module each. The engine finds every `Agent` defined in here."""
