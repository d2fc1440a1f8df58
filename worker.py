"""Starts a worker for the agents, tools and workflows of this folder: `python worker.py`.

It serves the task queue `mainspring` of the Temporal server that TEMPORAL_ADDRESS names (default
localhost:7233; `mainspring dev` starts one). MAINSPRING_MODEL picks the model.
"""

import agents
import tools
import workflows
from mainspring.serve import Project, run

project = Project(agents, tools, workflows)

if __name__ == "__main__":
    run(project)
