"""YOUR processes: LangGraph graphs that coordinate agents. The engine finds every `Graph` defined in here."""
